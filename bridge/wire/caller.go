package wire

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"crosstalk/bridge"
)

// errOver is what a handler hears that sends after its request was answered.
var errOver = errors.New("the request is over")

// errLate is why a report is left out.
var errLate = errors.New("the client does not read")

// notesAhead is how many notifications mcp-go, or a handler's reports, may be ahead of the client. More are dropped.
const notesAhead = 100

// caller is what mcp-go takes for a session: one request with the stream of its own, so that nothing leaves on another's.
type caller struct {
	*session
	// Set before it is used, then constant.
	id  string // under which mcp-go keeps it, if it listens
	out stream
	tag json.RawMessage // marks notifications as those of a subscription; nil for none

	pump sync.WaitGroup

	behind sync.Mutex
	// Guarded by behind, under which nobody waits for the client.
	reports [][]byte // that the client did not take at once; catchUp runs if there are any
	last    bool     // no more are taken

	mu sync.Mutex
	// Guarded by mu.
	notes chan mcp.JSONRPCNotification // made when it is first asked for
	stop  chan struct{}                // made with notes, closed when no more shall come
	done  bool                         // notes are taken no more
	over  bool                         // nothing is to be written
	want  mcp.SubscriptionFilter
}

// event writes what comes before the answer.
func (c *caller) event(v any) error {
	message, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.write(message)
}

func (c *caller) write(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return errOver
	}
	return c.out.event(message)
}

// progress reports on the request under the client's token.
func (c *caller) progress(token json.RawMessage) bridge.Progress {
	if token == nil {
		return nil
	}
	return func(_ context.Context, progress float64, message string) error {
		room := scratch.Get().(*[]byte)
		defer scratch.Put(room)
		b, err := appendProgress((*room)[:0], token, progress, message)
		if err != nil {
			return err
		}
		keep(room, b)
		return c.report(b)
	}
}

// scratch has room for messages that are gone when they are written: 10,000 waits that report would have 0.5 MB of garbage a
// second otherwise.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// keep keeps what room has grown to, unless that is much.
func keep(room *[]byte, b []byte) {
	if cap(b) <= 4<<10 {
		*room = b[:0]
	}
}

// report writes a message at once, or has a goroutine do so that may wait for the client, in order. It does not hold on to b.
func (c *caller) report(b []byte) error {
	c.behind.Lock()
	defer c.behind.Unlock()
	switch {
	case c.last:
		return errOver
	case len(c.reports) == 0 && c.try(b):
		return nil
	case len(c.reports) == notesAhead:
		return errLate
	}
	c.reports = append(c.reports, bytes.Clone(b))
	if len(c.reports) == 1 {
		c.pump.Go(c.catchUp)
	}
	return nil
}

// try writes a message if that can be done without waiting.
func (c *caller) try(b []byte) (done bool) {
	if !c.mu.TryLock() {
		return false // somebody writes
	}
	defer c.mu.Unlock()
	return !c.over && c.out.try(b)
}

// catchUp writes the reports that could not be written at once.
func (c *caller) catchUp() {
	for {
		c.behind.Lock()
		b := c.reports[0]
		c.behind.Unlock()
		_ = c.write(b) // a stream that fails ends its request
		c.behind.Lock()
		c.reports = c.reports[1:]
		left := len(c.reports)
		if left == 0 {
			c.reports = nil
		}
		c.behind.Unlock()
		if left == 0 {
			return
		}
	}
}

