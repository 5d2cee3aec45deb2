package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/bridge/memory"
	"crosstalk/bridge/pulse"
	"crosstalk/bridge/push"
	"crosstalk/hub"
	"crosstalk/models"
)

// Options are the settings of a Bridge.
type Options struct {
	Hub     *hub.Hub
	Version string
	Log     *slog.Logger
	Compat  bool // call ourselves by the predecessor's name

	// Push adds the tools of live push and declares them to the client: right only where there is one
	// client, it can be notified, and Bridge.Push runs.
	Push         bool
	VerifiedOnly bool // push nothing of senders that are not verified

	WaitCeiling time.Duration // no wait is longer; 0: 25 min
}

// defaultCeiling is below what clients and proxies allow a call that shows signs of life.
const defaultCeiling = 25 * time.Minute

// Bridge answers the requests of MCP clients.
type Bridge struct {
	// Set by New, then constant.
	opt    Options
	hub    *hub.Hub
	log    *slog.Logger
	server *server.MCPServer

	names *memory.Names
	known *memory.Known
	lost  *memory.Lost
	push  *push.Pusher // nil without live push
	pulse *pulse.Pulse // at which waits report
}

// New makes a bridge to a hub.
func New(o Options) *Bridge {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.WaitCeiling <= 0 {
		o.WaitCeiling = defaultCeiling
	}
	b := &Bridge{opt: o, hub: o.Hub, log: o.Log, names: memory.NewNames(), known: memory.NewKnown(), lost: memory.NewLost(), pulse: pulse.New(progress, stride)}
	if o.Push {
		b.push = push.New(push.Options{Follow: push.Here(o.Hub), Log: o.Log, VerifiedOnly: o.VerifiedOnly, Own: b.names.Own})
	}
	b.server = b.newServer()
	b.addTools()
	b.addResources()
	b.addPrompt()
	return b
}

func (b *Bridge) newServer() *server.MCPServer {
	name := "crosstalk"
	if b.opt.Compat {
		name = "cross-claude-mcp"
	}
	const day = 24 * 60 * 60 * 1000
	options := []server.ServerOption{
		server.WithTitle("Crosstalk"),
		server.WithInstructions(catalog.Instructions(b.opt.Push)),
		server.WithToolCapabilities(false),
		server.WithPromptCapabilities(false),
		server.WithResourceCapabilities(false, false),
		server.WithCompletions(),
		server.WithPromptCompletionProvider(b),
		server.WithResourceCompletionProvider(b),
		server.WithRecovery(),
		server.WithResourceRecovery(),
		server.WithMethodCacheHints(mcp.MethodToolsList, day, mcp.CacheScopePrivate),
		server.WithMethodCacheHints(mcp.MethodPromptsList, day, mcp.CacheScopePrivate),
		server.WithMethodCacheHints(mcp.MethodResourcesList, day, mcp.CacheScopePrivate),
		server.WithMethodCacheHints(mcp.MethodResourcesTemplatesList, day, mcp.CacheScopePrivate),
	}
	if b.opt.Push {
		options = append(options, server.WithExperimental(map[string]any{"claude/channel": map[string]any{}}))
	}
	return server.NewMCPServer(name, b.opt.Version, options...)
}

// Server is the protocol's side of the bridge. Its HandleMessage is to be called with a Call in its
// context.
func (b *Bridge) Server() *server.MCPServer { return b.server }

// Connected notes that a connection stands open on its own, not only while a call runs: an MCP session
// with an open stream, a stdio process. Names registered over it are in use until gone.
func (b *Bridge) Connected(conn string) (gone func()) { return b.names.Connected(conn) }

// Left notes that a connection is over for good: a stdio process that ended, an MCP session that was
// deleted or forgotten. The names that it registered are free, and those who had them gone. who is
// that of its calls.
func (b *Bridge) Left(conn string, who models.Principal) {
	for _, name := range b.names.Forget(conn) {
		b.hub.Leave(who, name)
	}
}

// Notify sends a notification to the one client.
type Notify = push.Notify

// Push sends live pushes with notify until ctx ends. A transport whose client can be notified runs it
// once the client is ready, which is after notifications/initialized.
func (b *Bridge) Push(ctx context.Context, notify Notify) error {
	if b.push == nil {
		<-ctx.Done()
		return nil
	}
	return b.push.Run(ctx, notify)
}

// tool answers one call. What the model can mend is an error of models, with a text that says how.
type tool func(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error)

func (b *Bridge) tools() map[string]tool {
	all := map[string]tool{
		"register": b.register, "list_instances": b.listInstances,
		"subscribe": b.subscribe, "unsubscribe": b.unsubscribe,
		"send_message": b.sendMessage, "check_messages": b.checkMessages, "wait_for_reply": b.waitForReply,
		"get_replies": b.replies, "search_messages": b.search,
		"create_channel": b.createChannel, "list_channels": b.listChannels, "find_channel": b.findChannel,
		"share_data": b.shareData, "get_shared_data": b.sharedData, "list_shared_data": b.listData,
	}
	if b.push != nil {
		all["listen_live"], all["stop_listening"], all["delivery_status"] = b.listenLive, b.stopListening, b.deliveryStatus
	}
	return all
}

func (b *Bridge) addTools() {
	handlers := b.tools()
	for _, t := range catalog.Tools(b.push != nil) {
		b.server.AddTool(t, b.handler(t.Name, handlers[t.Name]))
	}
}

// handler is where a tool meets the protocol.
func (b *Bridge) handler(name string, fn tool) server.ToolHandlerFunc {
	return func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		c := callOf(ctx)
		gone := b.Connected(c.Conn)
		c.then(func(context.Context, bool) { gone() })
		in := catalog.Parse(arguments(r))
		if id, err := models.ParseInstance("instance_id", in.Text("instance_id")); err == nil {
			b.hub.Seen(c.Who, id)
		}
		answer, err := fn(ctx, c, in)
		if err != nil {
			c.meter().Reject(err)
			return b.refuse(ctx, name, err), nil
		}
		return mcp.NewToolResultText(answer.String()), nil
	}
}

func arguments(r mcp.CallToolRequest) json.RawMessage {
	switch raw := r.GetRawArguments().(type) {
	case json.RawMessage:
		return raw
	case nil:
		return nil
	default: // put together in this process
		encoded, err := json.Marshal(raw)
		if err != nil {
			return json.RawMessage("[]") // no object: refused with a text that says so
		}
		return encoded
	}
}

// refuse tells the model what went wrong. What it cannot mend is logged here, once.
func (b *Bridge) refuse(ctx context.Context, name string, err error) *mcp.CallToolResult {
	text := models.Text(err)
	switch code := models.CodeOf(err); {
	case ctx.Err() != nil:
		text = "The call was cancelled."
	case code == models.Internal:
		b.log.Error("tool failed", "tool", name, "error", err)
		text += ": try again, and if it stays so tell your user"
	case code == models.Paused:
		text += ", and tell your user. Reading and waiting here still work, other channels too"
	case code == models.RateLimited && models.RetryAfter(err) >= 60: // it says itself what to do
	case code == models.RateLimited:
		text += fmt.Sprintf(". Nothing was done. Wait at least %d s before the next call, make fewer calls, and say more in each", models.RetryAfter(err))
	case code == models.Unavailable:
		text += ". Nothing is wrong with your call: make it again in a few seconds"
	}
	return mcp.NewToolResultError(models.Cut(text, 0, 4000))
}
