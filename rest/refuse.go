package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"crosstalk/auth"
	"crosstalk/models"
)

// Bounds of a body: one that shares data, any other, and one that comes without a credential.
const (
	largeBody = 34 << 20 // the largest data, with room for escapes
	otherBody = 2 << 20
	smallBody = 64 << 10

	allBodies = 256 << 20 // what bodies above smallBody may have together, from their heads to their answers

	bodiesAgain = 2 * time.Second

	largeTime = 2 * time.Minute
	otherTime = 30 * time.Second
)

// bounds says how large a body may be and how long it may take, by its head alone. A small body costs
// nothing here; before a larger one is read, the gate has to let its sender in.
func (d *door) bounds(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	n := h.ContentLength()
	if n != -1 && n <= smallBody {
		return fasthttp.RequestConfig{MaxRequestBodySize: smallBody}
	}
	r := d.head(h)
	who, err := d.Gate.Who(r)
	if err != nil || who.Name == "" || r.Path == auth.SessionPath {
		return fasthttp.RequestConfig{MaxRequestBodySize: smallBody}
	}
	size := int64(n)
	if n == -1 { // it may become the largest
		size = otherBody
	}
	if h.IsPost() && (r.Path == "/api/data" || r.Path == "/mcp" || r.Path == "/messages") {
		var done func()
		if n > otherBody || n == -1 {
			size = max(int64(n), 0)
			if n == -1 {
				size = largeBody
			}
			done, err = d.Gate.Body(who)
		}
		if !d.bodies.begin(h, min(size, largeBody), done, err) {
			return fasthttp.RequestConfig{MaxRequestBodySize: smallBody}
		}
		return fasthttp.RequestConfig{MaxRequestBodySize: largeBody, ReadTimeout: largeTime}
	}
	if !d.bodies.begin(h, min(size, otherBody), nil, nil) {
		return fasthttp.RequestConfig{MaxRequestBodySize: smallBody}
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: otherBody, ReadTimeout: otherTime}
}

// bodies are those above smallBody, from their heads until they are answered or handed to net/http. There is no hook for a body that never arrives, so what is too old to be
// still on its way goes when the next one begins.
type bodies struct {
	most int64 // bytes that they may have together

	mu    sync.Mutex
	bytes int64                             // guarded by mu, like the next
	onWay map[*fasthttp.RequestHeader]onWay // bytes bounds how many
}

// onWay is one of them: how to end it, or why it may not come.
type onWay struct {
	done    func()
	size    int64
	refused error
	since   time.Time
}

func newBodies(most int64) *bodies {
	if most <= 0 {
		most = allBodies
	}
	return &bodies{most: max(most, largeBody), onWay: map[*fasthttp.RequestHeader]onWay{}}
}

// begin notes a body of a size that Gate.Body has counted, or refused. It tells whether it may come.
func (b *bodies) begin(h *fasthttp.RequestHeader, size int64, done func(), refused error) bool {
	b.end(h) // of the connection's request before
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for other, w := range b.onWay {
		if now.Sub(w.since) > largeTime+otherTime {
			b.let(other)
		}
	}
	if refused == nil && b.bytes+size > b.most {
		if done != nil {
			done()
			done = nil
		}
		refused = models.After(models.Errorf(models.RateLimited,
			"%d MiB of bodies of all callers are on their way, and the hub takes no more at once: try again in a moment", b.bytes>>20), bodiesAgain)
	}
	if refused != nil {
		size = 0
	}
	b.bytes += size
	b.onWay[h] = onWay{done, size, refused, now}
	return refused == nil
}

// end notes that a body has arrived or never will, and returns why it might not come.
func (b *bodies) end(h *fasthttp.RequestHeader) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.let(h)
}

func (b *bodies) let(h *fasthttp.RequestHeader) error {
	w, ok := b.onWay[h]
	if !ok {
		return nil
	}
	delete(b.onWay, h)
	b.bytes -= w.size
	if w.done != nil {
		w.done()
	}
	return w.refused
}

// guard stands before the router. A panic ends its request and not the hub. A method that no router
// knows goes on as one that nothing answers to, so that it meets the gate and is refused like others.
func (d *door) guard(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	known := map[string]bool{}
	for _, m := range fiber.DefaultMethods {
		known[m] = true
	}
	return func(ctx *fasthttp.RequestCtx) {
		defer func() {
			if p := recover(); p != nil {
				d.Meter.RejectCode(models.Internal)
				d.Log.Error("request panicked", "method", string(ctx.Method()), "path", string(ctx.Path()), "panic", p, "stack", string(debug.Stack()))
				send(ctx, fiber.StatusInternalServerError, body(models.Text(errPanic), models.Internal))
			}
		}()
		// Read now, it is in memory until it is answered. Another request on the same connection ends it, too.
		defer d.bodies.end(&ctx.Request.Header)
		if !known[string(ctx.Method())] {
			ctx.Request.Header.SetMethod(fiber.MethodTrace)
		}
		if uri := ctx.RequestURI(); uri[0] != '/' || bytes.HasPrefix(uri, []byte("//")) {
			d.Meter.RejectCode(models.Invalid)
			// A target that names a host: what reads it next may see another host or path.
			send(ctx, fiber.StatusBadRequest, body("the request target must be a path, such as /api/messages/general", models.Invalid))
			return
		}
		next(ctx)
	}
}