// appendProgress appends a notification of progress.
func appendProgress(b []byte, token json.RawMessage, progress float64, message string) ([]byte, error) {
	if math.IsNaN(progress) || math.IsInf(progress, 0) {
		return b, errors.New("progress must be a number")
	}
	b = append(b, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`...)
	b = append(append(b, token...), `,"progress":`...)
	b = strconv.AppendFloat(b, progress, 'f', -1, 64)
	b = append(b, `,"message":`...)
	if strings.ContainsFunc(message, escaped) {
		text, err := json.Marshal(message)
		if err != nil {
			return b, err
		}
		return append(append(b, text...), "}}"...), nil
	}
	b = append(append(b, '"'), message...)
	return append(b, `"}}`...), nil
}

// escaped says that r may not stand in JSON as it is. Few texts have such.
func escaped(r rune) bool { return r < ' ' || r >= utf8.RuneSelf || r == '"' || r == '\\' }

// NotificationChannel takes what mcp-go has to say. Most requests never ask for it.
func (c *caller) NotificationChannel() chan<- mcp.JSONRPCNotification {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.notes == nil && !c.done {
		notes, stop := make(chan mcp.JSONRPCNotification, notesAhead), make(chan struct{})
		c.notes, c.stop = notes, stop
		c.pump.Go(func() { c.carry(notes, stop) })
	}
	return c.notes
}

// carry writes notifications as they come, and at the end those that are left.
func (c *caller) carry(notes <-chan mcp.JSONRPCNotification, stop <-chan struct{}) {
	for {
		select {
		case n := <-notes:
			c.note(n)
			continue
		case <-stop:
		}
		for {
			select {
			case n := <-notes:
				c.note(n)
			default:
				return
			}
		}
	}
}

func (c *caller) note(n mcp.JSONRPCNotification) {
	if c.tag != nil {
		meta := maps.Clone(n.Params.Meta) // the sessions that hear the same share it
		if meta == nil {
			meta = map[string]any{}
		}
		meta[mcp.MetaKeySubscriptionID] = c.tag
		n.Params.Meta = meta
	}
	_ = c.event(n) // a stream that fails ends its request
}

// close writes what was said so far. What comes later is dropped.
func (c *caller) close() {
	c.behind.Lock()
	c.last = true
	c.behind.Unlock()
	c.mu.Lock()
	stop := c.stop
	c.stop, c.done = nil, true
	c.mu.Unlock()
	if stop != nil {
		close(stop)
	}
	c.pump.Wait()
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
}

// listen has mcp-go send here what it tells all sessions; with a tag, only what the client subscribes to.
func (c *caller) listen(s *server.MCPServer, tag json.RawMessage) (unlisten func()) {
	c.id, c.tag = rand.Text(), tag
	_ = s.RegisterSession(context.Background(), c) // fails only for an id that exists
	return func() { s.UnregisterSession(context.Background(), c.id) }
}

// SessionID is the name under which mcp-go keeps a session that listens.
func (c *caller) SessionID() string { return c.id }

// Initialize has nothing to do: nothing depends on whether a client has said hello.
func (c *caller) Initialize() {}

// Initialized says that notifications may be sent.
func (c *caller) Initialized() bool { return true }

// SetSubscriptionFilter is called with what the client subscribes to.
func (c *caller) SetSubscriptionFilter(f mcp.SubscriptionFilter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want = f
}

// SubscriptionFilter says what the client subscribes to, if it hears nothing else.
func (c *caller) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want, c.tag != nil
}

// RequestElicitation asks the client's user.
func (c *caller) RequestElicitation(ctx context.Context, r mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	var result mcp.ElicitationResult
	return &result, c.ask(ctx, mcp.MethodElicitationCreate, r.Params, &result)
}

// RequestSampling asks the client's model.
func (c *caller) RequestSampling(ctx context.Context, r mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	var result mcp.CreateMessageResult
	return &result, c.ask(ctx, mcp.MethodSamplingCreateMessage, r.CreateMessageParams, &result)
}

// ask sends a request to the client, on the stream of the request that needs it, and waits for the answer.
func (c *caller) ask(ctx context.Context, method mcp.MCPMethod, params, result any) error {
	id, answer := c.question()
	defer c.unquestion(id)
	request := mcp.JSONRPCRequest{JSONRPC: mcp.JSONRPC_VERSION, ID: mcp.NewRequestId(id), Params: params}
	request.Method = string(method)
	if err := c.event(request); err != nil {
		return err
	}
	select {
	case r := <-answer:
		if r.err != nil {
			return fmt.Errorf("the client answers %s: %s", method, r.err)
		}
		return json.Unmarshal(r.result, result)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetClientInfo keeps what the client calls itself.
func (c *caller) SetClientInfo(client mcp.Implementation) {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	c.client = client
}

// GetClientInfo says what the client calls itself, if it has said so over this connection.
func (c *caller) GetClientInfo() mcp.Implementation {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.client
}

// SetClientCapabilities keeps what the client can do.
func (c *caller) SetClientCapabilities(can mcp.ClientCapabilities) {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	c.can = can
}

// GetClientCapabilities says what the client can do, if it has said so over this connection.
func (c *caller) GetClientCapabilities() mcp.ClientCapabilities {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.can
}

// SetLogLevel keeps which log messages the client wants.
func (c *caller) SetLogLevel(level mcp.LoggingLevel) {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	c.level = level
}

// GetLogLevel says which log messages the client wants.
func (c *caller) GetLogLevel() mcp.LoggingLevel {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.level
}
