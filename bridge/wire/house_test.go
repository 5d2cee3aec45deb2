package wire

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.uber.org/goleak"

	"crosstalk/auth"
	"crosstalk/bridge"
	"crosstalk/internal/socket"
	"crosstalk/models"
)

// TestMain also is the server that clients on stdio start, on the database that a variable names.
func TestMain(m *testing.M) {
	if db := os.Getenv("WIRE_TEST_STDIO"); db != "" {
		os.Exit(stdioMain(db))
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come. It is longer than all that a transport may take.
const patience = 30 * time.Second

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
		if d.open[conn]--; d.open[conn] == 0 {
			delete(d.open, conn)
		}
	}
}

func (d *desk) Left(conn string, _ models.Principal) {
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

// connections returns how many are open, and how many have been left.
func (d *desk) connections() (open, left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open), len(d.left)
}

// probe is a desk with tools that do on the wire what tests want to see:
//
//	echo {text}  answers the text
//	wait {text}  says so on started, and answers the text when release closes, or says on cancelled that it was
//	beat {n}     reports progress 1, waits as wait does, reports 2 to n and answers at once
//	boom         panics
type probe struct {
	*desk
	started   chan string
	release   chan struct{}
	cancelled chan string
}

func newProbe() *probe {
	s := server.NewMCPServer("probe", "1", server.WithToolCapabilities(true))
	p := &probe{desk: newDesk(s), started: make(chan string, 2000), release: make(chan struct{}), cancelled: make(chan string, 2000)}
	echo := func(_ context.Context, text string, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(text), nil
	}
	for name, h := range map[string]func(context.Context, string, mcp.CallToolRequest) (*mcp.CallToolResult, error){
		"echo": echo, "wait": p.wait, "beat": p.beat,
		"boom": func(context.Context, string, mcp.CallToolRequest) (*mcp.CallToolResult, error) { panic("boom") },
	} {
		s.AddTool(mcp.NewTool(name), func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return h(ctx, r.GetString("text", ""), r)
		})
	}
	return p
}

func (p *probe) wait(ctx context.Context, text string, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	p.started <- text
	select {
	case <-p.release:
		return mcp.NewToolResultText(text), nil
	case <-ctx.Done():
		p.cancelled <- text
		return nil, ctx.Err()
	}
}

func (p *probe) beat(ctx context.Context, text string, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	token, err := json.Marshal(r.Params.Meta.ProgressToken)
	if err != nil {
		return nil, err
	}
	report := server.ClientSessionFromContext(ctx).(*caller).progress(token)
	if err := report(ctx, 1, text); err != nil {
		return nil, err
	}
	result, err := p.wait(ctx, text, r)
	for i := 2; i <= r.GetInt("n", 1) && err == nil; i++ {
		err = report(ctx, float64(i), text)
	}
	return result, err
}

// hear returns what comes next, which must come.
func hear[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// gate makes a Gate.
func gate(t testing.TB, c auth.Config) *auth.Gate {
	t.Helper()
	g, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// logTo writes a log to the test's.
func logTo(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// serve opens the doors on HTTP on this machine, as the program does.
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
	s := httptest.NewUnstartedServer(mux)
	s.Config.ConnContext = socket.With
	s.Start()
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		s.Close()
	})
	return s.URL
}

// call is a message that calls a tool. more goes into its params, after a comma.
func call(id any, tool, text string, more ...string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%v,"method":"tools/call","params":{"name":%q,"arguments":{"text":%q,"n":3}%s}}`,
		id, tool, text, strings.Join(more, ""))
}

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// post sends one message with header fields given as "Name: value".
func post(ctx context.Context, url, message string, fields ...string) (*http.Response, error) {
	return send(ctx, http.MethodPost, url, message, append([]string{
		"Content-Type: application/json", "Accept: application/json, text/event-stream"}, fields...)...)
}

func send(ctx context.Context, method, url, body string, fields ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	return http.DefaultClient.Do(r)
}

// ask posts a message and returns the whole answer.
func ask(t testing.TB, url, message string, fields ...string) (status int, head http.Header, body string) {
	t.Helper()
	r, err := post(t.Context(), url, message, fields...)
	if err != nil {
		t.Fatal(err)
	}
	return whole(t, r)
}

func whole(t testing.TB, r *http.Response) (status int, head http.Header, body string) {
	t.Helper()
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, r.Header, string(b)
}

// feed reads a stream of events by line, without the empty ones.
func feed(t testing.TB, r io.Reader) <-chan string {
	lines := make(chan string, 1000)
	var done sync.WaitGroup
	done.Go(func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			if s.Text() != "" {
				lines <- s.Text()
			}
		}
	})
	t.Cleanup(done.Wait)
	return lines
}

// wants fails unless text has all the pieces.
func wants(t testing.TB, text string, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

// eventually waits for a fact that nothing announces.
func eventually(t testing.TB, what string, fact func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !fact(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %s", what, patience)
		}
	}
}
