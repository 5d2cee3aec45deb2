package handoff

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"
	"go.uber.org/goleak"
)

// TestMixedConnectionsUnderStress has many connections send all kinds of requests, one by one and together, in an
// order of their own. Each answer is the right one, some connections become WebSockets, some are left in the
// middle, and Shutdown leaves nothing running.
func TestMixedConnectionsUnderStress(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	for _, thrifty := range []bool{false, true} {
		t.Run(fmt.Sprintf("thrifty %v", thrifty), func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			p := open(t, fiber.Config{ReduceMemoryUsage: thrifty}, map[string]http.HandlerFunc{
				"/native/ws":   echoSocket,
				"/native/stay": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			})
			var all sync.WaitGroup
			for i := range 150 {
				all.Go(func() {
					rnd := rand.New(rand.NewPCG(1, uint64(i)))
					if err := stress(p.addr.String(), rnd, rounds); err != nil {
						t.Errorf("connection %d: %v", i, err)
					}
				})
			}
			all.Wait()
			p.close(patience)
			if err := goleak.Find(before, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
				goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2")); err != nil {
				t.Error(err)
			}
		})
	}
}

func echoSocket(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	for {
		kind, text, err := ws.Read(context.Background())
		if err != nil || ws.Write(context.Background(), kind, text) != nil {
			return
		}
	}
}

// stress uses one connection for so many rounds, and then up.
func stress(addr string, rnd *rand.Rand, rounds int) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	if err := nc.SetDeadline(time.Now().Add(6 * patience)); err != nil {
		return err
	}
	r := bufio.NewReader(nc)
	for range rounds {
		var asks strings.Builder
		var want []seen
		for range 1 + rnd.IntN(4) {
			ask, s := compose(rnd)
			asks.WriteString(ask)
			want = append(want, s)
		}
		sent := make(chan error, 1)
		go func() {
			_, err := io.Copy(pieces{nc, rnd.IntN(2000)}, strings.NewReader(asks.String()))
			sent <- err
		}()
		for i, s := range want {
			if err := expect(r, s); err != nil {
				<-sent
				return fmt.Errorf("answer %d: %w", i, err)
			}
		}
		if err := <-sent; err != nil {
			return err
		}
	}
	return part(nc, r, rnd)
}

// part ends a connection in one of the ways that there are.
func part(nc net.Conn, r *bufio.Reader, rnd *rand.Rand) error {
	switch rnd.IntN(4) {
	case 0: // in the middle of a head
		_, err := io.WriteString(nc, "POST /native HTTP/1.1\r\nHos")
		return err
	case 1: // in the middle of a conversation
		_, err := io.WriteString(nc, "GET /native/stay HTTP/1.1\r\nHost: h\r\n\r\n")
		return err
	case 2: // politely
		if _, err := io.WriteString(nc, "GET /native HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
			return err
		}
		if err := expect(r, seen{Engine: "net/http", Method: "GET"}); err != nil {
			return err
		}
		if _, err := r.ReadByte(); err != io.EOF {
			return fmt.Errorf("the connection ended with %w", err)
		}
		return nil
	}
	return converseBySocket(nc, r)
}

// used is a connection that was used before.
type used struct {
	net.Conn
	r *bufio.Reader
}

func (u used) Read(p []byte) (int, error) { return u.r.Read(p) }

func converseBySocket(nc net.Conn, r *bufio.Reader) error {
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
	defer cancel()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return used{nc, r}, nil }}
	ws, _, err := websocket.Dial(ctx, "http://"+nc.RemoteAddr().String()+"/native/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return err
	}
	defer func() { _ = ws.CloseNow() }()
	for i := range 10 {
		text := strings.Repeat(fmt.Sprint(i), i*500)
		if err := ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			return err
		}
		if _, back, err := ws.Read(ctx); err != nil || string(back) != text {
			return fmt.Errorf("%d bytes of %d came back: %w", len(back), len(text), err)
		}
	}
	return ws.Close(websocket.StatusNormalClosure, "")
}

// pieces writes so many bytes at a time.
type pieces struct {
	w    io.Writer
	size int
}

func (p pieces) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = p.w.Write(b[n:min(len(b), n+p.size+1)])
		n += m
	}
	return n, err
}

// compose writes a request, and tells what is to be seen of it.
func compose(rnd *rand.Rand) (ask string, s seen) {
	engine := []string{"fiber", "net/http"}[rnd.IntN(2)]
	s = seen{Engine: engine, Method: "GET", Target: map[string]string{"fiber": "/rest", "net/http": "/native"}[engine]}
	s.Target += fmt.Sprintf("/%d?x=%d", rnd.IntN(1000), rnd.IntN(1000))
	fields := fmt.Sprintf("Host: h\r\nX-B: %d\r\nX-A: a\r\nX-B: %d\r\n", rnd.IntN(1000), rnd.IntN(1000))
	kind := rnd.IntN(4)
	if kind == 0 {
		return "GET " + s.Target + " HTTP/1.1\r\n" + fields + "\r\n", s
	}
	s.Method = "POST"
	s.Body = []byte(strings.Repeat(string(rune('a'+rnd.IntN(26))), rnd.IntN(1<<rnd.IntN(15))))
	head := "POST " + s.Target + " HTTP/1.1\r\n" + fields
	if kind == 1 {
		var chunks strings.Builder
		for b := s.Body; len(b) > 0; {
			n := 1 + rnd.IntN(len(b))
			fmt.Fprintf(&chunks, "%x\r\n%s\r\n", n, b[:n])
			b = b[n:]
		}
		return head + "Transfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\n\r\n", s
	}
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(s.Body), s.Body), s
}

func expect(r *bufio.Reader, want seen) error {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var s seen
	if err := json.Unmarshal(body, &s); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w: %s", res.Status, err, body)
	}
	if s.Engine != want.Engine || s.Method != want.Method || want.Target != "" && s.Target != want.Target || string(s.Body) != string(want.Body) {
		return fmt.Errorf("saw %.300v, want %.300v", s, want)
	}
	return nil
}
