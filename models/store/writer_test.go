package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"crosstalk/internal/eventually"
	"crosstalk/models"
)

func writerPromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"a locked database makes senders wait":      lockedMakesWait,
		"a full queue makes senders wait":           fullQueueMakesWait,
		"who gives up while waiting stores nothing": givingUpStoresNothing,
		"close answers what was accepted":           closeAnswers,
		"what waits is committed together":          waitingIsCommittedTogether,
		"large messages make small batches":         largeMakeSmallBatches,
		"what is stored is counted once":            countedOnce,
		"batches are counted as they are committed": batchesAreCounted,
	}
}

// later appends n messages from a goroutine each and returns their answers.
func later(ctx context.Context, s *Store, n int) (answers chan error) {
	answers = make(chan error, n)
	for i := range n {
		go func() {
			_, err := s.Append(ctx, say("room", "alice", fmt.Sprint(i)))
			answers <- err
		}()
	}
	return answers
}

// watch counts how often somebody began to wait for the end of ctx.
func watch(ctx context.Context) (context.Context, *atomic.Int64) {
	w := watched{ctx, new(atomic.Int64)}
	return w, w.asked
}

type watched struct {
	context.Context
	asked *atomic.Int64
}

func (w watched) Done() <-chan struct{} {
	w.asked.Add(1)
	return w.Context.Done()
}

func lockedMakesWait(t *testing.T, db database) {
	s := db.open(t, Options{})
	release := db.block(t)
	ctx, asked := watch(t.Context())
	answers := later(ctx, s, 10)
	eventually.True(t, "all wait", func() bool { return asked.Load() == 10 })
	if len(answers) > 0 || len(everything(t, s)) > 0 {
		t.Fatal("somebody was answered while the database was locked")
	}
	release()
	for range 10 {
		wantCode(t, <-answers, "")
	}
	if n := len(everything(t, s)); n != 10 {
		t.Errorf("%d messages are stored", n)
	}
}

func fullQueueMakesWait(t *testing.T, db database) {
	s := db.open(t, Options{})
	release := db.block(t)
	const n = maxQueue + maxBatch + 100
	answers := later(t.Context(), s, n)
	eventually.True(t, "the queue is full", func() bool { return s.queue.Len() == maxQueue })
	if len(answers) > 0 {
		t.Fatalf("%d were answered while nothing could be written: %v", len(answers), <-answers)
	}
	release()
	for range n {
		wantCode(t, <-answers, "")
	}
	if got := len(everything(t, s)); got != n {
		t.Errorf("%d messages are stored, %d were acknowledged", got, n)
	}
}

func givingUpStoresNothing(t *testing.T, db database) {
	s := db.open(t, Options{})
	ended, end := context.WithCancel(t.Context())
	end()
	for range 50 {
		if err := <-later(ended, s, 1); !errors.Is(err, context.Canceled) {
			t.Fatalf("a sender who had left was answered %v", err)
		}
	}
	release := db.block(t)
	const queued = maxQueue + maxBatch
	answers := later(t.Context(), s, queued)
	eventually.True(t, "the queue is full", func() bool { return s.queue.Len() == maxQueue })
	ctx, cancel := context.WithCancel(t.Context())
	ctx, asked := watch(ctx)
	impatient := later(ctx, s, 20)
	eventually.True(t, "the impatient wait for a place", func() bool { return asked.Load() == 20 })
	cancel()
	gone := 0
	for range 20 {
		if err := <-impatient; errors.Is(err, context.Canceled) {
			gone++
		} else {
			t.Errorf("an impatient sender was answered %v", err)
		}
	}
	release()
	for range queued {
		wantCode(t, <-answers, "")
	}
	if got := len(everything(t, s)); gone != 20 || got != queued {
		t.Errorf("%d gave up, %d messages are stored, %d were acknowledged", gone, got, queued)
	}
}

