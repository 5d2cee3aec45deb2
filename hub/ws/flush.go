package ws

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"crosstalk/hub"
	"crosstalk/internal/socket"
	"crosstalk/models/meter"
)

const (
	batchBytes = 64 << 10         // of frames gathered for one write
	stall      = 10 * time.Second // how long a socket may take nothing
)

// Whose turn it is with a conn. Only wake and the one whose turn it is change it.
const (
	idle    int32 = iota // nobody's; there was nothing to do
	queued               // a worker's, when the run queue comes to it
	running              // a worker's or drain's
	again                // likewise, and there may be more than was seen
)

// wake makes sure that somebody looks after the call at what there is to write. It never blocks, and costs one look
// at turn when the conn is queued already.
func (c *conn) wake() {
	for {
		switch c.turn.Load() {
		case idle:
			if c.turn.CompareAndSwap(idle, queued) {
				c.srv.queue.push(c)
				return
			}
		case running:
			if c.turn.CompareAndSwap(running, again) {
				return
			}
		default: // who is to look has not begun to
			return
		}
	}
}

// requeue ends a turn: the next one comes after those of the conns that wait.
func (c *conn) requeue() {
	c.turn.Store(queued)
	c.srv.queue.push(c)
}

// batch is what one turn writes. It belongs to one goroutine.
type batch struct {
	buf     []byte // whole frames
	done    int    // bytes of buf that are written
	count   int    // of messages in buf
	oldest  int64  // when the first of them was handed in that was in memory; 0: none was
	entries []*hub.Entry
	behind  []*stream // streams whose next messages must be read from the log
	more    bool      // there may be more: buf is full
	last    bool      // buf ends with the close frame

	attempt socket.Attempt // to write buf
}

func (b *batch) reset() {
	if cap(b.buf) > 4*batchBytes {
		b.buf = nil
	}
	clear(b.behind)
	*b = batch{buf: b.buf[:0], entries: b.entries[:0], behind: b.behind[:0]}
}

// flush is a worker: it gives conns their turns until the run queue closes. It waits for nothing but the queue.
func (s *Server) flush() {
	b := s.batches.Get().(*batch)
	try := b.attempt.Write
	cell := s.meter.Cell()
	for {
		c := s.queue.pop()
		if c == nil {
			return
		}
		c.turn.Store(running)
		c.gather(b)
		if c.raw != nil && len(b.buf) > 0 {
			b.attempt = socket.Attempt{B: b.buf}
			if err := c.raw.Write(try); err != nil || b.attempt.Err != nil {
				c.kill()
				continue // with a turn that never ends: the dead need none
			}
			b.done = b.attempt.N
		}
		if b.done < len(b.buf) || len(b.behind) > 0 {
			full := b
			s.work.Go(func() { c.drain(full) })
			b = s.batches.Get().(*batch)
			try = b.attempt.Write
			continue
		}
		if b.count > 0 {
			cell.Wrote(b.count, b.oldest, s.lap.Load())
		}
		if b.last {
			c.wrote()
		}
		if b.more || !c.turn.CompareAndSwap(running, idle) {
			c.requeue()
		}
	}
}

// drain is a turn in a goroutine of its own. It waits for the socket to take b, then for the log until all streams
// have caught up with memory, and goes back to the queue.
func (c *conn) drain(b *batch) {
	for {
		if !c.push(b) {
			c.kill()
			return
		}
		c.srv.arrived(b)
		if b.last {
			c.wrote()
		}
		if len(b.behind) == 0 {
			break
		}
		c.gather(b)
		c.catchUp(b)
	}
	b.reset()
	c.srv.batches.Put(b)
	c.requeue()
}

// arrived counts what was written by somebody who has no cell.
func (s *Server) arrived(b *batch) {
	if b.oldest > 0 {
		s.meter.Arrive(time.Duration(meter.Now() - b.oldest))
	}
	s.meter.Deliver(b.count)
}

