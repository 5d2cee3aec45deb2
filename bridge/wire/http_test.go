package wire

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"crosstalk/auth"
)

// open opens the stream of a session.
func open(t testing.TB, url, session string) (events <-chan string, hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := send(ctx, http.MethodGet, url, "", "Accept: text/event-stream", "Mcp-Session-Id: "+session)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = r.Body.Close()
	})
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" || r.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("the stream begins with %s, %v", r.Status, r.Header)
	}
	return feed(t, r.Body), cancel
}

func TestGetHearsWhatTheServerSays(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b}) + "/mcp"
	events, hangUp := open(t, url, "S1")
	b.mcp.AddTool(mcp.NewTool("new"), nil)
	wants(t, hear(t, events)+hear(t, events), "event: message", `data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"`)
	if open, _ := b.connections(); open != 1 {
		t.Errorf("%d connections are open", open)
	}
	hangUp()
	eventually(t, "the connection is gone", func() bool { n, _ := b.connections(); return n == 0 })
}

func TestTheNewestGetIsTheStream(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b}) + "/mcp"
	first, _ := open(t, url, "S1")
	second, _ := open(t, url, "S1")
	other, _ := open(t, url, "S2")
	if _, more := <-first; more {
		t.Error("the older stream goes on")
	}
	b.mcp.AddTool(mcp.NewTool("new"), nil)
	hear(t, second)
	hear(t, other)
}

func TestDeleteEndsTheSession(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b}) + "/mcp"
	events, _ := open(t, url, "S1")
	waiting := make(chan int, 1)
	go func() {
		status, _, _ := ask(t, url, call(1, "wait", "w"), "Mcp-Session-Id: S1")
		waiting <- status
	}()
	hear(t, b.started)
	r, err := send(t.Context(), http.MethodDelete, url, "", "Mcp-Session-Id: S1")
	if err != nil || r.StatusCode != http.StatusNoContent {
		t.Fatalf("DELETE: %v, %v", r, err)
	}
	_ = r.Body.Close()
	if _, more := <-events; more {
		t.Error("the stream of a deleted session goes on")
	}
	if hear(t, b.cancelled); hear(t, waiting) != http.StatusAccepted {
		t.Error("the call of a deleted session was answered")
	}
	status, _, body := ask(t, url, call(2, "echo", "x"), "Mcp-Session-Id: S1")
	if status != http.StatusNotFound {
		t.Errorf("then: %d %s", status, body)
	}
	status, _, body = ask(t, url, call(2, "echo", "x"), "Mcp-Session-Id: S2")
	if status != http.StatusOK {
		t.Errorf("another session: %d %s", status, body)
	}
	eventually(t, "the session was left", func() bool { _, left := b.connections(); return left == 1 })
}

func TestDrainingEndsStreamsAndAnswersSubscriptions(t *testing.T) {
	b, draining := newProbe(), make(chan struct{})
	url := serve(t, Options{Bridge: b, Draining: draining})
	events, _ := open(t, url+"/mcp", "S1")
	r, err := post(t.Context(), url+"/mcp", modern(`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}META}}`),
		"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: subscriptions/listen")
	if err != nil {
		t.Fatal(err)
	}
	listening := feed(t, r.Body)
	hear(t, listening)
	wants(t, hear(t, listening), "notifications/subscriptions/acknowledged", `"io.modelcontextprotocol/subscriptionId":"L"`)
	old, err := send(t.Context(), http.MethodGet, url+"/sse", "")
	if err != nil {
		t.Fatal(err)
	}
	oldEvents := feed(t, old.Body)
	hear(t, oldEvents)
	hear(t, oldEvents)
	close(draining)
	for range oldEvents {
		t.Error("the old stream says more")
	}
	for range events {
		t.Error("the stream says more")
	}
	hear(t, listening)
	wants(t, hear(t, listening), `"id":"L","result":`)
	if _, more := <-listening; more {
		t.Error("the subscription goes on after its answer")
	}
	_ = r.Body.Close()
	_ = old.Body.Close()
}

