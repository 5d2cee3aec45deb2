package handoff

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"crosstalk/internal/socket"
)

// Handoff moves connections between a Fiber app and an http.Server of its own.
type Handoff struct {
	returned sync.Map // of *conn: those that Fiber has again
	// Set by New, then constant.
	app      *fiber.App
	isNative func(path string) bool
	native   *http.Server
	life     context.Context // until Shutdown
	end      context.CancelFunc
}

// New readies app for handing over; call it before app listens. app's StreamRequestBody must be off and its
// MaxConnsPerIP 0. native answers the requests of the paths that isNative names; isNative must not keep them. log
// hears what net/http has to say.
func New(app *fiber.App, native http.Handler, isNative func(path string) bool, log *slog.Logger) *Handoff {
	app.Server().KeepHijackedConns = true
	app.Server().DisablePreParseMultipartForm = true
	life, end := context.WithCancel(context.Background())
	return &Handoff{app: app, isNative: isNative, life: life, end: end, native: &http.Server{
		Handler:           native,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    max(32<<10, app.Server().ReadBufferSize), // whatever Fiber reads
		ConnContext:       socket.With,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ConnState: func(nc net.Conn, state http.ConnState) {
			switch c := nc.(*conn); state {
			case http.StateIdle:
				c.state.CompareAndSwap(serving, answered)
			case http.StateHijacked:
				c.ahead = bytes.Clone(c.ahead[c.lent:]) // without the room that was left
				c.state.CompareAndSwap(serving, plain)
			}
		},
	}}
}

// Take stands first in Fiber's chain. It hands the request of a native path over, with its connection, and
// lets others pass. A target that names a host is answered 400 on every path: which host counts is disputed.
func (h *Handoff) Take(c *fiber.Ctx) error {
	head, uri := &c.Request().Header, c.Request().URI()
	direct := (head.RequestURI()[0] == '/' || string(head.RequestURI()) == "*") && bytes.EqualFold(head.Host(), uri.Host())
	if direct && !h.isNative(c.Path()) {
		return c.Next()
	}
	if h.life.Err() != nil {
		return fiber.ErrServiceUnavailable
	}
	request, regular := rewrite(c.Request())
	if !direct || !regular {
		c.Context().SetConnectionClose()
		return fiber.NewError(fiber.StatusBadRequest, "the request can be read in two ways")
	}
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(nc net.Conn) { h.over(nc, request) })
	return nil
}

// rewrite puts req back into bytes as Fiber read it: fields in order, repeated ones too, and the body with
// the length it turned out to have. What others may read differently is not regular: fragments, versions
// that do not exist, folded lines, heads that end in a bare line feed, two lengths.
func rewrite(req *fasthttp.Request) (request []byte, regular bool) {
	head, raw, body := &req.Header, req.Header.RawHeaders(), req.Body()
	folded := bytes.Contains(raw, []byte("\n ")) || bytes.Contains(raw, []byte("\n\t")) // AllInOrder joins them in raw
	b := make([]byte, 0, len(head.RequestURI())+len(raw)+len(body)+64)
	b = fmt.Appendf(b, "%s %s %s\r\n", head.Method(), head.RequestURI(), head.Protocol())
	regular = !bytes.ContainsRune(b, '#') && (bytes.HasSuffix(b, []byte("/1.1\r\n")) || bytes.HasSuffix(b, []byte("/1.0\r\n")))
	lengths := 0
	for name, value := range head.AllInOrder() {
		switch strings.ToLower(string(name)) {
		case "content-length", "transfer-encoding":
			lengths++
		case "expect", "trailer": // done with: Fiber has read the whole
		default:
			b = fmt.Appendf(b, "%s: %s\r\n", name, value)
		}
	}
	if lengths > 0 {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(body))
	}
	regular = regular && lengths < 2 && !folded && !bytes.HasSuffix(raw, []byte("\n\n"))
	return append(append(b, "\r\n"...), body...), regular
}

// over gives net/http a connection with the request that Fiber has read from it. Fiber's reader is emptied
// under a deadline in the past, which keeps it from the wire, and then let go.
func (h *Handoff) over(nc net.Conn, request []byte) {
	c := &conn{Conn: nc.(interface{ UnsafeConn() net.Conn }).UnsafeConn(), h: h, request: request}
	_ = c.SetReadDeadline(time.Unix(1, 0))
	_ = c.fill(nc, 1<<30) // ends there, or where net/http will end too
	if before, ok := c.Conn.(*conn); ok {
		c.Conn = before.Conn
	}
	only := &single{c}
	_ = h.native.Serve(only) // sets its own deadline, and ends at once, as there is no second
	if only.Conn != nil {
		_ = c.Close()
	}
}

// back has Fiber serve a connection that net/http has answered on, until that ends or is handed over again.
// It runs in net/http's goroutine, whose stack has grown already, and reports whether it ran.
func (h *Handoff) back(nc net.Conn, ahead []byte) bool {
	c := &conn{Conn: nc, h: h, ahead: ahead}
	c.state.Store(plain)
	_ = c.SetDeadline(time.Time{}) // a connection that fails here fails in Fiber
	h.returned.Store(c, nil)
	defer h.returned.Delete(c)
	if h.life.Err() != nil {
		return false
	}
	_ = h.app.Server().ServeConn(c) // as quiet as Fiber is on its own connections
	return true
}

// Serve returns when Shutdown begins: net/http works in the goroutines of its connections.
func (h *Handoff) Serve() error {
	<-h.life.Done()
	return nil
}

// Shutdown ends both engines. Hand-overs are answered 503, idle connections closed, requests that run waited
// for until ctx ends, and what is left then is closed. Connections that a native handler hijacked are its own.
func (h *Handoff) Shutdown(ctx context.Context) error {
	h.end()
	h.native.SetKeepAlivesEnabled(false) // closes what waits for a request now, not when Fiber has ended
	err := errors.Join(h.app.Server().ShutdownWithContext(ctx), h.native.Shutdown(ctx))
	_ = h.native.Close() // nothing is left but connections, and what is wrong with those ends here
	for c := range h.returned.Range {
		_ = c.(*conn).Conn.Close()
	}
	return err
}

// single is a listener that accepts one connection.
type single struct{ net.Conn }

func (s *single) Accept() (c net.Conn, err error) {
	if c, s.Conn = s.Conn, nil; c == nil {
		err = net.ErrClosed
	}
	return c, err
}
func (s *single) Addr() net.Addr { return nil }
func (s *single) Close() error   { return nil }
