package bridge

import (
	"context"
	"sync"

	"crosstalk/models"
	"crosstalk/models/meter"
)

// Call is one request as its transport sees it: who calls and over what, and in the end whether the
// answer was written. The transport makes one for each request, passes it by WithCall to
// HandleMessage, and calls Done once the answer is written or lost.
type Call struct {
	// Set by the transport, then constant.
	Who      models.Principal // Who.Session is the live stdio process, empty over HTTP
	Conn     string           // the stdio process or MCP session by which shown becomes read; empty if every call stands alone
	Progress Progress         // nil when the client gave no token
	Meter    *meter.Door      // of the door it came in by; nil: nobody looks at what is counted

	// Guarded by mu.
	mu    sync.Mutex
	ended bool
	after []func(ctx context.Context, written bool)
}

// Progress sends notifications/progress under the client's token, on the stream of the very request. It does not wait for the
// client, and is not called any more when the request's handler has returned. Of a client that does not read it may leave some out.
type Progress func(ctx context.Context, progress float64, message string) error

type callKey struct{}

// WithCall is the context for HandleMessage.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns the Call of a request. A request without one is that of a caller who stands alone.
func callOf(ctx context.Context) *Call {
	if c, ok := ctx.Value(callKey{}).(*Call); ok {
		return c
	}
	return &Call{Who: models.Principal{Name: models.SharedPrincipal}}
}

// meter is where the call is counted.
func (c *Call) meter() *meter.Door {
	if c.Meter == nil {
		return &meter.Door{}
	}
	return c.Meter
}

// Done tells what became of the answer. Only what was written counts as shown: written is false if the
// answer could not be written or the request was cancelled before. Only the first Done counts. It does
// not end with ctx, which may be that of a request that is over.
func (c *Call) Done(ctx context.Context, written bool) {
	c.mu.Lock()
	after := c.after
	if c.ended {
		after = nil
	}
	c.ended, c.after = true, nil
	c.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	for _, fn := range after {
		fn(ctx, written)
	}
}

// then has fn told what became of the answer. If the call is over already, the answer comes too late.
func (c *Call) then(fn func(ctx context.Context, written bool)) {
	c.mu.Lock()
	late := c.ended
	if !late {
		c.after = append(c.after, fn)
	}
	c.mu.Unlock()
	if late {
		fn(context.Background(), false)
	}
}