func TestRefusesWhatIsNoneOfTheProtocols(t *testing.T) {
	url := serve(t, Options{Bridge: newProbe()}) + "/mcp"
	for name, tc := range map[string]struct {
		method string
		fields []string
		status int
		allow  string
	}{
		"another method":        {http.MethodPut, nil, 405, "GET, POST, DELETE"},
		"GET without a stream":  {http.MethodGet, []string{"Mcp-Session-Id: S"}, 406, ""},
		"GET without a session": {http.MethodGet, []string{"Accept: text/event-stream"}, 405, "POST, DELETE"},
		"GET with a bad id":     {http.MethodGet, []string{"Accept: text/event-stream", "Mcp-Session-Id: a b"}, 400, ""},
		"GET of 2026":           {http.MethodGet, []string{"Accept: text/event-stream", "Mcp-Session-Id: S", "Mcp-Protocol-Version: 2026-07-28"}, 405, "POST"},
		"DELETE of 2026":        {http.MethodDelete, []string{"Mcp-Session-Id: S", "Mcp-Protocol-Version: 2026-07-28"}, 405, "POST"},
		"GET of no version":     {http.MethodGet, []string{"Accept: text/event-stream", "Mcp-Session-Id: S", "Mcp-Protocol-Version: 1999-01-01"}, 400, ""},
		"DELETE without an id":  {http.MethodDelete, nil, 400, ""},
		"DELETE with a long id": {http.MethodDelete, []string{"Mcp-Session-Id: " + strings.Repeat("x", 129)}, 400, ""},
		"no type":               {http.MethodPost, []string{"Content-Type: "}, 415, ""},
		"another type":          {http.MethodPost, []string{"Content-Type: text/plain"}, 415, ""},
		"compressed":            {http.MethodPost, []string{"Content-Type: application/json", "Content-Encoding: gzip"}, 415, ""},
		"no JSON":               {http.MethodPost, []string{"Content-Type: application/json; charset=utf-8"}, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := send(t.Context(), tc.method, url, "{", tc.fields...)
			if err != nil {
				t.Fatal(err)
			}
			status, head, body := whole(t, r)
			if status != tc.status || head.Get("Allow") != tc.allow {
				t.Errorf("got %d, Allow %q, %s", status, head.Get("Allow"), body)
			}
			wants(t, body, `{"jsonrpc":"2.0","id":null,"error":{"code":-32`)
		})
	}
}

func TestOnlyWhoTheGateLetsInIsServed(t *testing.T) {
	keyed := serve(t, Options{Bridge: newProbe(), Gate: gate(t, auth.Config{Key: "k"})})
	open := serve(t, Options{Bridge: newProbe(), Gate: gate(t, auth.Config{AllowedOrigins: []string{"https://app.example.com"}})})
	for name, tc := range map[string]struct {
		url    string
		fields []string
		status int
	}{
		"no key":              {keyed, nil, 401},
		"wrong key":           {keyed, []string{"Authorization: Bearer x"}, 401},
		"key":                 {keyed, []string{"Authorization: Bearer k"}, 200},
		"key, another page":   {keyed, []string{"Authorization: Bearer k", "Origin: https://evil.com"}, 403},
		"page without a name": {open, []string{"Origin: null"}, 403},
		"another page":        {open, []string{"Origin: https://evil.com"}, 403},
		"configured page":     {open, []string{"Origin: https://app.example.com"}, 200},
		"through a proxy":     {open, []string{"X-Forwarded-For: 1.2.3.4"}, 403},
		"this machine":        {open, nil, 200},
	} {
		t.Run(name, func(t *testing.T) {
			status, head, body := ask(t, tc.url+"/mcp", call(1, "echo", "x"), tc.fields...)
			if status != tc.status || (status == 401) != (strings.HasPrefix(head.Get("WWW-Authenticate"), "Bearer")) || head.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v %s", status, head, body)
			}
			if configured := name == "configured page"; configured != (head.Get("Access-Control-Allow-Origin") == "https://app.example.com") {
				t.Errorf("Access-Control-Allow-Origin is %q", head.Get("Access-Control-Allow-Origin"))
			}
			for _, path := range []string{"/sse", "/messages?sessionId=x"} {
				r, err := send(t.Context(), http.MethodPost, tc.url+path, "", tc.fields...)
				if err != nil {
					t.Fatal(err)
				}
				if status, _, _ := whole(t, r); tc.status != 200 && status != tc.status {
					t.Errorf("%s: got %d", path, status)
				}
			}
		})
	}
	r, err := send(t.Context(), http.MethodOptions, open+"/mcp", "", "Origin: https://app.example.com", "Access-Control-Request-Method: POST")
	if err != nil {
		t.Fatal(err)
	}
	if status, head, _ := whole(t, r); status != http.StatusNoContent || !strings.Contains(head.Get("Access-Control-Allow-Headers"), "Mcp-Protocol-Version") {
		t.Errorf("preflight: %d %v", status, head)
	}
}
