package ws

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// queueOf returns an empty queue, and conns for it.
func queueOf(conns int) (*runQueue, []*conn) {
	q := new(runQueue)
	q.ready.L = &q.mu
	all := make([]*conn, conns)
	for i := range all {
		all[i] = new(conn)
	}
	return q, all
}

func TestRunQueueIsFirstInFirstOut(t *testing.T) {
	q, conns := queueOf(5)
	for round := range 3 {
		for _, c := range conns[:3] {
			q.push(c)
		}
		if q.pop() != conns[0] {
			t.Fatal("not the first")
		}
		q.push(conns[3])
		for i := 1; i <= 3; i++ {
			if q.pop() != conns[i] {
				t.Fatalf("round %d: not number %d", round, i)
			}
		}
	}
	q.push(conns[0])
	q.close()
	if q.pop() != nil {
		t.Error("a closed queue gives nothing")
	}
}

// work takes conns as so many workers, for a while each, until the queue is closed, and returns when it took each.
func work(q *runQueue, workers int, each time.Duration) (times func() []time.Duration) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var taken []time.Duration
	begun := time.Now()
	for range workers {
		wg.Go(func() {
			for q.pop() != nil {
				mu.Lock()
				taken = append(taken, time.Since(begun))
				mu.Unlock()
				<-time.After(each)
			}
		})
	}
	return func() []time.Duration {
		q.close()
		wg.Wait()
		return taken
	}
}

func TestAfterALongRoundConnsWaitForOneAnother(t *testing.T) {
	t.Parallel()
	const us = time.Microsecond
	for name, c := range map[string]struct {
		each       time.Duration // conn
		then, last time.Duration // when two more come
		want       [2]time.Duration
	}{
		"within the pause, together":   {200 * us, 500 * us, 1100 * us, [2]time.Duration{1200 * us, 1200 * us}},
		"the pause is no longer":       {800 * us, 1700 * us, 2500 * us, [2]time.Duration{2600 * us, 2600 * us}},
		"behind the pause, at once":    {200 * us, 1201 * us, 3000 * us, [2]time.Duration{1201 * us, 3000 * us}},
		"after a short round, at once": {10 * us, 40 * us, 41 * us, [2]time.Duration{40 * us, 41 * us}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, conns := queueOf(7)
				times := work(q, 2, c.each)
				for _, conn := range conns[:5] { // one is still written to when the round has ended
					q.push(conn)
				}
				time.Sleep(c.then)
				q.push(conns[5])
				time.Sleep(c.last - c.then)
				q.push(conns[6])
				time.Sleep(10 * time.Millisecond)
				taken := times()
				if len(taken) != 7 || [2]time.Duration(taken[5:]) != c.want {
					t.Errorf("taken at %v, and not the last two at %v", taken, c.want)
				}
			})
		})
	}
}

func TestAQueueIsClosedDuringAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, conns := queueOf(2)
		times := work(q, 1, 400*time.Microsecond)
		q.push(conns[0])
		time.Sleep(500 * time.Microsecond)
		q.push(conns[1])
		synctest.Wait()
		if taken := times(); len(taken) != 1 {
			t.Errorf("taken at %v", taken)
		}
	})
}
