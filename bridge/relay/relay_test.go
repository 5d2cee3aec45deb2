package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"crosstalk/auth"
	"crosstalk/bridge"
	"crosstalk/bridge/catalog"
	"crosstalk/bridge/wire"
	"crosstalk/hub"
	"crosstalk/models"
	"crosstalk/models/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// remote is a hub behind HTTP that can go away and come back on the same port.
type remote struct {
	t    *testing.T
	db   string
	addr string
	key  string
	lose atomic.Int32 // answers to drop, after the hub has done what was asked
	hub  *hub.Hub
	stop func()
	calm atomic.Bool // stop lets what was asked be answered

	session atomic.Value // the last that a request named
}

func startRemote(t *testing.T, key string) *remote {
	r := &remote{t: t, db: filepath.Join(t.TempDir(), "hub.db"), addr: "127.0.0.1:0", key: key}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *remote) start() {
	r.t.Helper()
	st, err := store.Open(context.Background(), store.Options{Path: r.db})
	if err != nil {
		r.t.Fatal(err)
	}
	h, err := hub.New(st, hub.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- h.Run(ctx) }()
	gate, err := auth.New(auth.Config{Key: r.key})
	if err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	leave := make(chan struct{})
	door := wire.HTTP(wire.Options{Bridge: bridge.New(bridge.Options{Hub: h, Version: "test", Log: log}), Log: log, Gate: gate, Draining: leave})
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr, r.hub = l.Addr().String(), h
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if id := req.Header.Get("Mcp-Session-Id"); id != "" {
			r.session.Store(id)
		}
		if req.Method != http.MethodPost || r.lose.Load() == 0 {
			door.ServeHTTP(w, req)
			return
		}
		r.lose.Add(-1)
		door.ServeHTTP(httptest.NewRecorder(), req)
		panic(http.ErrAbortHandler)
	})}
	go func() { _ = srv.Serve(l) }()
	r.stop = func() {
		h.Drain()
		close(leave)
		if r.calm.Load() {
			_ = srv.Shutdown(ctx)
		}
		_ = srv.Close()
		cancel()
		<-ran
		if err := st.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

// client speaks to a relay as an AI client does.
type client struct {
	t    *testing.T
	in   *io.PipeWriter
	out  chan map[string]any
	next int
}

func startClient(t *testing.T, r *remote, key string, try time.Duration) *client {
	t.Helper()
	return startClientWith(t, r, Options{Key: key}, try)
}

func startClientWith(t *testing.T, r *remote, o Options, try time.Duration) *client {
	t.Helper()
	in, inw := io.Pipe()
	outr, out := io.Pipe()
	c := &client{t: t, in: inw, out: make(chan map[string]any, 100)}
	done := make(chan error, 1)
	go func() {
		o.URL, o.In, o.Out, o.Log = "http://"+r.addr, in, out, slog.New(slog.DiscardHandler)
		done <- run(context.Background(), o, try)
		_ = out.Close()
	}()
	go func() {
		defer close(c.out)
		for scan := bufio.NewScanner(outr); scan.Scan(); {
			var m map[string]any
			if err := json.Unmarshal(scan.Bytes(), &m); err != nil {
				t.Errorf("not JSON: %s", scan.Bytes())
			}
			c.out <- m
		}
	}()
	t.Cleanup(func() {
		_ = inw.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for range c.out {
		}
	})
	return c
}

func (c *client) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// ask sends a request and returns its id.
func (c *client) ask(method, params string) int {
	c.t.Helper()
	c.next++
	c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, c.next, method, params))
	return c.next
}

// answer waits for the answer to a request, and passes over notifications.
func (c *client) answer(id int) map[string]any {
	c.t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case m, ok := <-c.out:
			if !ok {
				c.t.Fatal("the relay has ended")
			}
			if got, is := m["id"].(float64); is && int(got) == id {
				return m
			}
		case <-late:
			c.t.Fatalf("no answer to request %d", id)
		}
	}
}

