package wire

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"crosstalk/internal/socket"
)

// chunk is how many bytes a client has writeTime to take.
const chunk = 64 << 10

// response is the answer to one HTTP request: one JSON message, or a stream of events as soon as there is something to say
// before the answer. A stream that has nothing to say gives a sign of life.
type response struct {
	// Set by respond, then constant.
	w       http.ResponseWriter
	rc      *http.ResponseController
	streams bool               // the client can read a stream
	lost    context.CancelFunc // called when the client does not take what is written
	nc      net.Conn           // on which chunks can be written past net/http; nil: they cannot

	mu sync.Mutex
	// Guarded by mu.
	beat *time.Timer
	open bool            // as a stream
	raw  syscall.RawConn // of nc, once the head is written; nil: none
	over bool
	err  error
}

// respond begins the answer to r. It ends with a call of answer, or of end, before r's handler returns.
func respond(w http.ResponseWriter, r *http.Request, lost context.CancelFunc) *response {
	s := &response{w: w, rc: http.NewResponseController(w), lost: lost, streams: takesStream(r)}
	if r.ProtoMajor == 1 && r.ProtoMinor >= 1 { // else there are no chunks, or frames in their place
		s.nc = socket.Of(r.Context())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat = time.AfterFunc(beatEvery, s.tick)
	return s
}

func takesStream(r *http.Request) bool {
	return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/event-stream")
}

// start makes it a stream even without something to say.
func (s *response) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upgrade()
	return s.put(nil)
}

// event writes a message that comes before the answer. A client that reads no streams does not get it.
func (s *response) event(message []byte) error { return s.named("message", message) }

func (s *response) named(event string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errOver
	}
	if !s.streams {
		return nil
	}
	s.upgrade()
	err := s.put(eventOf(event, data))
	if err == nil {
		s.beat.Reset(beatEvery + time.Second) // this was as good a sign of life, and progress comes every beatEvery
	}
	return err
}

// try is event for who may not wait: it tells whether all was said at once. If not, nothing is on its way.
func (s *response) try(message []byte) bool {
	if !s.mu.TryLock() {
		return false // somebody writes
	}
	if s.over || s.raw == nil || s.err != nil {
		s.mu.Unlock()
		return false
	}
	room := scratch.Get().(*[]byte)
	defer scratch.Put(room)
	b := appendChunk((*room)[:0], "message", message)
	keep(room, b)
	n, err := socket.Write(s.raw, b)
	switch s.err = err; {
	case err != nil:
		s.lost()
	case n == 0:
		s.mu.Unlock()
		return false
	case n < len(b): // a chunk that was begun must be ended, so mu goes with the rest of it
		left := bytes.Clone(b[n:])
		go func() {
			defer s.mu.Unlock()
			s.rest(left)
		}()
		return true
	default:
		s.beat.Reset(beatEvery + time.Second)
	}
	s.mu.Unlock()
	return true
}

// eventBytes is how much longer an event is than its name and data.
const eventBytes = len("event: \ndata: \n\n")

func eventOf(name string, data []byte) []byte {
	return appendEvent(make([]byte, 0, eventBytes+len(name)+len(data)), name, data)
}

func appendEvent(b []byte, name string, data []byte) []byte {
	b = append(append(b, "event: "...), name...)
	b = append(append(b, "\ndata: "...), data...)
	return append(b, "\n\n"...)
}

// answer writes the last message. When it returns nil, all of it is on its way.
func (s *response) answer(message []byte, status int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errOver
	}
	s.finish()
	if s.open {
		return s.put(eventOf("message", message))
	}
	h := s.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(message)))
	s.w.WriteHeader(status)
	return s.put(message)
}

// end is for an answer that does not come: nothing is written any more.
func (s *response) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.finish()
	if !s.open {
		s.w.WriteHeader(http.StatusAccepted)
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime)) // for the end of the answer; a client that is gone needs none
}

// finish leaves the last word to its caller, who holds mu.
func (s *response) finish() {
	s.over = true
	s.beat.Stop()
}

// tick gives a sign of life: proxies and clients take a silent stream for dead.
func (s *response) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || !s.streams {
		return
	}
	s.upgrade()
	if s.put([]byte(": \n\n")) == nil {
		s.beat.Reset(beatEvery)
	}
}

// upgrade makes a stream of it, once. Its caller holds mu.
func (s *response) upgrade() {
	if s.open {
		return
	}
	s.open = true
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	s.w.WriteHeader(http.StatusOK)
}

// put writes b and flushes. Its caller holds mu.
func (s *response) put(b []byte) error {
	for first := true; s.err == nil && (first || len(b) > 0); first = false {
		n := min(len(b), chunk)
		_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime)) // fails only where there are none
		if _, s.err = s.w.Write(b[:n]); s.err == nil {
			s.err = s.rc.Flush()
		}
		b = b[n:]
	}
	if s.err != nil {
		s.lost()
		return s.err
	}
	if s.open && !s.over && s.nc != nil {
		_ = s.nc.SetWriteDeadline(time.Time{}) // it would hold for try, too
		if s.raw == nil {
			_, s.raw = socket.Below(s.nc)
		}
	}
	return nil
}

// appendChunk appends what net/http writes when it flushes an event. It has nothing of its own to write then, until the next
// Write: what comes in between may go past it.
func appendChunk(b []byte, name string, data []byte) []byte {
	b = append(strconv.AppendInt(b, int64(eventBytes+len(name)+len(data)), 16), "\r\n"...)
	return append(appendEvent(b, name, data), "\r\n"...)
}

// rest writes what the socket did not take at once. Its caller holds mu.
func (s *response) rest(b []byte) {
	_ = s.nc.SetWriteDeadline(time.Now().Add(writeTime))
	if _, s.err = s.nc.Write(b); s.err != nil {
		s.lost()
		return
	}
	_ = s.nc.SetWriteDeadline(time.Time{})
}
