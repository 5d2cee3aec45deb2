package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// doorman lets connections in. It remembers those on which nothing was ever said, as browsers open them to have one
// ready: Fiber's shutdown waits for those as for a request that is on its way, and hush lets it go on.
type doorman struct {
	// Set by newDoorman and openServer, then constant.
	log  *slog.Logger
	most int // connections in all; 0: as many as there are descriptors for

	open atomic.Int64
	full atomic.Bool // the last that knocked was turned away

	// Guarded by mu.
	mu     sync.Mutex
	silent map[*accepted]struct{}
	hushed bool
}

func newDoorman(log *slog.Logger) *doorman {
	return &doorman{log: log, silent: map[*accepted]struct{}{}}
}

// listener wraps l so that its connections pass the doorman.
func (d *doorman) listener(l net.Listener) net.Listener {
	return &attended{Listener: l, doorman: d, closed: make(chan struct{})}
}

// hush ends what never spoke, now and from now on, as its client would: by end of file.
func (d *doorman) hush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hushed = true
	for c := range d.silent {
		_ = c.CloseRead()
	}
}

// turnedAway is what one connection too many is told.
const turnedAway = `{"error":"as many connections are open as this hub takes: close some, or come back in a moment (who runs it may raise --limit-all-connections, or its memory)","code":"unavailable"}`

// enter counts a connection, or turns it away if there are too many.
func (d *doorman) enter(c net.Conn) bool {
	if n := d.open.Add(1); d.most <= 0 || n <= int64(d.most) {
		d.full.Store(false)
		return true
	}
	d.open.Add(-1)
	if !d.full.Swap(true) {
		d.log.Warn("connections are turned away: as many are open as --limit-all-connections or the memory allow", "open", d.most)
	}
	_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // the first bytes on a connection wait for nobody
	_, _ = fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\nRetry-After: 5\r\nConnection: close\r\n\r\n%s",
		len(turnedAway), turnedAway)
	_ = c.Close()
	return false
}

func (d *doorman) welcome(c *accepted) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent[c] = struct{}{}
	if d.hushed {
		_ = c.CloseRead()
	}
}

func (d *doorman) forget(c *accepted) {
	if c.forgotten.Swap(true) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.silent, c)
}

// attended is a listener with a doorman.
type attended struct {
	net.Listener
	doorman *doorman
	closed  chan struct{}
	once    sync.Once // closes closed
}

// Accept waits while the machine has no descriptors or memory left for a connection: Fiber would take that for the end.
func (l *attended) Accept() (net.Conn, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		c, err := l.Listener.Accept()
		if tcp, ok := c.(*net.TCPConn); err == nil && ok {
			if !l.doorman.enter(tcp) {
				continue
			}
			a := &accepted{TCPConn: tcp, doorman: l.doorman}
			l.doorman.welcome(a)
			return a, nil
		}
		if err == nil || !passes(err) {
			return c, err
		}
		l.doorman.log.Warn("no connection can be accepted for the moment", "error", err, "pause", pause.String())
		select {
		case <-time.After(pause):
		case <-l.closed:
		}
	}
}

func (l *attended) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// passes says whether the next connection may be accepted although this one was not.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// accepted is a connection with all that TCP can do.
type accepted struct {
	*net.TCPConn
	doorman   *doorman
	forgotten atomic.Bool
	gone      atomic.Bool
}

func (a *accepted) Read(p []byte) (int, error) {
	n, err := a.TCPConn.Read(p)
	if n > 0 && !a.forgotten.Load() {
		a.doorman.forget(a)
	}
	return n, err
}

func (a *accepted) Close() error {
	a.doorman.forget(a)
	if !a.gone.Swap(true) {
		a.doorman.open.Add(-1)
	}
	return a.TCPConn.Close()
}
