package store

import (
	"path/filepath"
	"testing"

	"crosstalk/internal/eventually"
	"crosstalk/models"
)

// countedOnce is one of writerPromises.
func countedOnce(t *testing.T, db database) {
	s := db.open(t, Options{})
	keyed := say("room", "alice", "one").with(func(a *Append) { a.IdempotencyKey = "k" })
	post(t, s, keyed)
	if r := post(t, s, keyed); !r.Duplicate {
		t.Error("the second is no duplicate")
	}
	post(t, s, say("room", "alice", "two"))
	_, err := s.Append(t.Context(), say("room", "alice", "an answer to nothing").with(func(a *Append) { a.InReplyTo = 99 }))
	wantCode(t, err, models.Invalid)
	m := s.Meter()
	if n := m.Committed.Load(); n != 2 {
		t.Errorf("%d messages were committed", n)
	}
	if b, c := m.Batch.Read(), m.Commit.Read(); b.Count != 2 || b.Sum != 2 || c.Count != 2 || c.Sum <= 0 {
		t.Errorf("batches %+v in %+v", b, c)
	}
	if a := m.Ack.Read(); a.Count != 3 || a.Sum < m.Commit.Read().Sum {
		t.Errorf("answers took %+v", a)
	}
	if m.Failed.Load() != 0 || m.Oldest.Load() <= 0 || s.Queued() != 0 {
		t.Errorf("failed %d, oldest %d, queued %d", m.Failed.Load(), m.Oldest.Load(), s.Queued())
	}
}

// batchesAreCounted is one of writerPromises.
func batchesAreCounted(t *testing.T, db database) {
	s := db.open(t, Options{})
	release := db.block(t)
	const n = 40
	first := later(t.Context(), s, 1)
	eventually.True(t, "the first is being written", func() bool { return s.turn.Load()%2 == 1 })
	others := later(t.Context(), s, n-1)
	eventually.True(t, "another one waits", func() bool { return s.Queued() > 0 })
	release()
	wantCode(t, <-first, "")
	for range n - 1 {
		wantCode(t, <-others, "")
	}
	m := s.Meter()
	if b := m.Batch.Read(); b.Sum != n || b.Count < 2 || b.Count > n || m.Committed.Load() != n {
		t.Errorf("%d committed, batches %+v", m.Committed.Load(), b)
	}
	if a := m.Ack.Read(); a.Count != n {
		t.Errorf("%d answers", a.Count)
	}
}

func TestWritesThatFailAreCountedAsSuch(t *testing.T) {
	s := file(filepath.Join(t.TempDir(), "bus.db")).open(t, Options{})
	mend := troubles()[1].make(t, s)
	_, err := s.Append(t.Context(), say("room", "alice", "lost"))
	wantCode(t, err, models.Unavailable)
	m := s.Meter()
	if reads, writes := s.Works(); m.Failed.Load() != 1 || m.Committed.Load() != 0 || m.Ack.Read().Count != 0 || !reads || writes {
		t.Errorf("%d failed, %d committed, %d answered; it reads: %t, it writes: %t", m.Failed.Load(), m.Committed.Load(), m.Ack.Read().Count, reads, writes)
	}
	mend()
	post(t, s, say("room", "alice", "kept"))
	if _, writes := s.Works(); m.Committed.Load() != 1 || !writes {
		t.Errorf("%d committed after the mending; it writes: %t", m.Committed.Load(), writes)
	}
}
