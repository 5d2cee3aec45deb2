package wire

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/server"
	"go.uber.org/goleak"

	"crosstalk/auth"
	"crosstalk/bridge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a Bridge that is nothing but a server of mcp-go, and keeps what it is told of connections.
type desk struct {
	mcp *server.MCPServer
	// push is what Push does, if it is set.
	push func(ctx context.Context, notify bridge.Notify) error

	mu sync.Mutex
	// Guarded by mu.
	open map[string]int
	left []string
}

func newDesk(s *server.MCPServer) *desk { return &desk{mcp: s, open: map[string]int{}} }

func (d *desk) Server() *server.MCPServer { return d.mcp }

func (d *desk) Connected(conn string) (gone func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[conn]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open[conn]--
		if d.open[conn] == 0 {
			delete(d.open, conn)
		}
	}
}

func (d *desk) Left(conn, _ string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = append(d.left, conn)
}

func (d *desk) Push(ctx context.Context, notify bridge.Notify) error {
	if d.push != nil {
		return d.push(ctx, notify)
	}
	<-ctx.Done()
	return nil
}

func gate(t testing.TB, c auth.Config) *auth.Gate {
	t.Helper()
	g, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// logTo writes a log to the test's.
func logTo(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// serve opens both doors on HTTP on this machine, as the program does.
func serve(t testing.TB, o Options) (url string) {
	t.Helper()
	o.Log = logTo(t)
	if o.Gate == nil {
		o.Gate = gate(t, auth.Config{})
	}
	mux := http.NewServeMux()
	old := SSE(o)
	mux.Handle("/mcp", HTTP(o))
	mux.Handle("/sse", old)
	mux.Handle("/messages", old)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}
