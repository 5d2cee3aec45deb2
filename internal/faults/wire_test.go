package faults

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// wire stands between a node and its database, and can be cut.
type wire struct {
	// Set by newWire, then constant.
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	state  wireState
	mended *sync.Cond
	ends   map[net.Conn]bool // of all connections, both
}

type wireState int

const (
	joined wireState = iota
	torn             // connections are reset, new ones are too
	silent           // nothing comes through, and nobody is told
	gone
)

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, to: to, ends: map[net.Conn]bool{}}
	w.mended = sync.NewCond(&w.mu)
	w.running.Go(w.accept)
	t.Cleanup(func() {
		_ = l.Close()
		w.set(gone)
		w.running.Wait()
	})
	return w
}

// through is a database's URL by way of the wire.
func (w *wire) through(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = w.listener.Addr().String()
	return u.String()
}

// set cuts the wire or mends it. What was on its way through a silent one gets there when it is mended.
func (w *wire) set(state wireState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = state
	w.mended.Broadcast()
	if state == torn || state == gone {
		for c := range w.ends {
			reset(c)
		}
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (w *wire) accept() {
	for {
		in, err := w.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil || !w.join(in, out) {
			reset(in)
			if err == nil {
				reset(out)
			}
			continue
		}
		w.running.Go(func() { w.carry(in, out) })
		w.running.Go(func() { w.carry(out, in) })
	}
}

func (w *wire) join(in, out net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == torn || w.state == gone {
		return false
	}
	w.ends[in], w.ends[out] = true, true
	return true
}

// carry moves bytes one way until one end is closed.
func (w *wire) carry(from, to net.Conn) {
	defer func() {
		_ = from.Close()
		_ = to.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.ends, from)
		delete(w.ends, to)
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !w.open() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if tcp, ok := to.(*net.TCPConn); ok && err == io.EOF {
				_ = tcp.CloseWrite()
			}
			return
		}
	}
}

// open waits while the wire is silent and says whether it is still there.
func (w *wire) open() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.state == silent {
		w.mended.Wait()
	}
	return w.state == joined
}
