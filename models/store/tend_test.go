package store

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"crosstalk/internal/eventually"
	"crosstalk/models"
)

func tendPromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"retention removes the old and keeps the young": retentionRemovesTheOld,
		"retention goes in small batches":               retentionGoesInBatches,
		"retention waits for the index":                 retentionWaitsForTheIndex,
		"retention removes nothing unless told":         retentionIsOff,
		"a parent that was removed can be replied to":   removedParents,
		"ids go on after all was removed":               idsGoOn,
		"one process tends, whichever":                  somebodyTends,
		"what is past is forgotten":                     pastIsForgotten,
		"tending lets others have the lock":             tendingTakesTurns,
	}
}

// age makes all messages up to an id older.
func age(t testing.TB, s *Store, upTo int64, by time.Duration) {
	t.Helper()
	exec(t, s, "UPDATE messages SET created_at = created_at - ? WHERE id <= ?", by.Milliseconds(), upTo)
	s.fresh.next(math.MaxInt64-1, 0) // forgets how old they were
}

// prune runs retention to its end.
func prune(t testing.TB, s *Store) {
	t.Helper()
	index(t, s)
	if left, err := s.prune(t.Context(), nil, time.Now(), time.Now().Add(time.Minute)); err != nil || left != nil {
		t.Fatalf("retention: %v, left %v", err, left)
	}
}

