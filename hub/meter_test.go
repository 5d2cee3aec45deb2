package hub

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/models"
)

func TestWhatIsOpenIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T, h *Hub) {
		m := h.Meter()
		s := follow(t, h, Subscription{Channels: []string{"a"}})
		w := startWait(h, Ask{Channel: "a", Instance: "alice", Limit: 20}, models.RoleActive, time.Minute)
		synctest.Wait()
		if m.Subscribers.Load() != 2 || m.Waits.Load() != 1 {
			t.Errorf("%d subscribers and %d waits", m.Subscribers.Load(), m.Waits.Load())
		}
		newer := startWait(h, Ask{Channel: "a", Instance: "alice", Limit: 20}, models.RoleActive, time.Minute)
		w.ended(t, "alice", Superseded, 0)
		say(t, h, "a", "bob", "hi")
		newer.ended(t, "alice", Came, 0)
		if n := m.RingBytes.Load(); n < 2 || n != int64(h.feed.bytes) {
			t.Errorf("%d bytes in rings", n)
		}
		s.Close()
		if m.Subscribers.Load() != 0 || m.Waits.Load() != 0 || m.RingBytes.Load() != 0 {
			t.Errorf("left are %d subscribers, %d waits, %d bytes", m.Subscribers.Load(), m.Waits.Load(), m.RingBytes.Load())
		}
	})
}

func TestWhoReadsTheLogIsARingMiss(t *testing.T) {
	h := fresh(t)
	s := follow(t, h, Subscription{Channels: []string{"a"}})
	defer s.Close()
	live := say(t, h, "a", "bob", "1")
	got := collect(t, s, 1)
	if h.Meter().RingMisses.Load() != 0 || got[0].HandedIn <= 0 || got[0].ID != live.ID {
		t.Errorf("%d misses for what is in memory, handed in at %d", h.Meter().RingMisses.Load(), got[0].HandedIn)
	}
	zero := int64(0)
	late := follow(t, h, Subscription{Channels: []string{"b"}, After: &zero})
	defer late.Close()
	other := follow(t, h, Subscription{Channels: []string{models.Every}, After: &zero})
	defer other.Close()
	if got := collect(t, other, 1); h.Meter().RingMisses.Load() != 1 || got[0].HandedIn != 0 {
		t.Errorf("%d misses, handed in at %d", h.Meter().RingMisses.Load(), got[0].HandedIn)
	}
}

func TestRingsAndTheirLagAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bell, path := &echo{}, filepath.Join(t.TempDir(), "bus.db")
		a, b := open(t, path, bell.join()), open(t, path, bell.join())
		s := follow(t, b, Subscription{Channels: []string{"room"}})
		defer s.Close()
		synctest.Wait()
		sent, heard := a.Meter().Rung.Load(), b.Meter().Heard.Load()
		const n = 5
		for i := range n {
			say(t, a, "room", "alice", fmt.Sprint(i))
			time.Sleep(20 * time.Millisecond)
		}
		collect(t, s, n)
		if got := a.Meter().Rung.Load() - sent; got < n {
			t.Errorf("%d rings for %d messages", got, n)
		}
		if got := b.Meter().Heard.Load() - heard; got < n {
			t.Errorf("%d of %d rings were heard", got, n)
		}
		if lag := b.Meter().Lag.Read(); lag.Count != n || lag.Buckets[0.025] != n {
			t.Errorf("lag %+v", lag)
		}
		if own := a.Meter().Lag.Read(); own.Count != 0 {
			t.Errorf("who wrote them itself lags %+v", own)
		}
		if id, looked := b.Position(); id != n || time.Since(looked.Time()) > 2*lookEvery {
			t.Errorf("at %d, looked at %s", id, looked)
		}
	})
}

func TestWhoMayReadAllMayMeasure(t *testing.T) {
	h := fresh(t)
	for _, c := range []struct {
		who  models.Principal
		want models.Code
	}{
		{anyone, ""},
		{models.Principal{Name: "key:prometheus", Scope: models.ScopeRead}, ""},
		{models.Principal{Name: "key:team", Scope: models.ScopeAdmin, Channels: "team-*"}, models.Forbidden},
		{models.Principal{}, models.Forbidden},
	} {
		if got := models.CodeOf(h.MayMeasure(c.who)); got != c.want {
			t.Errorf("%+v: %q, want %q", c.who, got, c.want)
		}
	}
}
