package handoff

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
)

const (
	askREST   = "GET /rest HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer 0123456789\r\nAccept: application/json\r\n\r\n"
	askNative = "GET /native HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer 0123456789\r\nAccept: application/json\r\n\r\n"
	tell      = "POST /native HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer 0123456789\r\nContent-Type: application/json\r\n" +
		"Content-Length: 16\r\n\r\n{\"hello\":\"room\"}"
)

// benchmark asks over kept connections, one for each of GOMAXPROCS goroutines. Both engines answer "ok".
func benchmark(b *testing.B, first, ask string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	h := New(app, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}), func(path string) bool { return strings.HasPrefix(path, "/native") })
	app.Use(h.Take)
	app.Use(func(c *fiber.Ctx) error { return c.SendString("ok") })
	p := &place{Handoff: h, t: b, addr: l.Addr(), ran: make(chan error, 2)}
	go func() { p.ran <- app.Listener(l) }()
	go func() { p.ran <- h.Serve() }()
	defer p.close(patience)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = nc.Close() }()
		answer := make([]byte, 4096)
		for ask := range asking(first, ask, pb) {
			if _, err := io.WriteString(nc, ask); err != nil {
				b.Error(err)
				return
			}
			n, err := nc.Read(answer) // small enough to come in one piece
			if err != nil || !strings.HasSuffix(string(answer[:n]), "\r\n\r\nok") {
				b.Errorf("%v after %q", err, answer[:n])
				return
			}
		}
	})
}

func asking(first, ask string, pb *testing.PB) func(func(string) bool) {
	return func(yield func(string) bool) {
		if first != "" && !yield(first) {
			return
		}
		for pb.Next() {
			if !yield(ask) {
				return
			}
		}
	}
}

// BenchmarkREST is Fiber on a connection that was never handed over.
func BenchmarkREST(b *testing.B) { benchmark(b, "", askREST) }

// BenchmarkRESTGoneBack is Fiber on a connection that net/http has had before.
func BenchmarkRESTGoneBack(b *testing.B) { benchmark(b, askNative, askREST) }

// BenchmarkNative is net/http, and the way there and back, for every request.
func BenchmarkNative(b *testing.B) { benchmark(b, "", askNative) }

// BenchmarkNativeBody is the same with a request that has a body.
func BenchmarkNativeBody(b *testing.B) { benchmark(b, "", tell) }

// BenchmarkTakeless is what Take costs, when compared with BenchmarkREST: Fiber without it.
func BenchmarkTakeless(b *testing.B) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(func(c *fiber.Ctx) error { return c.SendString("ok") })
	benchmarkApp(b, app.Listener, app.Shutdown)
}

// BenchmarkNetHTTP is net/http alone, to compare BenchmarkNative with.
func BenchmarkNetHTTP(b *testing.B) {
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") })}
	benchmarkApp(b, s.Serve, s.Close)
}

func benchmarkApp(b *testing.B, serve func(net.Listener) error, stop func() error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = serve(l) }()
	defer func() { _ = stop() }()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = nc.Close() }()
		answer := make([]byte, 4096)
		for pb.Next() {
			_, _ = io.WriteString(nc, askNative)
			if _, err := nc.Read(answer); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
