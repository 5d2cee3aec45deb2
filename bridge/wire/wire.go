package wire

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"crosstalk/auth"
	"crosstalk/bridge"
	"crosstalk/bridge/wire/rpc"
	"crosstalk/models"
	"crosstalk/models/meter"
)

const (
	maxMessage = 34 << 20         // bytes of one message: shared data of 16 MiB, and what JSON makes of it
	writeTime  = 10 * time.Second // for a client to take what is written
	beatEvery  = 15 * time.Second // between signs of life on a stream
)

// Bridge is what the messages are for: a *bridge.Bridge, or in tests a server with tools of its own.
type Bridge interface {
	Server() *server.MCPServer
	Connected(conn string) (gone func())
	Left(conn string, who models.Principal)
	Push(ctx context.Context, notify bridge.Notify) error
}

// Options are the settings of a transport.
type Options struct {
	Bridge   Bridge
	Log      *slog.Logger
	Gate     *auth.Gate      // of the doors on HTTP
	Draining <-chan struct{} // of the doors on HTTP: closed when clients shall go, after the hub's waits were answered
	Push     bool            // of stdio: the client is pushed to
	Meter    *meter.Door     // of the door; nil: nobody looks at what is counted

	LargeBytes int64 // of messages above 64 KiB that a door on HTTP serves at once; 0: as many as the largest has
}

// stream takes what belongs to one request to its client.
type stream interface {
	event(message []byte) error              // what comes before the answer
	try(message []byte) bool                 // likewise, if the client takes it at once; else nothing is written
	answer(message []byte, status int) error // status is for HTTP
}

// serve has one request answered, and tells the bridge whether the answer was written.
func (o *Options) serve(f *flight, out stream) {
	defer f.end()
	f.session.settle()
	c := &caller{session: f.session, id: f.session.conn, out: out}
	call := &bridge.Call{Who: f.session.who, Conn: f.session.conn, Progress: c.progress(f.message.Token), Meter: o.Meter}
	ctx := f.ctx
	if f.message.listens() {
		var stop func()
		ctx, stop = o.listen(ctx, c, f.message.ID)
		defer stop()
	}
	ctx = o.Bridge.Server().WithContext(bridge.WithCall(ctx, call), c)
	answer, status := o.handle(ctx, f.message)
	c.close()
	f.land(func() {
		written := f.ctx.Err() == nil && out.answer(answer, status) == nil
		call.Done(f.ctx, written)
	})
}

// listen has c hear what it subscribes to, until stop. When the server drains, its context ends: the subscription is then
// answered, not cancelled.
func (o *Options) listen(ctx context.Context, c *caller, tag json.RawMessage) (until context.Context, stop func()) {
	unlisten := c.listen(o.Bridge.Server(), tag)
	until, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-o.Draining:
			cancel()
		case <-until.Done():
		}
	})
	return until, func() {
		cancel()
		watch.Wait()
		unlisten()
	}
}

// handle returns the answer to a request and, if it is an error of the revision that says so, its status.
func (o *Options) handle(ctx context.Context, m message) (answer []byte, status int) {
	status = 200
	var out any
	switch r := o.ask(ctx, m).(type) {
	case mcp.JSONRPCResponse:
		r.ID = rpc.ID(m.ID)
		out = r
	case mcp.JSONRPCError:
		r.ID = rpc.ID(m.ID)
		if m.modern {
			status = statusOf(r.Error.Code)
		}
		if m.Method == mcp.MethodResourcesRead && r.Error.Data == nil {
			r.Error.Data = map[string]string{"uri": m.URI} // mcp-go leaves out which it was that is not there
		}
		out = r
	default:
		out = rpc.Errorf(mcp.INVALID_REQUEST, "this cannot be answered").Answer(m.ID)
	}
	answer, err := json.Marshal(out)
	if err != nil {
		o.Log.Error("an answer of the bridge is no JSON", "method", m.Method, "error", err)
		return failure(m.ID, errInternal()), status
	}
	return answer, status
}

// ask has mcp-go handle a message. What panics there does not take other clients along.
func (o *Options) ask(ctx context.Context, m message) (r mcp.JSONRPCMessage) {
	defer func() {
		if p := recover(); p != nil {
			o.Log.Error("a request failed", "method", m.Method, "panic", p, "stack", string(debug.Stack()))
			r = errInternal().Answer(m.ID)
		}
	}()
	return o.Bridge.Server().HandleMessage(ctx, m.Raw)
}

// message is a message and what its transport found out of it.
type message struct {
	rpc.Message
	modern bool   // it belongs to the revision 2026-07-28 and came over HTTP
	served func() // called when it is; nil: nobody wants to know
}

// end says that m is served.
func (m message) end() {
	if m.served != nil {
		m.served()
	}
}

// listens tells whether m asks for a stream of notifications.
func (m message) listens() bool {
	return m.modern && m.Method == mcp.MethodSubscriptionsListen
}

// failure is an error of the transport as the answer to a request; id is nil if it is not known.
func failure(id json.RawMessage, e *rpc.Error) []byte {
	b, err := json.Marshal(e.Answer(id))
	if err != nil {
		panic(err) // an id that was parsed and a text are JSON
	}
	return b
}

func errInternal() *rpc.Error { return rpc.Errorf(mcp.INTERNAL_ERROR, "Internal server error") }

// notification is one of our own.
type notification struct {
	JSONRPC string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  any    `json:"params,omitempty"`
}
