package main

import (
	"errors"
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
	log *slog.Logger

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
	return a.TCPConn.Close()
}
