package store

import (
	"slices"
	"sync"
	"testing"
	"time"

	"crosstalk/models"
)

func storePromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"everything is there after reopening":  everythingIsThere,
		"many may open a new database at once": manyMayOpen,
		"a store can be closed twice":          closedTwice,
		"a store is ready":                     ready,
	}
}

func everythingIsThere(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("room", 10)...)
	create(t, s, "room", "ours")
	register(t, s, models.Registration{ID: "alice", Description: "Writes"})
	share(t, s, models.DataDraft{Key: "k", Content: "x", Sender: "alice"})
	before, list := everything(t, s), channels(t, s, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := db.open(t, Options{})
	if again.BusID() != s.BusID() || len(s.BusID()) < 16 {
		t.Errorf("bus %q became %q", s.BusID(), again.BusID())
	}
	if got := everything(t, again); !slices.Equal(contents(got), contents(before)) || len(got) != 10 {
		t.Errorf("%d messages are left", len(got))
	}
	if got := channels(t, again, 10); len(got) != len(list) || got[0].Description != "ours" || got[0].MessageCount != 10 {
		t.Errorf("channels %+v, before %+v", got, list)
	}
	if got := instance(t, again, "alice"); got.Description != "Writes" {
		t.Errorf("%+v", got)
	}
	if got, err := again.Data(t.Context(), "k", ""); err != nil || got.Content != "x" {
		t.Errorf("%+v, %v", got, err)
	}
	if r := post(t, again, say("room", "alice", "next")); r.ID != 11 || r.Seq != 11 {
		t.Errorf("%+v", r)
	}
}

func manyMayOpen(t *testing.T, db database) {
	var wg sync.WaitGroup
	stores := make([]*Store, 20)
	for i := range stores {
		wg.Go(func() { stores[i] = db.open(t, Options{}) })
	}
	wg.Wait()
	for i, s := range stores {
		if s == nil {
			t.Fatalf("process %d could not open the database", i)
		}
		if s.BusID() != stores[0].BusID() {
			t.Errorf("process %d has bus %q, the first %q", i, s.BusID(), stores[0].BusID())
		}
		wg.Go(func() { post(t, s, say("room", "alice", "hi")) })
	}
	wg.Wait()
}

func closedTwice(t *testing.T, db database) {
	s := db.open(t, Options{})
	post(t, s, say("room", "alice", "hi"))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := s.Head(t.Context())
	wantCode(t, err, models.Unavailable)
	wantCode(t, s.Register(t.Context(), models.Registration{ID: "alice"}), models.Unavailable)
	_, _, err = s.Progress(t.Context())
	wantCode(t, err, models.Unavailable)
	wantCode(t, s.Probe(t.Context()), models.Unavailable)
}

func ready(t *testing.T, db database) {
	s := db.open(t, Options{})
	// While another process writes for long, this one is as ready as before.
	release := db.block(t)
	begin := time.Now()
	if _, _, err := s.Progress(t.Context()); err != nil || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if turn, failing := s.Writing(); turn%2 != 0 || failing {
		t.Errorf("at write %d, failing: %v", turn, failing)
	}
	release()
}