func (c *client) hello() {
	c.t.Helper()
	m := c.answer(c.ask("initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}`))
	if m["result"] == nil {
		c.t.Fatalf("initialize: %v", m)
	}
	c.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

func text(m map[string]any) string {
	b, _ := json.Marshal(m) // it was JSON
	s := strings.ReplaceAll(string(b), `\u003c`, "<")
	return strings.ReplaceAll(s, `\u003e`, ">")
}

func (c *client) tool(name, arguments string) string {
	c.t.Helper()
	return text(c.answer(c.ask("tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s}`, name, arguments))))
}

func contains(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%q is not in %s", want, got)
	}
}

func (r *remote) say(content string) {
	r.t.Helper()
	_, err := r.hub.Publish(r.t.Context(), models.Principal{Name: models.SharedPrincipal}, models.Draft{
		Channel: "x", Sender: "bob", Content: content, Type: models.TypeMessage, Kind: models.KindAgent,
	})
	if err != nil {
		r.t.Error(err)
	}
}

func TestToolsAreTheHubs(t *testing.T) {
	r := startRemote(t, "secret")
	c := startClient(t, r, "secret", time.Second)
	c.hello()
	contains(t, c.tool("register", `{"instance_id":"me"}`), `Registered as \"me\"`)
	contains(t, c.tool("send_message", `{"sender":"me","channel":"x","content":"hi"}`), `Message #1 sent to #x as \"me\"`)
	r.say("hello")
	contains(t, c.tool("check_messages", `{"instance_id":"me","channel":"x"}`), "hello")
	contains(t, text(c.answer(c.ask("server/discover", `{}`))), "-32601")
	c.send(`no json`)
	c.send(``)
	contains(t, text(<-c.out), "-32700")
}

func TestAWrongKeyIsSaid(t *testing.T) {
	c := startClient(t, startRemote(t, "secret"), "other", time.Second)
	contains(t, text(c.answer(c.ask("initialize", `{}`))), "CROSSTALK_KEY")
}

func TestALostAnswerStoresOnce(t *testing.T) {
	r := startRemote(t, "")
	c := startClient(t, r, "", 20*time.Second)
	c.hello()
	r.lose.Store(2)
	contains(t, c.tool("send_message", `{"sender":"me","channel":"x","content":"once"}`), "Message #1 sent")
	if head, err := r.hub.Head(t.Context()); err != nil || head != 1 {
		t.Errorf("%d messages are stored, %v", head, err)
	}
}

func TestAWaitGoesOnAfterTheHubRestarted(t *testing.T) {
	for name, calm := range map[string]bool{"answering to the end": true, "at once": false} {
		t.Run(name, func(t *testing.T) {
			r := startRemote(t, "")
			r.calm.Store(calm)
			c := startClient(t, r, "", 20*time.Second)
			c.hello()
			c.tool("register", `{"instance_id":"me"}`)
			wait := c.ask("tools/call", `{"name":"wait_for_reply","arguments":{"instance_id":"me","channel":"x"},"_meta":{"progressToken":"p"}}`)
			if m := <-c.out; m["method"] != "notifications/progress" {
				t.Errorf("got %v", m)
			}
			r.hub = nil
			r.stop()
			r.start()
			r.say("while you were away")
			contains(t, text(c.answer(wait)), "while you were away")
		})
	}
}

func TestAMessageAboutARestartIsPassedOn(t *testing.T) {
	r := startRemote(t, "")
	c := startClient(t, r, "", 20*time.Second)
	c.hello()
	r.say(catalog.Restarting)
	contains(t, c.tool("wait_for_reply", `{"instance_id":"me","channel":"x","after_id":0}`), catalog.Restarting)
}

func TestADeletedSessionBeginsAgain(t *testing.T) {
	r := startRemote(t, "")
	c := startClient(t, r, "", 5*time.Second)
	c.hello()
	contains(t, text(c.answer(c.ask("tools/list", `{}`))), "wait_for_reply")
	gone := r.session.Load().(string)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+r.addr+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Mcp-Session-Id", gone)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("delete: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	contains(t, text(c.answer(c.ask("tools/list", `{}`))), "wait_for_reply")
	if now := r.session.Load().(string); now == gone {
		t.Error("the deleted session was used again")
	}
}

func TestAHubThatIsAwayIsToldToTheModel(t *testing.T) {
	r := startRemote(t, "")
	c := startClient(t, r, "", time.Second)
	c.hello()
	r.stop()
	got := c.tool("list_channels", `{}`)
	contains(t, got, "cannot be reached")
	contains(t, got, `"isError":true`)
	contains(t, text(c.answer(c.ask("tools/list", `{}`))), "-32603")
	r.start()
	contains(t, c.tool("list_channels", `{}`), "general")
}

func TestACancelledCallIsNotAnswered(t *testing.T) {
	r := startRemote(t, "")
	c := startClient(t, r, "", time.Second)
	c.hello()
	wait := c.ask("tools/call", `{"name":"wait_for_reply","arguments":{"instance_id":"me","channel":"x"},"_meta":{"progressToken":"p"}}`)
	if m := <-c.out; m["method"] != "notifications/progress" {
		t.Errorf("got %v", m)
	}
	c.send(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, wait))
	contains(t, c.tool("list_channels", `{}`), "general")
	r.say("later")
	contains(t, c.tool("check_messages", `{"instance_id":"me","channel":"x"}`), "later")
}

func TestOnlyHubsAddressesAreTaken(t *testing.T) {
	for _, bad := range []string{"", "bus.example.com", "ftp://bus.example.com", "http://"} {
		if err := Run(t.Context(), Options{URL: bad}); err == nil {
			t.Errorf("%q was taken for a hub's address", bad)
		}
	}
}
