package gather

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

const (
	perSender = 40 * time.Microsecond // a round of the hub and its clients takes about that for each of them
	longest   = 2 * time.Millisecond
	company   = 3  // fewer senders are not waited for
	rarest    = 63 // batches in a row that are not waited for
)

// Queue holds what waits. Put and Len may be called from any goroutine, the rest from one.
type Queue[T any] struct {
	waiting     chan T
	most, bytes int
	size        func(T) int

	need    atomic.Int64  // so many have to wait before Next goes on
	reached chan struct{} // size 1

	// Owned by the one that calls Next.
	timer *time.Timer
	taken int // by the last Next
	here  int // senders when the last batch was answered
	skip  int // batches not to wait for, after the next time nobody comes
	rest  int // of these
}

// New makes a queue that holds so many values, for batches of at most so many values and bytes.
func New[T any](waiting, most, bytes int, size func(T) int) *Queue[T] {
	q := &Queue[T]{waiting: make(chan T, waiting), most: most, bytes: bytes, size: size, reached: make(chan struct{}, 1)}
	q.need.Store(math.MaxInt64)
	return q
}

// Put adds a value, or returns ctx's error if that ends first.
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case q.waiting <- v:
	case <-ctx.Done():
		return ctx.Err()
	}
	if int64(len(q.waiting)) >= q.need.Load() {
		select {
		case q.reached <- struct{}{}:
		default:
		}
	}
	return nil
}

// Len is how many values wait.
func (q *Queue[T]) Len() int { return len(q.waiting) }

// Next returns the next batch, in the place of the last one's, or none when ctx has ended.
func (q *Queue[T]) Next(ctx context.Context, batch []T) []T {
	batch = batch[:0]
	select {
	case v := <-q.waiting:
		batch = q.take(append(batch, v))
	case <-ctx.Done():
		return batch
	}
	if missing := min(q.here, q.most) - len(batch); q.here >= company && missing > 0 && len(q.waiting) == 0 && q.patient() {
		q.await(missing)
		batch = q.take(batch)
	}
	q.taken = len(batch)
	return batch
}

// Answering is called when the last batch is about to be answered: whoever waits then, for an answer or in the queue, may be in the next one.
func (q *Queue[T]) Answering() { q.here = q.taken + len(q.waiting) }

// patient says whether to wait this time.
func (q *Queue[T]) patient() bool {
	if q.rest > 0 {
		q.rest--
		return false
	}
	return true
}

// await waits until n values are in the queue, and learns from whether they came.
func (q *Queue[T]) await(n int) {
	q.need.Store(int64(n))
	defer q.need.Store(math.MaxInt64)
	if len(q.waiting) >= n {
		return
	}
	long := min(time.Duration(q.here)*perSender, longest)
	if q.timer == nil {
		q.timer = time.NewTimer(long)
	} else {
		q.timer.Reset(long)
	}
	defer q.timer.Stop()
	for len(q.waiting) < n {
		select {
		case <-q.reached:
		case <-q.timer.C:
			q.skip = min(2*q.skip+1, rarest)
			q.rest = q.skip
			return
		}
	}
	q.skip = 0
}

// take adds to a batch what waits, as far as there is room.
func (q *Queue[T]) take(batch []T) []T {
	size := 0
	for _, v := range batch {
		size += q.size(v)
	}
	for len(batch) < q.most && size < q.bytes {
		select {
		case v := <-q.waiting:
			batch = append(batch, v)
			size += q.size(v)
		default:
			return batch
		}
	}
	return batch
}
