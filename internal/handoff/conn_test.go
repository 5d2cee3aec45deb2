package handoff

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"
)

// TestContextEndsWhenTheClientLeaves holds for clients that sent a body, that came by way of both engines, and
// that sent another request, or most of one, before they left.
func TestContextEndsWhenTheClientLeaves(t *testing.T) {
	entered, left := make(chan bool, 1), make(chan error, 1)
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/stay": func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // net/http looks out for the client once it has the body
		entered <- true
		<-r.Context().Done()
		left <- r.Context().Err()
	}})
	for _, c := range []struct{ name, before, ask string }{
		{"at once", "", "GET /native/stay HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"after a body", "", "POST /native/stay HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"},
		{"after REST", "GET /rest HTTP/1.1\r\nHost: h\r\n\r\n", "GET /native/stay HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"after another", "GET /native HTTP/1.1\r\nHost: h\r\n\r\n", "GET /native/stay HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"with more sent", "", "GET /native/stay HTTP/1.1\r\nHost: h\r\n\r\nGET /rest HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 3000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := p.dial()
			if c.before != "" {
				w.send("%s", c.before).echo()
			}
			w.send("%s", c.ask)
			await(t, "it runs", entered)
			select {
			case <-left:
				t.Fatal("its context ended while the client was there")
			default:
			}
			_ = w.Close()
			if err := await(t, "it leaves", left); !errors.Is(err, context.Canceled) {
				t.Errorf("its context ended with %v", err)
			}
		})
	}
}

// gauge counts what is read of a connection, and says when that is as much as is kept ahead.
type gauge struct {
	net.Conn
	read atomic.Int64
	full chan bool
}

func (g *gauge) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if sum := g.read.Add(int64(n)); sum >= maxAhead && sum-int64(n) < maxAhead {
		close(g.full)
	}
	return n, err
}

// underFirst puts the gauge under the first connection that is handed over.
func (g *gauge) underFirst(p *place) {
	p.native.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		if c := nc.(*conn); g.Conn == nil {
			g.Conn, c.Conn = c.Conn, g
		}
		return ctx
	}
}

// TestClientThatSendsTooMuchIsLeftUnread sends more ahead than is kept, and misses nothing in the end.
func TestClientThatSendsTooMuchIsLeftUnread(t *testing.T) {
	g, entered, hold := &gauge{full: make(chan bool)}, make(chan bool, 1), make(chan bool)
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/hold": func(http.ResponseWriter, *http.Request) {
		entered <- true
		<-hold
	}}, g.underFirst)
	body := strings.Repeat("0123456789abcdef", 64<<10)
	w := p.dial().send("GET /native/hold HTTP/1.1\r\nHost: h\r\n\r\n")
	await(t, "it runs", entered)
	go func() {
		_, _ = fmt.Fprintf(w, "POST /rest HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		_, _ = io.WriteString(w, "GET /native HTTP/1.1\r\nHost: h\r\n\r\n")
	}()
	await(t, "enough is read", g.full)
	if n := g.read.Load(); n > 2*maxAhead {
		t.Errorf("read %d bytes ahead", n)
	}
	close(hold)
	if res := w.answer("GET"); res.StatusCode != http.StatusOK {
		t.Errorf("answered %s", res.Status)
	}
	if s := w.echo(); s.Engine != "fiber" || string(s.Body) != body {
		t.Errorf("read %.100v", s)
	}
	if s := w.echo(); s.Engine != "net/http" {
		t.Errorf("read %.100v", s)
	}
}

// echoRaw hijacks and sends back what it reads.
func echoRaw(t *testing.T, hijacked chan<- net.Conn) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		hijacked <- nc
		go func() {
			defer func() { _ = nc.Close() }()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
			if rw.Flush() == nil {
				_, _ = io.Copy(nc, rw)
			}
		}()
	}
}

const upgrade = "GET /native/raw HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

func (w *wire) comesBack(want string) {
	w.t.Helper()
	res, err := http.ReadResponse(w.r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatalf("answered %v %v", res, err)
	}
	back, err := io.ReadAll(w.r)
	if err != nil || string(back) != want {
		w.t.Errorf("%d bytes came back, want %d: %v", len(back), len(want), err)
	}
}

func TestHijackedConnectionMissesNothing(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/raw": echoRaw(t, hijacked)})
	for _, size := range []int{0, 1, 100, maxAhead - 1, maxAhead, maxAhead + 1, 3 * maxAhead, 1 << 20} {
		t.Run(fmt.Sprintf("%d bytes ahead", size), func(t *testing.T) {
			w, ahead := p.dial(), strings.Repeat("0123456789abcdef", size/16+1)[:size]
			w.t = t
			if size%2 == 1 {
				w.send("GET /native HTTP/1.1\r\nHost: h\r\n\r\nGET /rest HTTP/1.1\r\nHost: h\r\n\r\n").echo()
				w.echo()
			}
			go func() {
				_, _ = io.WriteString(w, upgrade+ahead)
				_, _ = io.WriteString(w, "later")
				_ = w.Conn.(*net.TCPConn).CloseWrite()
			}()
			w.comesBack(ahead + "later")
			nc := await(t, "it was hijacked", hijacked)
			if raw, ok := nc.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn); !ok || raw.RemoteAddr().String() != w.LocalAddr().String() {
				t.Errorf("underneath is %T", nc.(*conn).NetConn())
			}
		})
	}
}

