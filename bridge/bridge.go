package bridge

import (
	"context"
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"crosstalk/hub"
)

// Options are the settings of a Bridge.
type Options struct {
	Hub     *hub.Hub
	Version string
	Log     *slog.Logger
	Compat  bool // call ourselves by the predecessor's name

	// Push adds the tools of live push and declares them to the client: right only where the one
	// client that is connected can be notified, and Push is run.
	Push bool
	// All lets pushes through whose sender is not verified.
	All bool

	WaitCeiling time.Duration // no wait is longer; 0: 25 min
}

// Bridge answers the requests of MCP clients.
type Bridge struct {
	// Set by New, then constant.
	opt    Options
	hub    *hub.Hub
	log    *slog.Logger
	server *server.MCPServer
}

// New makes a bridge to a hub.
func New(o Options) *Bridge {
	b := &Bridge{opt: o, hub: o.Hub, log: o.Log}
	b.server = server.NewMCPServer("crosstalk", o.Version)
	return b
}

// Server is the protocol's side of the bridge. Its HandleMessage is to be called with a Call in its
// context.
func (b *Bridge) Server() *server.MCPServer { return b.server }

// Connected notes that a connection stands open on its own, not only while a call runs: an MCP session
// with an open stream, an old SSE connection. The names registered over it are live as long.
func (b *Bridge) Connected(conn string) (gone func()) { return func() {} }

// Left notes that a connection is over for good: a stdio process that ended, an MCP session that was
// deleted or expired. The names registered over it are free again; session is the Who.Session of its calls.
func (b *Bridge) Left(conn, session string) {}

// Notify sends a notification to the one client.
type Notify func(ctx context.Context, method string, params map[string]any) error

// Push sends live pushes with notify until ctx ends. A transport whose client can be notified runs it
// once the client is ready (after notifications/initialized).
func (b *Bridge) Push(ctx context.Context, notify Notify) error {
	<-ctx.Done()
	return nil
}
