package gather

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const round = 100 * time.Microsecond // from an answer to what is sent next

// call is a value with its answer.
type call struct{ answered chan struct{} }

// hub takes batches and answers them, as long as ctx goes on, each after commit.
type hub struct {
	t *testing.T
	*Queue[*call]
	commit  time.Duration
	batches []int
}

func (h *hub) serve(ctx context.Context) {
	for batch := h.Next(ctx, nil); len(batch) > 0; batch = h.Next(ctx, batch) {
		<-time.After(h.commit)
		h.batches = append(h.batches, len(batch))
		h.Answering()
		for _, c := range batch {
			close(c.answered)
		}
	}
}

// send returns how long it took to be answered.
func (h *hub) send() time.Duration {
	begun := time.Now()
	c := &call{make(chan struct{})}
	if err := h.Put(h.t.Context(), c); err != nil {
		h.t.Error(err)
	}
	<-c.answered
	return time.Since(begun)
}

// in runs fn beside a hub whose batches take a while, and returns their sizes.
func in(t *testing.T, commit time.Duration, fn func(h *hub)) (batches []int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &hub{t: t, Queue: New(1000, 64, 1000, func(*call) int { return 1 }), commit: commit}
		ctx, end := context.WithCancel(t.Context())
		served := make(chan struct{})
		go func() { h.serve(ctx); close(served) }()
		fn(h)
		end()
		<-served
		batches = h.batches
	})
	return batches
}

// flatOut has so many senders send so often, each a round after it was answered.
func flatOut(h *hub, senders, times int) {
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range times {
				<-time.After(round + rand.N(round/10))
				h.send()
			}
		})
	}
	wg.Wait()
}

func TestOneSenderIsNotKeptWaiting(t *testing.T) {
	t.Parallel()
	in(t, time.Millisecond, func(h *hub) {
		flatOut(h, 20, 3)
		time.Sleep(time.Second)
		h.send() // of the crowd nobody else is there: now that is known
		for range 100 {
			time.Sleep(round)
			if took := h.send(); took != time.Millisecond {
				t.Fatalf("a sender on its own was answered after %v", took)
			}
		}
	})
}

func TestWhoSendsAgainAtOnceIsInTheNextBatch(t *testing.T) {
	t.Parallel()
	for _, senders := range []int{3, 8, 32} {
		batches := in(t, 2*round, func(h *hub) { flatOut(h, senders, 50) })
		full := 0
		for _, n := range batches {
			if n == senders {
				full++
			}
		}
		if full < 40 {
			t.Errorf("of %d senders' batches only %d had them all: %v", senders, full, batches)
		}
	}
}

func TestNobodyIsWaitedForOverLong(t *testing.T) {
	t.Parallel()
	for rush, want := range map[int]time.Duration{1: 0, 2: 0, 3: 3 * perSender, 32: 32 * perSender, 49: 49 * perSender, 51: longest, 500: longest} {
		synctest.Test(t, func(t *testing.T) {
			q := New(1000, 1000, 1000, func(int) int { return 1 })
			for n := range rush {
				_ = q.Put(t.Context(), n)
			}
			batch := q.Next(t.Context(), nil)
			q.Answering()
			_ = q.Put(t.Context(), rush)
			begun := time.Now()
			if batch = q.Next(t.Context(), batch); len(batch) != 1 || time.Since(begun) != want {
				t.Errorf("after a rush of %d, %d came %v later", rush, len(batch), time.Since(begun))
			}
		})
	}
}

func TestWhereNobodyComesWaitsBecomeRare(t *testing.T) {
	t.Parallel()
	in(t, time.Millisecond, func(h *hub) {
		waited := 0
		for range 500 { // rounds of four who send together and take their time
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { h.send() })
			}
			wg.Wait()
			time.Sleep(time.Second)
			begun := time.Now()
			if h.send(); time.Since(begun) > time.Millisecond {
				waited++
			}
			time.Sleep(time.Second)
		}
		if waited < 5 || waited > 20 {
			t.Errorf("500 senders came by themselves after a rush, and %d were kept waiting", waited)
		}
	})
}

func TestABatchIsBoundedAndInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := New(100, 10, 50, func(n int) int { return n })
		for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 90, 1, 48, 3, 1} {
			if err := q.Put(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		var batch []int
		for _, want := range [][]int{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {11, 90}, {1, 48, 3}, {1}} {
			batch = q.Next(t.Context(), batch)
			if !slices.Equal(batch, want) {
				t.Fatalf("%v, not %v", batch, want)
			}
			q.Answering()
		}
		ctx, end := context.WithCancel(t.Context())
		end()
		if batch = q.Next(ctx, batch); len(batch) != 0 {
			t.Errorf("an ended queue gave %v", batch)
		}
	})
}

func TestPutWaitsForRoomAsLongAsItsContextLets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := New(2, 1, 1, func(int) int { return 1 })
		for n := range 2 {
			if err := q.Put(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		if err := q.Put(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("into a full queue: %v", err)
		}
		if err := q.Put(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the end: %v", err)
		}
		room := make(chan error)
		go func() { room <- q.Put(t.Context(), 4) }()
		synctest.Wait()
		if batch := q.Next(t.Context(), nil); !slices.Equal(batch, []int{0}) {
			t.Errorf("%v came first", batch)
		}
		if err := <-room; err != nil || q.Len() != 2 {
			t.Errorf("there is room: %v, %d wait", err, q.Len())
		}
	})
}
