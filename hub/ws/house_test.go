package ws

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"crosstalk/auth"
	"crosstalk/hub"
	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a whole bus: a store on disk, its hub, and the door under test behind net/http.
type house struct {
	t    testing.TB
	hub  *hub.Hub
	srv  *Server
	gate *auth.Gate
	addr string
	dial func() (net.Conn, error)
	stop func() // ends the door's Run
}

// newHouse opens a bus on a socket of this machine.
func newHouse(t testing.TB, c auth.Config) *house {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, addr: ln.Addr().String()}
	h.dial = func() (net.Conn, error) { return net.Dial("tcp", h.addr) }
	h.open(c, ln)
	return h
}

// newBubble opens a bus on pipes, for a synctest bubble, whose clock is fake.
func newBubble(t testing.TB, c auth.Config) *house {
	ln := pipes(make(chan net.Conn))
	h := &house{t: t, addr: "localhost"}
	h.dial = func() (net.Conn, error) {
		client, server := net.Pipe()
		ln <- server
		return client, nil
	}
	h.open(c, ln)
	return h
}

func (h *house) open(c auth.Config, ln net.Listener) {
	h.t.Helper()
	st, err := store.Open(context.Background(), store.Options{Path: filepath.Join(h.t.TempDir(), "bus.db")})
	if err != nil {
		h.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(complaints{h.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if h.hub, err = hub.New(st, hub.Options{Log: log}); err != nil {
		h.t.Fatal(err)
	}
	c.Keys = access.New(st)
	if h.gate, err = auth.New(c); err != nil {
		h.t.Fatal(err)
	}
	h.srv = New(Options{Hub: h.hub, Gate: h.gate, Version: "1.2.3", Log: log})
	web := &http.Server{Handler: h.srv, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	hubCtx, stopHub := context.WithCancel(context.Background())
	running.Go(func() { _ = h.hub.Run(hubCtx) })
	running.Go(func() { _ = h.srv.Run(ctx) })
	running.Go(func() { _ = web.Serve(ln) })
	eventually(h.t, "Run has begun", func() bool {
		h.srv.mu.Lock()
		defer h.srv.mu.Unlock()
		return h.srv.phase == open
	})
	h.t.Cleanup(func() {
		stop()
		_ = web.Close()
		h.hub.Drain()
		stopHub()
		running.Wait()
		if err := st.Close(); err != nil {
			h.t.Errorf("close the store: %v", err)
		}
		if n := h.srv.Len(); n != 0 {
			h.t.Errorf("%d connections are left", n)
		}
	})
}

// publish stores a message from outside the door.
func (h *house) publish(channel, sender, content string) models.Receipt {
	h.t.Helper()
	draft, err := models.ParseDraft(models.Draft{Channel: channel, Sender: sender, Content: content})
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := h.hub.Publish(context.Background(), shared(), draft)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func shared() models.Principal { return models.Principal{Name: models.SharedPrincipal} }

// complaints fails a test in which something was logged as wrong, other than what the end of the house interrupts.
type complaints struct{ t testing.TB }

func (c complaints) Write(p []byte) (int, error) {
	if !bytes.Contains(p, []byte(context.Canceled.Error())) {
		c.t.Errorf("logged: %s", p)
	}
	return len(p), nil
}

// pipes is a listener for net.Pipe.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, io.EOF
	}
	return c, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// eventually waits for what other goroutines are about to make true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still not: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func channelName(i int) string { return fmt.Sprintf("room-%d", i) }
