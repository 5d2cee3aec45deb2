package handoff

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// fasthttp's clock runs for ever, and its sweepers of idle workers look up only once in 10 s.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// seen is a request as an engine read it, every string of it in Latin 1, which JSON does not mend.
type seen struct {
	Engine, Method, Target, Proto, Host, Remote string
	Fields                                      []string
	Body                                        []byte
}

func latin1(bytes string) string {
	var b strings.Builder
	for i := range len(bytes) {
		b.WriteRune(rune(bytes[i]))
	}
	return b.String()
}

// settle puts the fields in an order in which the engines can be compared, repeated ones in theirs. It leaves out
// the framing, which differs by intention, and Host, which is compared by itself.
func (s *seen) settle() {
	s.Fields = slices.DeleteFunc(s.Fields, func(field string) bool {
		name, _, _ := strings.Cut(field, ": ")
		return slices.Contains([]string{"Host", "Content-Length", "Transfer-Encoding", "Expect", "Trailer"}, name)
	})
	slices.SortStableFunc(s.Fields, func(a, b string) int {
		a, _, _ = strings.Cut(a, ": ")
		b, _, _ = strings.Cut(b, ": ")
		return strings.Compare(a, b)
	})
}

// field returns the place of the first field of that name, or -1.
func (s *seen) field(name string) int {
	return slices.IndexFunc(s.Fields, func(f string) bool { return strings.HasPrefix(f, name+": ") })
}

func (p *place) fiberEcho(c *fiber.Ctx) error {
	head := &c.Request().Header
	s := seen{Engine: "fiber", Method: string(head.Method()), Target: latin1(string(head.RequestURI())),
		Proto: string(head.Protocol()), Host: latin1(string(head.Host())), Remote: c.Context().RemoteAddr().String(),
		Body: c.Request().Body()}
	for name, value := range head.AllInOrder() {
		s.Fields = append(s.Fields, http.CanonicalHeaderKey(string(name))+": "+latin1(string(value)))
	}
	if i := s.field("Pragma"); i >= 0 && s.Fields[i] == "Pragma: no-cache" && s.field("Cache-Control") < 0 {
		s.Fields = append(s.Fields, "Cache-Control: no-cache") // as net/http does
	}
	s.settle()
	s.Body = bytes.Clone(s.Body)
	p.note(s)
	c.Set("X-Method", s.Method)
	return c.JSON(s)
}

func (p *place) nativeEcho(w http.ResponseWriter, r *http.Request) {
	s := seen{Engine: "net/http", Method: r.Method, Target: latin1(r.RequestURI), Proto: r.Proto, Host: latin1(r.Host), Remote: r.RemoteAddr}
	for name, values := range r.Header {
		for _, value := range values {
			s.Fields = append(s.Fields, name+": "+latin1(value))
		}
	}
	s.settle()
	var err error
	if s.Body, err = io.ReadAll(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.note(s)
	text, _ := json.Marshal(s)
	w.Header().Set("X-Method", s.Method)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
}

// place is a Fiber app and native handlers on one port.
type place struct {
	*Handoff
	t    testing.TB
	addr net.Addr
	ran  chan error // what Fiber's and our Serve returned

	mu  sync.Mutex
	saw []seen // guarded by mu: what the echoes saw
}

func (p *place) note(s seen) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.saw = append(p.saw, s)
}

// recall returns what the echoes saw since the last time.
func (p *place) recall() []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	saw := p.saw
	p.saw = nil
	for i := range saw {
		saw[i].Engine, saw[i].Remote = "", ""
	}
	return saw
}

// open opens a place with an echo on both engines; what is below /native is native, for which more are handlers.
// It is tuned before it serves.
func open(t testing.TB, conf fiber.Config, more map[string]http.HandlerFunc, tune ...func(*place)) *place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, l, conf, more, tune...)
}

func openOn(t testing.TB, l net.Listener, conf fiber.Config, more map[string]http.HandlerFunc, tune ...func(*place)) *place {
	conf.DisableStartupMessage = true
	conf.DisableDefaultDate = true
	conf.ReadTimeout = max(conf.ReadTimeout, 5*time.Second)
	app := fiber.New(conf)
	p := &place{t: t, addr: l.Addr(), ran: make(chan error, 2)}
	native := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handle, ok := more[r.URL.Path]; ok {
			handle(w, r)
			return
		}
		p.nativeEcho(w, r)
	})
	p.Handoff = New(app, native, func(path string) bool { return strings.HasPrefix(path, "/native") }, slog.New(slog.DiscardHandler))
	app.Use(p.Take)
	app.Use(p.fiberEcho)
	for _, do := range tune {
		do(p)
	}
	go func() { p.ran <- app.Listener(l) }()
	go func() { p.ran <- p.Serve() }()
	t.Cleanup(func() { p.close(patience) })
	return p
}

// before has do run before Fiber answers requests of path.
func before(path string, do func()) func(*place) {
	return func(p *place) {
		next := p.app.Server().Handler
		p.app.Server().Handler = func(c *fasthttp.RequestCtx) {
			if string(c.Path()) == path {
				do()
			}
			next(c)
		}
	}
}

// close shuts down and wants every goroutine back that the place started.
func (p *place) close(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		p.t.Errorf("Shutdown: %v", err)
	}
	for range cap(p.ran) {
		if p.ran == nil {
			return
		}
		if err := <-p.ran; err != nil {
			p.t.Errorf("serving: %v", err)
		}
	}
	p.ran = nil
}

// wire is a client that writes bytes.
type wire struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (p *place) dial() *wire {
	p.t.Helper()
	nc, err := net.Dial(p.addr.Network(), p.addr.String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &wire{nc, p.t, bufio.NewReader(nc)}
}

func (w *wire) send(format string, args ...any) *wire {
	w.t.Helper()
	if _, err := fmt.Fprintf(w, format, args...); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// answer reads the answer to a request of method, with its whole body.
func (w *wire) answer(method string) *http.Response {
	w.t.Helper()
	res, err := http.ReadResponse(w.r, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("half an answer: %v", err)
	}
	res.Body = io.NopCloser(strings.NewReader(string(body)))
	return res
}

// echo reads an answer 200 of an echo.
func (w *wire) echo() (s seen) {
	w.t.Helper()
	res := w.answer("GET")
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("answered %s: %s", res.Status, body)
	}
	if err := json.Unmarshal(body, &s); err != nil {
		w.t.Fatalf("%v: %s", err, body)
	}
	return s
}

// refused wants the status, and then the end.
func (w *wire) refused(status int) {
	w.t.Helper()
	if res := w.answer("GET"); res.StatusCode != status {
		w.t.Errorf("answered %s, want %d", res.Status, status)
	}
	w.ended()
}

func (w *wire) ended() {
	w.t.Helper()
	if b, err := w.r.ReadByte(); err == nil {
		rest, _ := w.r.Peek(w.r.Buffered())
		w.t.Errorf("the connection goes on: %q", append([]byte{b}, rest...))
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		w.t.Errorf("the connection stays open")
	}
}

func await[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain until %s", what)
	}
	return v
}
