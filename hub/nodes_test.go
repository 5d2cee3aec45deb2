package hub

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"crosstalk/hub/doorbell"
	"crosstalk/internal/pgtest"
	"crosstalk/models"
	"crosstalk/models/store"
)

// node runs a hub on a PostgreSQL database until the test ends.
func node(t *testing.T, url string, grace time.Duration) *Hub {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	bell, err := doorbell.Dial(url, st.BusID(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(st, Options{Bell: bell, Grace: grace})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- h.Run(ctx) }()
	go func() { done <- bell.Run(ctx) }()
	t.Cleanup(func() {
		h.Drain()
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// TestNodesDeliverInOneOrder has all of three nodes write at once, with subscribers on each.
func TestNodesDeliverInOneOrder(t *testing.T) {
	url := pgtest.Start(t)
	const nodes, each = 3, 150
	var all sync.WaitGroup
	var hubs []*Hub
	for range nodes {
		hubs = append(hubs, node(t, url, 0))
	}
	got := make([][]*Entry, 2*nodes)
	for i, h := range hubs { // all of them before anybody speaks
		one := follow(t, h, Subscription{Channels: []string{"a"}})
		every := follow(t, h, Subscription{Channels: []string{models.Every}})
		defer one.Close()
		defer every.Close()
		all.Go(func() { got[2*i] = collect(t, one, nodes*each/2) })
		all.Go(func() { got[2*i+1] = collect(t, every, nodes*each) })
	}
	for i, h := range hubs {
		for sender := range 3 {
			all.Go(func() {
				for n := range each / 3 {
					say(t, h, []string{"a", "b"}[n%2], fmt.Sprint("node", i, sender), fmt.Sprint(n))
				}
			})
		}
	}
	all.Wait()
	for i, h := range hubs {
		checkOrder(t, h, got[2*i], 0, func(m models.Message) bool { return m.Channel == "a" })
		checkOrder(t, h, got[2*i+1], 0, func(models.Message) bool { return true })
	}
}

// TestAMessageWakesWhoWaitsOnAnotherNode covers a wait and a long poll.
func TestAMessageWakesWhoWaitsOnAnotherNode(t *testing.T) {
	url := pgtest.Start(t)
	one, two := node(t, url, 0), node(t, url, 0)
	register(t, one, "a", "b")
	w := startWait(two, Ask{Channel: "x", Instance: "a"}, models.RoleActive, time.Hour)
	polled := make(chan models.Page, 1)
	go func() {
		page, err := two.Messages(t.Context(), anyone, models.Query{Channel: "x", After: new(int64), Limit: 10}, time.Hour)
		if err != nil {
			t.Error(err)
		}
		polled <- page
	}()
	eventually(t, "the other node knows of the wait", func() bool {
		a, err := one.Audience(t.Context(), anyone, "x", "b")
		return err == nil && slices.Contains(a.Waiting, "a")
	})
	say(t, one, "x", "b", "hello")
	<-w.done
	if w.err != nil || w.Outcome != Came || len(w.Messages) != 1 || w.Messages[0].Content != "hello" {
		t.Errorf("the wait: %+v, %v", w.Waited, w.err)
	}
	if page := <-polled; len(page.Messages) != 1 {
		t.Errorf("the poll: %+v", page)
	}
}

func TestSupersedeAndMutualWaitHoldAmongNodes(t *testing.T) {
	url := pgtest.Start(t)
	const grace = 500 * time.Millisecond
	one, two := node(t, url, grace), node(t, url, grace)
	register(t, one, "a", "b")
	old := startWait(one, Ask{Channel: "x", Instance: "a"}, models.RoleParked, time.Hour)
	eventually(t, "the first wait is known", func() bool {
		list, err := two.Waits(t.Context(), anyone, "x")
		return err == nil && len(list) == 1
	})
	young := startWait(two, Ask{Channel: "x", Instance: "a"}, models.RoleActive, time.Hour)
	<-old.done
	if old.err != nil || old.Outcome != Superseded {
		t.Errorf("the older wait ended with %q, %v", old.Outcome, old.err)
	}
	later := startWait(one, Ask{Channel: "x", Instance: "b"}, models.RoleActive, time.Hour)
	<-later.done
	if later.err != nil || later.Outcome != Mutual || later.Peer != "a" {
		t.Errorf("the later wait ended with %q because of %q, %v", later.Outcome, later.Peer, later.err)
	}
	select {
	case <-young.done:
		t.Errorf("the earlier wait ended, too, with %q, %v", young.Outcome, young.err)
	default:
	}
	young.cancel()
	<-young.done
}

func TestNamesAndPositionsHoldAmongNodes(t *testing.T) {
	url := pgtest.Start(t)
	one, two := node(t, url, 0), node(t, url, 0)
	register(t, one, "a", "b")
	hold(t, one, session("1"), "holder", true)
	hold(t, two, session("2"), "holder", false)
	if got := status(t, two, "holder"); got != models.Online {
		t.Errorf("who has a connection elsewhere is %s", got)
	}
	one.Leave(session("1"), "holder")
	eventually(t, "who left is offline on the other node", func() bool { return status(t, two, "holder") == models.Offline })
	hold(t, two, session("2"), "holder", true)

	say(t, one, "x", "b", "first")
	r, err := one.Check(t.Context(), anyone, Ask{Channel: "x", Instance: "a", Limit: 10, Conn: "1"})
	if err != nil || len(r.Messages) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := r.Shown(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := r.LastID
	say(t, two, "x", "b", "second")
	r, err = two.Check(t.Context(), anyone, Ask{Channel: "x", Instance: "a", After: &after, Limit: 10, Conn: "2"})
	if err != nil || len(r.Messages) != 1 || r.Messages[0].Content != "second" {
		t.Errorf("%+v, %v", r, err)
	}
}
