package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
)

// pair is the two ends of a connection that passed d.
func pair(t *testing.T, d *doorman) (client, server net.Conn) {
	t.Helper()
	ls, _, err := open(t, []place{{"127.0.0.1", "0", false}})
	if err != nil {
		t.Fatal(err)
	}
	if client, err = net.Dial("tcp", ls[0].Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = d.listener(ls[0]).Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

func TestHushEndsWhatNeverSpoke(t *testing.T) {
	d := newDoorman(slog.New(slog.DiscardHandler))
	spoke, heard := pair(t, d)
	_, silent := pair(t, d)
	_, closed := pair(t, d)
	if _, err := spoke.Write([]byte("ab")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := heard.Read(b); err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	if len(d.silent) != 1 {
		t.Errorf("%d connections are remembered, want the silent one", len(d.silent))
	}
	d.hush()
	if n, err := silent.Read(b); err != io.EOF {
		t.Errorf("the silent one read %d bytes, %v", n, err)
	}
	if _, err := heard.Read(b); err != nil || b[0] != 'b' {
		t.Errorf("the one that spoke read %q, %v", b, err)
	}
	_, late := pair(t, d)
	if _, err := late.Read(b); err != io.EOF {
		t.Errorf("one that came afterwards: %v", err)
	}
}

// failing is a listener that fails with each of errs before it accepts.
type failing struct {
	net.Listener
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return f.Listener.Accept()
}

func TestAcceptsAgainOnceThereAreDescriptors(t *testing.T) {
	ls, _, err := open(t, []place{{"127.0.0.1", "0", false}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", ls[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	var logged bytes.Buffer
	d := newDoorman(slog.New(slog.NewTextHandler(&logged, nil)))
	l := d.listener(&failing{ls[0], []error{syscall.EMFILE, syscall.ECONNABORTED, syscall.ENFILE}})
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if n := strings.Count(logged.String(), "level=WARN"); n != 3 {
		t.Errorf("%d warnings for 3 failures:\n%s", n, logged.String())
	}
	if _, err := d.listener(&failing{ls[0], []error{net.ErrClosed}}).Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener: %v", err)
	}
	closed := d.listener(&failing{ls[0], []error{syscall.EMFILE}})
	_ = closed.Close()
	if _, err := closed.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed while it waited: %v", err)
	}
}

func TestConnectionsOfAllAreBounded(t *testing.T) {
	var log bytes.Buffer
	d := newDoorman(slog.New(slog.NewTextHandler(&log, nil)))
	d.most = 2
	ls, _, err := open(t, []place{{"127.0.0.1", "0", false}})
	if err != nil {
		t.Fatal(err)
	}
	in := make(chan net.Conn, 5)
	l := d.listener(ls[0])
	go func() {
		defer close(in)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in <- c
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", ls[0].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	clients := []net.Conn{dial(), dial()}
	first := <-in
	<-in
	for range 3 {
		more := dial()
		text, err := io.ReadAll(more)
		if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 503 ") || !strings.Contains(string(text), "--limit-all-connections") {
			t.Errorf("one too many is told %q, %v", text, err)
		}
		_ = more.Close()
	}
	_ = first.Close()
	_ = first.Close() // twice gives one place back
	clients = append(clients, dial())
	<-in
	more := dial()
	if text, err := io.ReadAll(more); err != nil || len(text) == 0 {
		t.Errorf("the next is told %q, %v", text, err)
	}
	for _, c := range append(clients, more) {
		_ = c.Close()
	}
	_ = l.Close()
	for range in {
	}
	if n := strings.Count(log.String(), "turned away"); n != 2 {
		t.Errorf("the log says it %d times:\n%s", n, log.String())
	}
}

func TestMemoryBoundsConnectionsAndBodies(t *testing.T) {
	for _, c := range []struct {
		limit            int64
		set, connections int
		bodies           int64
	}{
		{380 << 20, 0, 3040, 380 << 17}, {380 << 20, 10_000, 10_000, 380 << 17},
		{1 << 62, 0, 65536, 256 << 20}, {1 << 62, 7, 7, 256 << 20}, {1, 0, 100, 0},
	} {
		if n, b := connectionsIn(c.limit, c.set), bodiesIn(c.limit); n != c.connections || b != c.bodies {
			t.Errorf("in %d bytes, with %d set: %d connections, %d bytes of bodies", c.limit, c.set, n, b)
		}
	}
}
