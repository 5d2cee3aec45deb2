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
