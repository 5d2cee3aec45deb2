package ws

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"crosstalk/auth"
	"crosstalk/hub"
	"crosstalk/models/meter"
)

// Every beatEvery a connection is pinged, and ended if nothing came since the ping before.
const (
	beatEvery = 25 * time.Second
	slots     = 50 // of the wheel: connections are spread over them, so that their pings are too
)

// Options are what a Server is made of.
type Options struct {
	Hub     *hub.Hub
	Gate    *auth.Gate
	Version string
	Log     *slog.Logger
	Meter   *meter.Door // nil: nobody looks at what is counted
}

// Server accepts and owns the WebSockets of one process.
type Server struct {
	// Set by New, then constant.
	hub     *hub.Hub
	gate    *auth.Gate
	version string
	log     *slog.Logger
	meter   *meter.Door
	lap     atomic.Int64    // changes at every tick: for meter.Cell
	ctx     context.Context // of commands and of reading the log; ends with Run
	cancel  context.CancelFunc
	left    chan struct{} // size 1: a connection has gone
	large   chan struct{} // has one for each large message that is read or obeyed
	queue   runQueue
	batches sync.Pool
	texts   sync.Pool

	work sync.WaitGroup // of all goroutines, and of handshakes

	mu sync.Mutex
	// Guarded by mu.
	phase phase
	wheel [slots][]*conn // every connection, by the slot whose turn pings it
	count int
	next  int // slot of the next connection
}

// phase says what a Server does with a new connection.
type phase int

const (
	open     phase = iota // accept it
	draining              // no more
	shut                  // Run has ended
)

// New makes a Server. Connections that come before Run runs are accepted, and wait for it.
func New(o Options) *Server {
	s := &Server{hub: o.Hub, gate: o.Gate, version: o.Version, log: o.Log, meter: o.Meter, left: make(chan struct{}, 1), large: make(chan struct{}, largeTexts)}
	if s.meter == nil {
		s.meter = &meter.Door{}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.queue.ready.L = &s.queue.mu
	s.batches.New = func() any { return new(batch) }
	s.texts.New = func() any { return new(bytes.Buffer) }
	return s
}

// Run does the writing and pinging for all connections until ctx ends, then closes those that are left, at once. It
// returns when no goroutine of the Server is left. Call it once.
func (s *Server) Run(ctx context.Context) error {
	for range runtime.GOMAXPROCS(0) {
		s.work.Go(s.flush)
	}
	ticker := time.NewTicker(beatEvery / slots)
	defer ticker.Stop()
	for slot := 0; ctx.Err() == nil; slot = (slot + 1) % slots {
		select {
		case <-ticker.C:
			s.lap.Add(1)
			for _, c := range s.slot(slot) {
				c.beat()
			}
		case <-ctx.Done():
		}
	}
	s.setPhase(shut)
	s.cancel()
	for _, c := range s.all() {
		c.kill()
	}
	s.queue.close()
	s.work.Wait()
	return nil
}

// Drain accepts no more connections and asks every client to leave, with 1012 and a time after which to come back that
// differs from client to client. It returns when all have left. Those that have not when ctx ends are closed.
func (s *Server) Drain(ctx context.Context) {
	s.setPhase(draining)
	conns := s.all()
	for _, c := range conns {
		c.close(closeRestart, retry(len(conns)))
	}
	for s.Len() > 0 && ctx.Err() == nil {
		select {
		case <-s.left:
		case <-ctx.Done():
		}
	}
	s.setPhase(shut) // also for those who were coming in when it began to drain
	for _, c := range s.all() {
		c.kill()
	}
	for s.Len() > 0 {
		<-s.left
	}
}

// retry says when to come back, so that of so many clients some 200 do in a second, and all within 20 s.
func retry(clients int) string {
	spread := min(max(5*clients, 1000), 20_000)
	return fmt.Sprintf("restarting; retry in %d ms", 100+rand.IntN(spread))
}

// Len returns the number of open connections.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func (s *Server) setPhase(p phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = p
}

// enter counts the caller as work of the Server, or says that it takes no more.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != open {
		return false
	}
	s.work.Add(1)
	return true
}

// add takes c into the wheel. It returns the phase, which may have changed since c was let in.
func (s *Server) add(c *conn) phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.slot = s.next
	s.next = (s.next + 1) % slots
	c.index = len(s.wheel[c.slot])
	s.wheel[c.slot] = append(s.wheel[c.slot], c)
	s.count++
	s.meter.Open.Store(int64(s.count))
	return s.phase
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.wheel[c.slot]
	last := slot[len(slot)-1]
	slot[c.index], last.index = last, c.index
	slot[len(slot)-1] = nil
	s.wheel[c.slot] = slot[:len(slot)-1]
	s.count--
	s.meter.Open.Store(int64(s.count))
	select {
	case s.left <- struct{}{}:
	default:
	}
}

func (s *Server) slot(i int) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*conn(nil), s.wheel[i]...)
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*conn, 0, s.count)
	for _, slot := range s.wheel {
		conns = append(conns, slot...)
	}
	return conns
}
