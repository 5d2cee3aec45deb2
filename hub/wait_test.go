package hub

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/models"
)

// waiting is a wait that runs beside the test.
type waiting struct {
	Waited
	err    error
	took   time.Duration
	cancel context.CancelFunc
	done   chan struct{}
}

func startWait(h *Hub, ask Ask, role models.Role, most time.Duration) *waiting {
	w := &waiting{done: make(chan struct{})}
	if ask.Limit == 0 {
		ask.Limit = 20
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	began := time.Now()
	go func() {
		defer close(w.done)
		defer cancel()
		w.Waited, w.err = h.Wait(ctx, anyone, ask, role, most)
		w.took = time.Since(began)
	}()
	return w
}

// ended checks how a wait ended and after how long.
func (w *waiting) ended(t *testing.T, name string, want Outcome, took time.Duration) {
	t.Helper()
	<-w.done
	if w.err != nil || w.Outcome != want || w.took < took || w.took > took+2*time.Second {
		t.Errorf("%s ended with %q after %v (%v), want %q after %v", name, w.Outcome, w.took, w.err, want, took)
	}
}

func register(t testing.TB, h *Hub, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := h.Register(t.Context(), anyone, models.Registration{ID: id, Kind: models.KindAgent}); err != nil {
			t.Fatal(err)
		}
	}
}

// bubble runs a test with one hub under a clock of its own.
func bubble(t *testing.T, test func(t *testing.T, h *Hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
		defer stop()
		test(t, h)
	})
}

func TestWaitWakesAtTheCommit(t *testing.T) {
	bubble(t, func(t *testing.T, h *Hub) {
		register(t, h, "a", "b")
		w := startWait(h, Ask{Channel: "x", Instance: "a"}, models.RoleActive, time.Hour)
		time.Sleep(50 * time.Second)
		say(t, h, "x", "a", "my own words wake nobody")
		say(t, h, "y", "b", "nor does another channel")
		time.Sleep(10 * time.Second)
		say(t, h, "x", "b", "hello")
		w.ended(t, "the wait", Came, time.Minute)
		if len(w.Messages) != 1 || w.Messages[0].Content != "hello" {
			t.Errorf("got %+v", w.Messages)
		}
	})
}

func TestWaitOnAllChannelsInUse(t *testing.T) {
	bubble(t, func(t *testing.T, h *Hub) {
		register(t, h, "a", "b")
		for _, ch := range []string{"x", "y"} {
			if err := h.Acted(t.Context(), anyone, "a", "", ch); err != nil {
				t.Fatal(err)
			}
		}
		w := startWait(h, Ask{Channel: models.Every, Instance: "a"}, models.RoleActive, time.Hour)
		time.Sleep(time.Second)
		say(t, h, "z", "b", "never used")
		time.Sleep(time.Minute)
		say(t, h, "y", "b", "used")
		w.ended(t, "the wait", Came, 61*time.Second)
		if len(w.Messages) != 1 || w.Messages[0].Content != "used" {
			t.Errorf("got %+v", w.Messages)
		}
	})
}

func TestWaitEndsWithNothing(t *testing.T) {
	bubble(t, func(t *testing.T, h *Hub) {
		w := startWait(h, Ask{Channel: "nowhere", Instance: "a"}, models.RoleActive, 90*time.Second)
		w.ended(t, "the wait", Nothing, 90*time.Second)
	})
}

func TestANewerWaitSupersedes(t *testing.T) {
	bubble(t, func(t *testing.T, h *Hub) {
		register(t, h, "a")
		old := startWait(h, Ask{Channel: "x", Instance: "a"}, models.RoleActive, time.Hour)
		elsewhere := startWait(h, Ask{Channel: "y", Instance: "a"}, models.RoleActive, time.Minute)
		other := startWait(h, Ask{Channel: "x", Instance: "b"}, models.RoleParked, time.Minute)
		time.Sleep(10 * time.Second)
		young := startWait(h, Ask{Channel: "x", Instance: "a"}, models.RoleActive, 30*time.Second)
		old.ended(t, "the older wait", Superseded, 10*time.Second)
		young.ended(t, "the newer wait", Nothing, 30*time.Second)
		elsewhere.ended(t, "a wait on another channel", Nothing, time.Minute)
		other.ended(t, "a wait of another instance", Nothing, time.Minute)
	})
}

func TestSupersedeHoldsAmongProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "crosstalk.db")
		one, stopOne := start(t, path, nil)
		defer stopOne()
		two, stopTwo := start(t, path, nil)
		defer stopTwo()
		register(t, one, "a")
		old := startWait(one, Ask{Channel: "x", Instance: "a"}, models.RoleActive, time.Hour)
		time.Sleep(10 * time.Second)
		young := startWait(two, Ask{Channel: "x", Instance: "a"}, models.RoleActive, 30*time.Second)
		old.ended(t, "the older wait", Superseded, 10*time.Second)
		young.ended(t, "the newer wait", Nothing, 30*time.Second)
	})
}

func TestMutualWaitTellsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "crosstalk.db")
		one, stopOne := start(t, path, nil)
		defer stopOne()
		two, stopTwo := start(t, path, nil)
		defer stopTwo()
		for _, hubs := range [][3]*Hub{{one, one, one}, {one, two, two}, {two, one, two}} {
			ch := fmt.Sprint("x", len(hubs), hubs[0] == one, hubs[1] == one)
			first := startWait(hubs[0], Ask{Channel: ch, Instance: "a"}, models.RoleActive, 3*time.Minute)
			time.Sleep(10 * time.Second)
			second := startWait(hubs[1], Ask{Channel: ch, Instance: "b"}, models.RoleActive, 3*time.Minute)
			parked := startWait(hubs[2], Ask{Channel: ch, Instance: "c"}, models.RoleParked, 3*time.Minute)
			second.ended(t, "the later wait", Mutual, 30*time.Second)
			if second.Peer != "a" {
				t.Errorf("told that %q waits, want a", second.Peer)
			}
			first.ended(t, "the earlier wait", Nothing, 3*time.Minute)
			parked.ended(t, "the parked wait", Nothing, 3*time.Minute)
		}
	})
}

func TestNoMutualWaitWhileSomebodyIsAwake(t *testing.T) {
	bubble(t, func(t *testing.T, h *Hub) {
		register(t, h, "busy", "a", "b")
		say(t, h, "x", "busy", "I am on it")
		after := int64(1)
		first := startWait(h, Ask{Channel: "x", Instance: "a", After: &after}, models.RoleActive, 10*time.Minute)
		second := startWait(h, Ask{Channel: "x", Instance: "b", After: &after}, models.RoleActive, 10*time.Minute)
		time.Sleep(100 * time.Second)
		h.Seen(anyone, "busy")
		select {
		case <-first.done:
			t.Error("told that all wait, while one of them worked")
		case <-second.done:
			t.Error("told that all wait, while one of them worked")
		case <-time.After(100 * time.Second):
		}
		// 120 s after it was last seen it does not count any more.
		select {
		case <-first.done:
			second.cancel()
		case <-second.done:
			first.cancel()
		}
		<-first.done
		<-second.done
		if (first.Outcome == Mutual) == (second.Outcome == Mutual) {
			t.Errorf("ended with %q and %q, exactly one is to be told", first.Outcome, second.Outcome)
		}
	})
}

func TestACancelledWaitReadsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, h *Hub) {
		register(t, h, "a", "b")
		w := startWait(h, Ask{Channel: "x", Instance: "a"}, models.RoleActive, time.Hour)
		time.Sleep(time.Minute)
		w.cancel()
		<-w.done
		if w.err != context.Canceled {
			t.Errorf("got %v", w.err)
		}
		say(t, h, "x", "b", "hello")
		again := startWait(h, Ask{Channel: "x", Instance: "a"}, models.RoleActive, time.Hour)
		again.ended(t, "the next wait", Came, 0)
	})
}

func TestWaitsEndWhenTheServerDrains(t *testing.T) {
	bubble(t, func(t *testing.T, h *Hub) {
		var all []*waiting
		for i := range 100 {
			all = append(all, startWait(h, Ask{Channel: "x", Instance: fmt.Sprint("i", i)}, models.RoleParked, time.Hour))
		}
		time.Sleep(time.Second)
		h.Drain()
		for _, w := range all {
			w.ended(t, "a wait", Draining, time.Second)
		}
	})
}

func TestSayWhoWaits(t *testing.T) {
	bubble(t, func(t *testing.T, h *Hub) {
		w := startWait(h, Ask{Channel: "x", Instance: "bob"}, models.RoleParked, time.Minute)
		open := follow(t, h, Subscription{Channels: []string{"x"}})
		synctest.Wait()
		for range 2 { // at once, and when the store knows
			a, err := h.Audience(t.Context(), anyone, "x", "me")
			if err != nil || len(a.Waiting) != 1 || a.Waiting[0] != "bob" || a.Open != 2 {
				t.Errorf("got %+v, %v", a, err)
			}
			time.Sleep(10 * time.Second)
		}
		list, err := h.Waits(t.Context(), anyone, models.Every)
		if err != nil || len(list) != 1 || list[0].Instance != "bob" || list[0].Role != models.RoleParked {
			t.Errorf("got %+v, %v", list, err)
		}
		if got := status(t, h, "bob"); got != models.Online {
			t.Errorf("a waiter is %s", got)
		}
		<-w.done
		open.Close()
		list, err = h.Waits(t.Context(), anyone, models.Every)
		if err != nil || len(list) != 0 {
			t.Errorf("after its end: %+v, %v", list, err)
		}
	})
}