// push writes b, waiting for as long as the socket takes something every now and then. Who takes nothing is told that
// it is too slow, if it should wake up soon.
func (c *conn) push(b *batch) bool {
	if b.done == len(b.buf) {
		return true
	}
	defer func() { _ = c.nc.SetWriteDeadline(time.Time{}) }() // fails only when closed
	for b.done < len(b.buf) {
		begun := time.Now()
		_ = c.nc.SetWriteDeadline(begun.Add(stall))
		n, err := c.nc.Write(b.buf[b.done:])
		b.done += n
		if n > 0 && time.Since(begun) > time.Second {
			c.heard.Store(true) // the peer made room; a ping may be far behind in what it has yet to read
		}
		switch {
		case err == nil || n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, os.ErrDeadlineExceeded) && c.giveUp(b):
		default:
			return false
		}
	}
	return true
}

// giveUp puts a close frame in the place of all that b holds after the frame that was begun; false when one has been
// queued already. The client resumes from the last message that it got.
func (c *conn) giveUp(b *batch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bye != nil || c.dead {
		return false
	}
	c.leave(appendClose(nil, closeSlow, "too slow: nothing was read for 10 s; come back and resume"))
	c.over = true
	b.buf = append(b.buf[:frameEnd(b.buf, b.done)], c.bye...)
	b.last, b.count, b.oldest = true, 0, 0 // how many of them the client has cannot be known
	c.srv.meter.Slow.Add(1)
	return true
}

func (c *conn) wrote() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = true
	c.room.Broadcast()
}

// gather fills b with what is to be written next and is in memory.
func (c *conn) gather(b *batch) {
	b.reset()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.dead {
		return
	}
	b.buf = append(b.buf, c.out...)
	if len(c.out) > maxAnswers {
		c.room.Broadcast()
	}
	c.out = nil // an idle conn keeps no buffer
	if c.bye != nil {
		b.buf = append(b.buf, c.bye...)
		b.last, c.over = true, true
		return
	}
	news := c.news(b)
	for i := range c.streams {
		if len(b.buf) >= batchBytes {
			break
		}
		st := c.streams[(c.first+i)%len(c.streams)]
		var behind bool
		b.entries, behind = st.sub.Ready(b.entries[:0], batchBytes-len(b.buf))
		c.deliver(b, st)
		if behind {
			b.behind = append(b.behind, st)
		}
	}
	c.first++
	b.more = news || len(b.buf) >= batchBytes
	if c.tell && !b.more && len(b.behind) == 0 {
		c.tell = false
		if at := c.position(); at > c.told {
			c.told = at
			var frame [64]byte
			b.buf = appendText(b.buf, appendPosition(frame[:0], at))
		}
	}
}

// deliver moves entries that came from st into the buffer. The caller holds mu.
func (c *conn) deliver(b *batch, st *stream) {
	for _, e := range b.entries {
		if e.ID > st.from {
			b.buf = appendText(b.buf, e.Event)
			if b.count++; b.oldest == 0 {
				b.oldest = e.HandedIn
			}
			c.told = max(c.told, e.ID)
		}
	}
	st.at = max(st.at, st.sub.Position())
	clear(b.entries)
}

// catchUp reads from the log for the streams that are behind. It holds no lock while it does.
func (c *conn) catchUp(b *batch) {
	for _, st := range slices.Clone(b.behind) {
		room := batchBytes - len(b.buf)
		if room <= 0 {
			return
		}
		var err error
		b.entries, err = st.sub.Read(c.srv.ctx, b.entries[:0], room)
		c.mu.Lock()
		gone := st.gone || c.bye != nil || c.dead
		if err == nil && !gone {
			c.deliver(b, st)
		}
		c.mu.Unlock()
		if err != nil && !gone {
			if !errors.Is(err, context.Canceled) {
				c.srv.log.Error("websocket cannot read the log", "error", err)
			}
			c.close(closeLater, "the log cannot be read now; come back and resume")
			return
		}
	}
}
