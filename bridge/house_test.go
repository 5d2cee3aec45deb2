package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"go.uber.org/goleak"

	"crosstalk/hub"
	"crosstalk/models"
	"crosstalk/models/meter"
	"crosstalk/models/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a hub on an empty database, and a bridge to it.
type house struct {
	t      testing.TB
	path   string
	hub    *hub.Hub
	bridge *Bridge
}

func newHouse(t testing.TB, o Options) *house {
	t.Helper()
	h := &house{t: t, path: filepath.Join(t.TempDir(), "crosstalk.db")}
	st, err := store.Open(t.Context(), store.Options{Path: h.path})
	if err != nil {
		t.Fatal(err)
	}
	if h.hub, err = hub.New(st, hub.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.hub.Run(ctx) }()
	t.Cleanup(func() {
		h.hub.Drain()
		stop()
		if err := errors.Join(<-done, st.Close()); err != nil {
			t.Error(err)
		}
	})
	o.Hub, o.Version = h.hub, "1.2.3"
	h.bridge = New(o)
	return h
}

func anyone() models.Principal { return models.Principal{Name: models.SharedPrincipal} }

// post has somebody else publish.
func (h *house) post(ch, sender string, kind models.MessageType, content string) int64 {
	h.t.Helper()
	d, err := models.ParseDraft(models.Draft{Channel: ch, Sender: sender, Type: kind, Content: content})
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := h.hub.Publish(h.t.Context(), anyone(), d)
	if err != nil {
		h.t.Fatal(err)
	}
	return r.ID
}

// client is one that calls over a connection of its own.
type client struct {
	h     *house
	conn  string
	stdio bool
	mute  bool // it does not take progress
	meter *meter.Door

	mu       sync.Mutex
	beats    []string // progress that came
	progress func(progress float64)
}

func (h *house) client(conn string) *client { return &client{h: h, conn: conn} }

// ask sends a message and returns the answer, which arrives if written.
func (c *client) ask(ctx context.Context, message string, written bool) (answer string) {
	c.h.t.Helper()
	call := &Call{Who: anyone(), Conn: c.conn, Meter: c.meter}
	if c.stdio {
		call.Who.Session = c.conn
	}
	if !c.mute {
		call.Progress = func(_ context.Context, progress float64, message string) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.beats = append(c.beats, fmt.Sprintf("%g %s", progress, message))
			if c.progress != nil {
				c.progress(progress)
			}
			return nil
		}
	}
	said := c.h.bridge.Server().HandleMessage(WithCall(ctx, call), json.RawMessage(message))
	b, err := json.Marshal(said)
	if err != nil {
		c.h.t.Error(err)
	}
	call.Done(ctx, written && ctx.Err() == nil)
	return string(b)
}

// call calls a tool with arguments as JSON, and returns its text.
func (c *client) call(tool, args string) string {
	c.h.t.Helper()
	text, _ := c.try(c.h.t.Context(), tool, args, true)
	return text
}

// try is call with a context, and with an answer that may be lost. wrong says that it is an error.
func (c *client) try(ctx context.Context, tool, args string, written bool) (text string, wrong bool) {
	c.h.t.Helper()
	answer := c.ask(ctx, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, args), written)
	var r struct {
		Result mcp.CallToolResult `json:"result"`
		Error  json.RawMessage    `json:"error"`
	}
	if err := json.Unmarshal([]byte(answer), &r); err != nil || r.Error != nil || len(r.Result.Content) != 1 {
		c.h.t.Fatalf("%s: %v in %s", tool, err, answer)
	}
	content, ok := r.Result.Content[0].(mcp.TextContent)
	if !ok || r.Result.StructuredContent != nil {
		c.h.t.Fatalf("%s answers with more than text: %s", tool, answer)
	}
	return content.Text, r.Result.IsError
}

// wants fails unless a text has all the pieces.
func wants(t testing.TB, text string, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

// lacks fails if a text has any of the pieces.
func lacks(t testing.TB, text string, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		if strings.Contains(text, p) {
			t.Errorf("%q is in:\n%s", p, text)
		}
	}
}