// TestHijackedConnectionMissesNothingLent hijacks when net/http has been lent a byte.
func TestHijackedConnectionMissesNothingLent(t *testing.T) {
	g, entered, hijacked := &gauge{full: make(chan bool)}, make(chan bool, 1), make(chan net.Conn, 1)
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/raw": func(w http.ResponseWriter, r *http.Request) {
		entered <- true
		await(t, "enough is read", g.full)
		echoRaw(t, hijacked)(w, r)
	}}, g.underFirst)
	w, ahead := p.dial().send(upgrade), strings.Repeat("0123456789abcdef", 64<<10)
	await(t, "it runs", entered)
	go func() {
		_, _ = io.WriteString(w, ahead)
		_ = w.Conn.(*net.TCPConn).CloseWrite()
	}()
	w.comesBack(ahead)
}

func TestLetsGoOfARequestOnceRead(t *testing.T) {
	c := &conn{request: []byte("GET")}
	if _, err := c.Read(make([]byte, 2)); err != nil || string(c.request) != "T" {
		t.Errorf("%q is left, %v", c.request, err)
	}
	if _, err := c.Read(make([]byte, 2)); err != nil || c.request != nil {
		t.Errorf("%q is kept, %v", c.request[:cap(c.request)], err)
	}
}

func TestHoldsWebSockets(t *testing.T) {
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/ws": func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = ws.CloseNow() }()
		for {
			kind, text, err := ws.Read(r.Context())
			if err != nil || ws.Write(r.Context(), kind, text) != nil {
				return
			}
		}
	}})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	// The handshake goes over a connection that was used before.
	res, err := client.Get("http://" + p.addr.String() + "/native")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	ws, _, err := websocket.Dial(ctx, "http://"+p.addr.String()+"/native/ws", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "hello", strings.Repeat("x", 30000)} {
		if err := ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, back, err := ws.Read(ctx); err != nil || string(back) != text {
			t.Errorf("%q came back, %v", back, err)
		}
	}
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

func TestShutdownLeavesHijackedConnectionsAlone(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/raw": func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		hijacked <- nc
	}})
	w := p.dial().send("GET /native/raw HTTP/1.1\r\nHost: h\r\n\r\n")
	nc := await(t, "it was hijacked", hijacked)
	p.close(patience)
	_, _ = io.WriteString(nc, "still here\n")
	if line, err := w.r.ReadString('\n'); err != nil || line != "still here\n" {
		t.Errorf("%q, %v", line, err)
	}
	w.send("me too\n")
	if line, err := bufio.NewReader(nc).ReadString('\n'); err != nil || line != "me too\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := nc.Close(); err != nil {
		t.Error(err)
	}
	w.ended()
}

func TestFlushesWhileTheHandlerRuns(t *testing.T) {
	next := make(chan string)
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/stream": func(w http.ResponseWriter, _ *http.Request) {
		for line := range next {
			_, _ = io.WriteString(w, line)
			w.(http.Flusher).Flush()
		}
	}})
	w := p.dial().send("GET /native/stream HTTP/1.1\r\nHost: h\r\n\r\n")
	next <- "one\n"
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(res.Body)
	for _, want := range []string{"one\n", "two\n", "three\n"} {
		if line, err := lines.ReadString('\n'); err != nil || line != want {
			t.Errorf("%q, %v, want %q", line, err, want)
		}
		switch want {
		case "one\n":
			next <- "two\n"
		case "two\n":
			next <- "three\n"
		}
	}
	close(next)
	if _, err := lines.ReadByte(); err != io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
	if s := w.send("GET /rest HTTP/1.1\r\nHost: h\r\n\r\n").echo(); s.Engine != "fiber" {
		t.Errorf("read %+v", s)
	}
}

func TestWriteDeadlineHolds(t *testing.T) {
	failed := make(chan error, 1)
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/soon": func(w http.ResponseWriter, _ *http.Request) {
		err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Millisecond))
		for err == nil {
			_, err = w.Write(make([]byte, 64<<10))
		}
		failed <- err
	}})
	p.dial().send("GET /native/soon HTTP/1.1\r\nHost: h\r\n\r\n")
	if err := await(t, "the write fails", failed); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the write failed with %v", err)
	}
}

// TestDeadlinesStayBehind has net/http leave deadlines in the past, by a handler and by its rest between two
// requests: they are of its stay alone, and Fiber has none of its own here.
func TestDeadlinesStayBehind(t *testing.T) {
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/past": func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
	}}, func(p *place) {
		p.app.Server().ReadTimeout = 0
		p.native.IdleTimeout = time.Nanosecond
	})
	w := p.dial()
	for range 3 {
		w.send("GET /native/past HTTP/1.1\r\nHost: h\r\n\r\nGET /rest/1 HTTP/1.1\r\nHost: h\r\n\r\n")
		if res := w.answer("GET"); res.StatusCode != http.StatusOK {
			t.Errorf("answered %s", res.Status)
		}
		if s := w.echo(); s.Target != "/rest/1" {
			t.Errorf("read %+v", s)
		}
		if s := w.send("GET /rest/2 HTTP/1.1\r\nHost: h\r\n\r\n").echo(); s.Target != "/rest/2" {
			t.Errorf("read %+v", s)
		}
	}
}

func TestPanicOfAHandlerEndsItsConnectionAlone(t *testing.T) {
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/panic": func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}})
	other := p.dial()
	other.send("GET /native HTTP/1.1\r\nHost: h\r\n\r\n").echo()
	w := p.dial()
	w.send("GET /native/panic HTTP/1.1\r\nHost: h\r\n\r\n").ended()
	if s := other.send("GET /native HTTP/1.1\r\nHost: h\r\n\r\n").echo(); s.Engine != "net/http" {
		t.Errorf("read %+v", s)
	}
}