func closeAnswers(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	release := db.block(t)
	const n = maxBatch + 200
	answers := later(t.Context(), s, n)
	eventually.True(t, "most wait", func() bool { return s.queue.Len() >= 100 })
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	eventually.True(t, "new ones are refused", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.closed
	})
	if _, err := s.Append(t.Context(), say("room", "late", "late")); models.CodeOf(err) != models.Unavailable {
		t.Errorf("an append after the close was answered %v", err)
	}
	select {
	case err := <-closed:
		t.Fatalf("closed with appends unanswered: %v", err)
	default:
	}
	release()
	wantCode(t, <-closed, "")
	stored := 0
	for range n {
		if err := <-answers; err == nil {
			stored++
		} else if models.CodeOf(err) != models.Unavailable {
			t.Error(err)
		}
	}
	if got := len(everything(t, other)); got != stored || stored < 100 {
		t.Errorf("%d messages are stored, %d were acknowledged", got, stored)
	}
	if _, err := s.Append(t.Context(), say("room", "late", "late")); models.CodeOf(err) != models.Unavailable {
		t.Errorf("an append to a closed store was answered %v", err)
	}
}

func waitingIsCommittedTogether(t *testing.T, db database) {
	s := db.open(t, Options{})
	var commits, largest int
	s.OnCommit(func(batch []models.Message) {
		commits++
		largest = max(largest, len(batch))
	})
	release := db.block(t)
	ctx, asked := watch(t.Context())
	const n = maxBatch + 50
	answers := later(ctx, s, n)
	eventually.True(t, "all wait", func() bool { return asked.Load() == n })
	release()
	for range n {
		wantCode(t, <-answers, "")
	}
	// What the writer had taken already, a full batch, the rest.
	if commits > 3 || largest > maxBatch || largest < n/3 {
		t.Errorf("%d messages took %d commits, the largest of %d", n, commits, largest)
	}
}

func largeMakeSmallBatches(t *testing.T, db database) {
	s := db.open(t, Options{})
	var commits, largest int
	s.OnCommit(func(batch []models.Message) {
		commits++
		largest = max(largest, len(batch))
	})
	release := db.block(t)
	const full = maxBatchBytes / models.MaxContent
	ctx, asked := watch(t.Context())
	var wg sync.WaitGroup
	content := strings.Repeat("x", models.MaxContent)
	for range 2*full + 1 {
		wg.Go(func() {
			_, err := s.Append(ctx, say("room", "alice", content))
			wantCode(t, err, "")
		})
	}
	eventually.True(t, "all wait", func() bool { return asked.Load() == 2*full+1 })
	release()
	wg.Wait()
	if largest > full || largest < full/2 || commits < 3 || commits > 4 {
		t.Errorf("%d large messages took %d commits, the largest of %d", 2*full+1, commits, largest)
	}
}

// stored is a batch of messages with the ids from first to last.
func stored(first, last int64, content string) (batch []models.Message) {
	for id := first; id <= last; id++ {
		batch = append(batch, models.Message{ID: id, Content: content})
	}
	return batch
}

func TestFreshGivesWhatComesNextOrNothing(t *testing.T) {
	t.Parallel()
	var f fresh
	ask := func(after int64, most int, want ...int64) {
		t.Helper()
		var got []int64
		for _, m := range f.next(after, most) {
			got = append(got, m.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("after %d: %v, not %v", after, got, want)
		}
	}
	ask(0, 10)
	f.add(stored(5, 7, "hi"))
	f.add(stored(8, 9, "hi"))
	ask(3, 10)         // 4 is not here
	ask(4, 3, 5, 6, 7) // at most so many
	ask(4, 10, 5, 6, 7, 8, 9)
	ask(7, 10, 8, 9)
	ask(4, 10) // forgotten
	f.add(stored(11, 12, "hi"))
	ask(9, 10) // 10 is another process's
	ask(10, 10, 11, 12)
	ask(20, 10)
	if len(f.messages) != 0 || f.size != 0 {
		t.Errorf("%d messages of %d bytes are held, and none is wanted", len(f.messages), f.size)
	}
}

func TestFreshIsBounded(t *testing.T) {
	t.Parallel()
	var f fresh
	f.add(stored(1, freshMessages+10, ""))
	if n := len(f.messages); n != freshMessages {
		t.Errorf("%d messages are held", n)
	}
	f.add(stored(freshMessages+11, freshMessages+30, strings.Repeat("x", models.MaxContent)))
	if f.size > freshBytes || len(f.messages) != freshBytes/models.MaxContent {
		t.Errorf("%d messages of %d bytes are held", len(f.messages), f.size)
	}
}
