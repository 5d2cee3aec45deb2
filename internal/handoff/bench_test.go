package handoff

import (
	"bytes"
	"context"
	"io"
	"log/slog"
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
func benchmark(b *testing.B, first, then string) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	h := New(app, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}), func(path string) bool { return strings.HasPrefix(path, "/native") }, slog.New(slog.DiscardHandler))
	app.Use(h.Take)
	app.Use(func(c *fiber.Ctx) error { return c.SendString("ok") })
	ask(b, app.Listener, func() error { return h.Shutdown(context.Background()) }, first, then)
}

func ask(b *testing.B, serve func(net.Listener) error, stop func() error, first, then string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- serve(l) }()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = nc.Close() }()
		question, next, answer := []byte(first), []byte(then), make([]byte, 4096)
		for pb.Next() {
			if _, err := nc.Write(question); err != nil {
				b.Error(err)
				return
			}
			n, err := nc.Read(answer) // small enough to come in one piece
			if err != nil || !bytes.HasSuffix(answer[:n], []byte("\r\n\r\nok")) {
				b.Errorf("%v after %q", err, answer[:n])
				return
			}
			question = next
		}
	})
	if err := stop(); err != nil {
		b.Error(err)
	}
	<-ran
}

// BenchmarkREST is Fiber on a connection that was never handed over.
func BenchmarkREST(b *testing.B) { benchmark(b, askREST, askREST) }

// BenchmarkRESTGoneBack is Fiber on a connection that net/http has had before.
func BenchmarkRESTGoneBack(b *testing.B) { benchmark(b, askNative, askREST) }

// BenchmarkNative is net/http, and the way there and back, for every request.
func BenchmarkNative(b *testing.B) { benchmark(b, askNative, askNative) }

// BenchmarkNativeBody is the same with a request that has a body.
func BenchmarkNativeBody(b *testing.B) { benchmark(b, tell, tell) }

// BenchmarkFiberAlone is Fiber without Take, to compare BenchmarkREST with.
func BenchmarkFiberAlone(b *testing.B) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(func(c *fiber.Ctx) error { return c.SendString("ok") })
	ask(b, app.Listener, app.Shutdown, askREST, askREST)
}

// BenchmarkNetHTTPAlone is net/http without a way there and back, to compare BenchmarkNative with.
func BenchmarkNetHTTPAlone(b *testing.B) {
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") })}
	ask(b, s.Serve, s.Close, askNative, askNative)
}