func retentionRemovesTheOld(t *testing.T, db database) {
	s := db.open(t, Options{Keep: time.Hour})
	batch(t, s, numbered("room", 20)...)
	batch(t, s, numbered("elsewhere", 5)...)
	batch(t, s, numbered("room", 5)...)
	age(t, s, 28, time.Hour+time.Second)
	prune(t, s)
	if got := idsOf(everything(t, s)); !slices.Equal(got, []int64{29, 30}) {
		t.Errorf("left: %v", got)
	}
	list, err := s.Channels(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, ch := range list {
		counts[ch.Name] = ch.MessageCount
	}
	if counts["room"] != 2 || counts["elsewhere"] != 0 || len(counts) != 3 {
		t.Errorf("counts: %v", counts)
	}
	if got := db.indexed(t, s); !slices.Equal(got, []int64{29, 30}) {
		t.Errorf("the index knows %v", got)
	}
	prune(t, s) // nothing more to do
	if n := len(everything(t, s)); n != 2 {
		t.Errorf("%d are left", n)
	}
}

func retentionGoesInBatches(t *testing.T, db database) {
	s := db.open(t, Options{Keep: time.Hour})
	release := db.hold(t)
	defer release()
	const n = 3*pruneBatch + 10
	fill(t, s, n, func(i int) models.Draft { return say(fmt.Sprint("room-", i%7), "alice", "x").Draft })
	post(t, s, say("room-0", "alice", "young"))
	index(t, s)
	age(t, s, n, 2*time.Hour)
	removed := 0
	p, err := s.beginPruning(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for len(p.due) > 0 {
		most := p.size
		got, err := s.pruneBatch(t.Context(), p)
		if err != nil || got > most || most > pruneBatch {
			t.Fatalf("a batch removed %d, %v; at most %d should go", got, err, most)
		}
		removed += got
		if left := len(everything(t, s)); left != n+1-removed {
			t.Errorf("%d are left after %d were removed", left, removed)
		}
	}
	if removed != n {
		t.Errorf("%d of %d were removed", removed, n)
	}
}

func retentionWaitsForTheIndex(t *testing.T, db database) {
	s := db.open(t, Options{Keep: time.Hour})
	release := db.hold(t)
	defer release()
	batch(t, s, numbered("room", 10)...)
	index(t, s)
	batch(t, s, numbered("room", 10)...)
	age(t, s, 20, 2*time.Hour)
	for range 2 {
		if left, err := s.prune(t.Context(), nil, time.Now(), time.Now()); err != nil || left != nil {
			t.Fatalf("%v, left %v", err, left)
		}
		if got := idsOf(everything(t, s)); !slices.Equal(got, sequence(11, 20)) {
			t.Fatalf("left: %v", got)
		}
	}
	prune(t, s)
	if got := everything(t, s); len(got) > 0 {
		t.Errorf("%d are left", len(got))
	}
}

func retentionIsOff(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("room", 10)...)
	age(t, s, 10, 100*365*24*time.Hour)
	prune(t, s)
	if n := len(everything(t, s)); n != 10 {
		t.Errorf("%d of 10 are left", n)
	}
	age(t, s, 10, -100*365*24*time.Hour)
}

func removedParents(t *testing.T, db database) {
	s := db.open(t, Options{Keep: time.Hour})
	batch(t, s, numbered("room", 3)...)
	post(t, s, say("room", "bob", "before").with(func(a *Append) { a.InReplyTo = 2 }))
	age(t, s, 2, 2*time.Hour)
	prune(t, s)
	r := post(t, s, say("room", "bob", "after").with(func(a *Append) { a.InReplyTo = 2 }))
	if m, err := s.Message(t.Context(), "room", r.ID); err != nil || m.InReplyTo == nil || *m.InReplyTo != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := s.Thread(t.Context(), "room", 2, "", 10); models.CodeOf(err) != models.NotFound {
		t.Errorf("its thread: %v", err)
	}
}

func idsGoOn(t *testing.T, db database) {
	s := db.open(t, Options{Keep: time.Hour})
	batch(t, s, numbered("room", 10)...)
	age(t, s, 10, 2*time.Hour)
	prune(t, s)
	if n := len(everything(t, s)); n != 0 {
		t.Fatalf("%d are left", n)
	}
	for i, s := range []*Store{s, db.open(t, Options{})} {
		if r := post(t, s, say("room", "alice", "next")); r.ID != int64(11+i) || r.Seq != r.ID {
			t.Errorf("after 10 came %+v", r)
		}
	}
}

func somebodyTends(t *testing.T, db database) {
	old := db.open(t, Options{})
	batch(t, old, numbered("room", 50)...)
	age(t, old, 40, 2*time.Hour)
	stores := []*Store{db.open(t, Options{Keep: time.Hour}), db.open(t, Options{Keep: time.Hour})}
	for _, s := range stores {
		post(t, s, say("room", "alice", "hi"))
	}
	eventually.True(t, "the old are removed and all is indexed", func() bool {
		return slices.Equal(idsOf(everything(t, old)), sequence(41, 52)) && slices.Equal(db.indexed(t, old), sequence(41, 52))
	})
	// When one is gone the others go on.
	if err := stores[0].Close(); err != nil {
		t.Fatal(err)
	}
	post(t, stores[1], say("room", "alice", "again"))
	eventually.True(t, "the last is indexed", func() bool { return slices.Equal(db.indexed(t, old), sequence(41, 53)) })
}

func pastIsForgotten(t *testing.T, db database) {
	s := db.open(t, Options{})
	now := models.TimeOf(time.Now())
	day := models.Time(activeFor.Milliseconds())
	create(t, s, "room", "")
	exec(t, s, `INSERT INTO participants (channel, sender, last_at) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT 'room', 'agent-' || i, ? FROM n`, 2*pruneBatch+10, now-day-1000)
	exec(t, s, "INSERT INTO participants (channel, sender, last_at) VALUES ('room', 'alice', ?)", now)
	exec(t, s, "INSERT INTO nodes (id, seen_at) VALUES ('gone', ?), ('here', ?)", now-day-1000, now)
	prune(t, s)
	var senders, nodes []string
	scan(t, s, &senders, "SELECT sender FROM participants")
	scan(t, s, &nodes, "SELECT id FROM nodes")
	if !slices.Equal(senders, []string{"alice"}) || !slices.Equal(nodes, []string{"here"}) {
		t.Errorf("left: %d senders, nodes %q", len(senders), nodes)
	}
}

func tendingTakesTurns(t *testing.T, db database) {
	s := db.open(t, Options{Keep: time.Hour})
	release := db.hold(t)
	const n = 4 * pruneBatch
	fill(t, s, n, func(i int) models.Draft { return say("room", "alice", "x").Draft })
	age(t, s, n, 2*time.Hour)
	// A turn that is over before it begins does no indexing and one batch of removing.
	if more, err := s.indexUntil(t.Context(), time.Now()); err != nil || !more || len(db.indexed(t, s)) > 0 {
		t.Errorf("%v, more %v, %d indexed", err, more, len(db.indexed(t, s)))
	}
	index(t, s)
	if left, err := s.prune(t.Context(), nil, time.Now(), time.Now()); err != nil || left == nil || len(everything(t, s)) != n-pruneBatch {
		t.Errorf("%v, left %v, %d messages", err, left, len(everything(t, s)))
	}
	// By itself it goes on until all is done.
	release()
	post(t, s, say("room", "alice", "young"))
	eventually.True(t, "all is done", func() bool { return len(everything(t, s)) == 1 })
}
