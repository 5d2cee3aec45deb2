package hub

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
)

func session(name string) models.Principal {
	return models.Principal{Name: models.SharedPrincipal, Session: name}
}

func status(t *testing.T, h *Hub, id string) models.Status {
	t.Helper()
	list, err := h.Instances(t.Context(), anyone, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if i.ID == id {
			return i.Status
		}
	}
	return "unknown"
}

func hold(t *testing.T, h *Hub, who models.Principal, id string, want bool) {
	t.Helper()
	held, err := h.Hold(t.Context(), who, id)
	if err != nil || held != want {
		t.Errorf("%s holds %q: %v, %v; want %v", who.Session, id, held, err, want)
	}
}

func TestOnlineIsAConnectionOrSeenLately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
		defer stop()
		if err := h.Register(t.Context(), anyone, models.Registration{ID: "bob", Kind: models.KindAgent}); err != nil {
			t.Fatal(err)
		}
		hold(t, h, session("1"), "socket", true)
		time.Sleep(store.Fresh + 10*time.Second)
		if got := status(t, h, "bob"); got != models.Offline {
			t.Errorf("bob was last seen 130 s ago and is %s", got)
		}
		if got := status(t, h, "socket"); got != models.Online {
			t.Errorf("socket has a connection and is %s", got)
		}
		h.Seen(anyone, "bob")
		if got := status(t, h, "bob"); got != models.Online {
			t.Errorf("bob just called and is %s", got)
		}
		h.Release(session("1"), "socket")
		time.Sleep(store.Fresh + 10*time.Second)
		if got := status(t, h, "socket"); got != models.Offline {
			t.Errorf("socket left 130 s ago and is %s", got)
		}
	})
}

func TestANameIsHeldByOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "crosstalk.db")
		a, stopA := start(t, path, nil)
		b, stopB := start(t, path, nil)
		defer stopB()
		hold(t, a, session("1"), "bob", true)
		hold(t, a, session("2"), "bob", false)
		hold(t, b, session("3"), "bob", false)
		a.Release(session("1"), "bob")
		hold(t, a, session("2"), "bob", true) // at once, though nothing has been flushed
		time.Sleep(3 * store.NodeFresh)
		hold(t, b, session("3"), "bob", false) // the holder's process is alive
		stopA()                                // without a release, as after a crash
		time.Sleep(store.NodeFresh + time.Second)
		hold(t, b, session("3"), "bob", true)
	})
}

func TestWhoLeavesIsOfflineAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "crosstalk.db")
		h, stop := start(t, path, nil)
		defer stop()
		other, stopOther := start(t, path, nil)
		defer stopOther()
		began := models.TimeOf(time.Now())
		hold(t, h, session("1"), "bob", true)
		time.Sleep(10 * time.Second)
		hold(t, h, session("1"), "bob", true)
		if since, err := other.Holder(t.Context(), anyone, "bob"); since != began || err != nil {
			t.Errorf("bob is held since %v, %v; want %v", since, err, began)
		}
		if since, err := h.Holder(t.Context(), session("1"), "bob"); since != 0 || err != nil {
			t.Errorf("who holds bob is told that it is held since %v, %v", since, err)
		}
		h.Leave(session("2"), "bob")
		if got := status(t, h, "bob"); got != models.Online {
			t.Errorf("somebody else left, and bob is %s", got)
		}
		h.Leave(models.Principal{}, "bob")
		h.Leave(session("1"), "bob")
		time.Sleep(time.Second)
		if got := status(t, other, "bob"); got != models.Offline {
			t.Errorf("bob left and is %s", got)
		}
		if since, err := other.Holder(t.Context(), anyone, "bob"); since != 0 || err != nil {
			t.Errorf("bob left and is held since %v, %v", since, err)
		}
		hold(t, other, session("3"), "bob", true)
		time.Sleep(10 * time.Second)
		if got := status(t, h, "bob"); got != models.Online {
			t.Errorf("bob is back and is %s", got)
		}
	})
}

func TestVerifiedIsWhoHoldsTheName(t *testing.T) {
	h := fresh(t)
	hold(t, h, session("1"), "bob", true)
	for who, want := range map[models.Principal]bool{session("1"): true, session("2"): false, anyone: false} {
		r, err := h.Publish(t.Context(), who, models.Draft{Channel: "a", Sender: "bob", Content: "x", Kind: models.KindAgent, Type: models.TypeMessage})
		if err != nil {
			t.Fatal(err)
		}
		m, err := h.Message(t.Context(), who, "a", r.ID)
		if err != nil || m.Verified != want {
			t.Errorf("said over %q: verified is %v, want %v (%v)", who.Session, m.Verified, want, err)
		}
	}
}

// watch calls seen with all that a watcher is told, until stop.
func watch(h *Hub, who models.Principal, seen func(id string, s models.Status)) (stop func()) {
	wake, end := make(chan struct{}, 1), make(chan struct{})
	w := h.Watch(who, func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	go func() {
		for {
			select {
			case <-end:
				return
			case <-wake:
			}
			for more := true; more; {
				told := false // one at a time, as where there is little room
				more, _ = w.Next(func(id string, s models.Status) bool {
					if told {
						return false
					}
					told = true
					seen(id, s)
					return true
				})
			}
		}
	}()
	return func() {
		w.Close()
		close(end)
	}
}

func TestWatchersSeeWhoComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
		defer stop()
		hold(t, h, session("1"), "early", true)
		var seen []string
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		unwatch := watch(h, anyone, func(id string, s models.Status) { seen = append(seen, fmt.Sprint(id, " ", s)) })
		pass(time.Second)
		hold(t, h, session("2"), "late", true)
		pass(time.Second)
		if want := []string{"early online", "late online"}; !slices.Equal(seen, want) {
			t.Fatalf("saw %q, want %q", seen, want)
		}
		h.Release(session("1"), "early")
		pass(store.Fresh + 2*flushEvery)
		if want := []string{"early online", "late online", "early offline"}; !slices.Equal(seen, want) {
			t.Fatalf("saw %q, want %q", seen, want)
		}
		unwatch()
		hold(t, h, session("3"), "unseen", true)
		pass(time.Minute)
		if len(seen) != 3 {
			t.Errorf("a watcher that stopped was told %q", seen[3:])
		}
	})
}

func TestASignIsKeptWhileTheStoreCannotWrite(t *testing.T) {
	p := newPresence(nil, nil, nil)
	for i := range 2 * maxUnwritten {
		p.seen(fmt.Sprint("i", i), "")
	}
	if len(p.signs) != maxUnwritten {
		t.Errorf("%d signs wait, at most %d are promised", len(p.signs), maxUnwritten)
	}
}
