package ws

import (
	"sync"
	"time"
)

// After a round, which ends when no conn waits, the workers pause for twice its time, so that what is committed meanwhile
// goes to each conn in one write: it costs 4 us, and the peer as much, whatever is in it. Flat out to 100 conns that saves a
// fifth of all CPU, and no message is later; at 1,000 messages a second a message is 0.3 ms later.
const (
	shortestPause = 100 * time.Microsecond // after the round of a few conns there is none: no timer is that exact
	longestPause  = time.Millisecond
)

// runQueue holds the conns that wait for a worker, linked through behindMe.
type runQueue struct {
	mu sync.Mutex
	// Guarded by mu.
	ready       sync.Cond // there is a conn, or the queue is closed
	front, back *conn
	closed      bool
	begun       time.Time // the round that goes on; zero: none does
	next        time.Time // no round begins sooner
}

func (q *runQueue) push(c *conn) {
	q.mu.Lock()
	if q.front == nil {
		q.front = c
	} else {
		q.back.behindMe = c
	}
	q.back = c
	q.mu.Unlock()
	q.ready.Signal()
}

// pop waits for a conn; nil when the queue was closed.
func (q *runQueue) pop() *conn {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed {
		switch {
		case q.front == nil:
			q.end()
			q.ready.Wait()
		case q.begun.IsZero():
			q.begin()
		default:
			c := q.front
			q.front, c.behindMe = c.behindMe, nil
			return c
		}
	}
	return nil
}

// begin begins a round if one may. Else it waits until then, and conns stay in the queue: the caller, who holds mu, has
// to look again.
func (q *runQueue) begin() {
	now := time.Now()
	pause := q.next.Sub(now)
	if pause <= 0 {
		q.begun = now
		return
	}
	q.mu.Unlock()
	time.Sleep(pause)
	q.mu.Lock()
}

// end ends the round, if one goes on. The caller holds mu.
func (q *runQueue) end() {
	if q.begun.IsZero() {
		return
	}
	now := time.Now()
	if pause := min(2*now.Sub(q.begun), longestPause); pause >= shortestPause {
		q.next = now.Add(pause)
	}
	q.begun = time.Time{}
}

func (q *runQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.ready.Broadcast()
}