var errPanic = errors.New("panic")

// fail answers what went wrong. Fiber calls it for every error, its own included.
func (d *door) fail(c *fiber.Ctx, err error) error {
	var status int
	var b []byte
	if late := d.bodies.end(&c.Request().Header); late != nil {
		drain(c.Context())
		err = late
	}
	if own, ok := errors.AsType[*fiber.Error](err); ok {
		var text string
		status, text = d.refusal(c, own)
		d.Meter.RejectCode(codeOf(status))
		b = body(text, codeOf(status))
	} else {
		status, b = d.failure(err, c.Method(), c.Path())
	}
	hint(status, models.RetryAfter(err), c.Set)
	send(c.Context(), status, b)
	return nil
}

// hint sets what a client of HTTP looks for beside the status.
func hint(status int, wait int64, set func(name, value string)) {
	switch status {
	case http.StatusUnauthorized:
		set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		set("Retry-After", strconv.FormatInt(max(1, wait), 10))
	}
}

// failure maps an error to its status and body, and logs it if it is internal.
func (d *door) failure(err error, method, path string) (status int, b []byte) {
	code := models.CodeOf(err)
	d.Meter.RejectCode(code)
	if code == models.Internal {
		d.Log.Error("request failed", "method", method, "path", path, "error", err)
	}
	return statusOf(code), body(models.Text(err), code)
}

// statusOf is the one mapping from a failure's code to HTTP.
func statusOf(code models.Code) int {
	switch code {
	case models.Invalid:
		return http.StatusBadRequest
	case models.Unauthenticated:
		return http.StatusUnauthorized
	case models.Forbidden:
		return http.StatusForbidden
	case models.NotFound:
		return http.StatusNotFound
	case models.Conflict, models.Paused:
		return http.StatusConflict
	case models.TooLarge:
		return http.StatusRequestEntityTooLarge
	case models.RateLimited:
		return http.StatusTooManyRequests
	case models.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// codeOf is the code of what HTTP itself refuses.
func codeOf(status int) models.Code {
	switch status {
	case http.StatusNotFound:
		return models.NotFound
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		return models.TooLarge
	case http.StatusServiceUnavailable:
		return models.Unavailable
	}
	return models.Invalid
}

// refusal gives Fiber's refusals, and those of the HTTP server under it, words of our own.
func (d *door) refusal(c *fiber.Ctx, err *fiber.Error) (status int, text string) {
	switch err.Code {
	case http.StatusNotFound:
		return err.Code, "there is nothing at this path: GET /openapi.json lists what there is"
	case http.StatusMethodNotAllowed:
		return err.Code, fmt.Sprintf("%s is not possible here, only %s", c.Method(), c.Response().Header.Peek(fiber.HeaderAllow))
	case http.StatusRequestEntityTooLarge:
		drain(c.Context())
		return err.Code, fmt.Sprintf("the body is too large: at most %d MiB are read to share data, %d MiB elsewhere, and %d KiB from whoever the gate does not let in",
			largeBody>>20, otherBody>>20, smallBody>>10)
	case http.StatusRequestHeaderFieldsTooLarge:
		return err.Code, fmt.Sprintf("the request line and headers are too large: at most %d KiB are read", readBuffer>>10)
	case http.StatusRequestTimeout:
		return err.Code, "the request did not come in time"
	case http.StatusServiceUnavailable:
		return err.Code, "the server is restarting: try again"
	case http.StatusUnsupportedMediaType:
		return err.Code, err.Message
	}
	return http.StatusBadRequest, "the request is not HTTP as it must be"
}

// Bounds of drain.
const (
	drainBytes = 64 << 20
	drainTime  = 5 * time.Second
	drainPause = 200 * time.Millisecond
)

// drain reads on, for a while, what a client still sends of a body that is refused: one that is cut off
// in the middle of sending may never see the answer.
func drain(ctx *fasthttp.RequestCtx) {
	conn, end := ctx.Conn(), time.Now().Add(drainTime)
	buf := make([]byte, 64<<10)
	for left := drainBytes; left > 0 && time.Now().Before(end); {
		if conn.SetReadDeadline(time.Now().Add(drainPause)) != nil {
			return
		}
		n, err := conn.Read(buf)
		if left -= n; err != nil {
			return
		}
	}
}

// body is what every failure says.
func body(text string, code models.Code) []byte {
	b, err := json.Marshal(struct {
		Error string      `json:"error"`
		Code  models.Code `json:"code"`
	}{text, code})
	if err != nil {
		return []byte(`{"error":"Internal server error","code":"internal"}`)
	}
	return b
}

// send is the one place that answers on Fiber's side.
func send(ctx *fasthttp.RequestCtx, status int, b []byte) {
	ctx.SetStatusCode(status)
	ctx.Response.Header.SetContentType("application/json")
	ctx.Response.Header.Set(fiber.HeaderCacheControl, "no-store")
	ctx.Response.SetBodyRaw(b)
}
