package dial

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"crosstalk/auth"
	"crosstalk/hub"
	"crosstalk/hub/ws"
	"crosstalk/models"
	"crosstalk/models/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errRefused = errors.New("nobody listens")

// house is a hub that can be stopped, killed and started again, reached over pipes whose ends the test holds.
type house struct {
	t    *testing.T
	db   string
	keep time.Duration
	key  string

	hub  *hub.Hub
	stop func(drain bool) // nil while it is down

	mu sync.Mutex
	// Guarded by mu.
	door  pipes // nil while it is down
	wrap  func(net.Conn) net.Conn
	dials []time.Time
}

// inBubble runs a test with a hub in a bubble, whose clock is fake.
func inBubble(t *testing.T, test func(t *testing.T, h *house)) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, db: filepath.Join(t.TempDir(), "bus.db")}
		t.Cleanup(func() {
			if h.stop != nil {
				h.stop(false)
			}
		})
		test(t, h)
	})
}

func (h *house) start() {
	h.t.Helper()
	st, err := store.Open(context.Background(), store.Options{Path: h.db, Keep: h.keep})
	if err != nil {
		h.t.Fatal(err)
	}
	if h.hub, err = hub.New(st, hub.Options{}); err != nil {
		h.t.Fatal(err)
	}
	gate, err := auth.New(auth.Config{Key: h.key})
	if err != nil {
		h.t.Fatal(err)
	}
	srv := ws.New(ws.Options{Hub: h.hub, Gate: gate, Version: "1", Log: slog.New(slog.DiscardHandler)})
	door := pipes{make(chan net.Conn), make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("/ws", srv)
	web := &http.Server{Handler: mux}
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.hub.Run(ctx) })
	running.Go(func() { _ = srv.Run(ctx) })
	running.Go(func() { _ = web.Serve(door) })
	h.setDoor(door)
	room := h.hub
	h.stop = func(drain bool) {
		h.setDoor(pipes{})
		_ = door.Close()
		if drain {
			room.Drain()
			srv.Drain(context.Background())
		}
		end()
		_ = web.Close()
		running.Wait()
		if err := st.Close(); err != nil {
			h.t.Errorf("close the store: %v", err)
		}
		h.stop = nil
	}
}

func (h *house) setDoor(door pipes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.door = door
}

// dial is what Clients connect with.
func (h *house) dial(_ context.Context, _, _ string) (net.Conn, error) {
	h.mu.Lock()
	h.dials = append(h.dials, time.Now())
	door, wrap := h.door, h.wrap
	h.mu.Unlock()
	if door.conns == nil {
		return nil, errRefused
	}
	near, far := net.Pipe()
	select {
	case door.conns <- far:
	case <-door.closed:
		return nil, errRefused
	}
	if wrap != nil {
		near = wrap(near)
	}
	return near, nil
}

func (h *house) client(o Options) *Client {
	h.t.Helper()
	o.URL, o.Dial = "http://localhost", h.dial
	c, err := New(o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Close)
	return c
}

func (h *house) publish(channel, sender, content string) int64 {
	h.t.Helper()
	draft, err := models.ParseDraft(models.Draft{Channel: channel, Sender: sender, Content: content})
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := h.hub.Publish(context.Background(), models.Principal{Name: models.SharedPrincipal}, draft)
	if err != nil {
		h.t.Fatal(err)
	}
	return r.ID
}

// content is the next event's, which has to be a message.
func (h *house) content(c *Client) string {
	h.t.Helper()
	soon, cancel := context.WithTimeout(h.t.Context(), 10*time.Minute)
	defer cancel()
	event, err := c.Next(soon)
	if err != nil || event.Message == nil {
		h.t.Fatalf("got %+v and %v, want a message", event, err)
	}
	return event.Message.Content
}

// pipes is a listener for net.Pipe.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, io.EOF
	}
}

func (p pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
