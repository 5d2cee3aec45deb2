package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"crosstalk/models"
)

// older opens the stream of the older transport and returns the place to send to.
func older(t testing.TB, url string) (events <-chan string, to string, hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := send(ctx, http.MethodGet, url+"/sse", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = r.Body.Close()
	})
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" || r.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("%s %v", r.Status, r.Header)
	}
	events = feed(t, r.Body)
	if name := hear(t, events); name != "event: endpoint" {
		t.Fatalf("first came %s", name)
	}
	path, ok := strings.CutPrefix(hear(t, events), "data: ")
	if !ok || !strings.HasPrefix(path, "/messages?sessionId=") {
		t.Fatalf("the endpoint is %s", path)
	}
	return events, url + path, cancel
}

func TestTheOlderTransportAnswersOnItsStream(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b})
	events, to, hangUp := older(t, url)
	others, _, _ := older(t, url)
	for message, want := range map[string]string{
		initialize:           `data: {"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25"`,
		call(1, "echo", "x"): `data: {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}]}}`,
		modern(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"a":1META}}`): `data: {"jsonrpc":"2.0","id":1,"error":{"code":-32601`,
	} {
		if status, _, body := ask(t, to, message); status != 202 || body != "" {
			t.Errorf("%d %s", status, body)
		}
		if name := hear(t, events); name != "event: message" {
			t.Error(name)
		}
		wants(t, hear(t, events), want)
	}
	if status, _, body := ask(t, to, "{"); status != 400 {
		t.Errorf("no JSON: %d %s", status, body)
	}
	ask(t, to, call(5, "wait", "w"))
	hear(t, b.started)
	hangUp()
	if hear(t, b.cancelled) != "w" || len(others) != 0 {
		t.Error("the call of a client that left goes on, or another heard of it")
	}
	eventually(t, "the connection is left", func() bool { open, left := b.connections(); return open == 1 && left == 1 })
	if status, _, _ := ask(t, to, call(1, "echo", "x")); status != 404 {
		t.Errorf("after its end: %d", status)
	}
}

func TestTheOlderTransportCancels(t *testing.T) {
	b := newProbe()
	events, to, _ := older(t, serve(t, Options{Bridge: b}))
	ask(t, to, call(1, "wait", "a"))
	ask(t, to, call(2, "wait", "b"))
	hear(t, b.started)
	hear(t, b.started)
	ask(t, to, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	if got := hear(t, b.cancelled); got != "a" {
		t.Errorf("cancelled was %s", got)
	}
	close(b.release)
	hear(t, events)
	wants(t, hear(t, events), `"id":2,"result"`)
}

func TestTheOlderTransportAnswersWaitsWhenItDrains(t *testing.T) {
	b, draining := newProbe(), make(chan struct{})
	events, to, _ := older(t, serve(t, Options{Bridge: b, Draining: draining}))
	const n = 100
	for i := range n {
		ask(t, to, call(i, "wait", "a"))
		hear(t, b.started)
	}
	close(b.release) // as the hub does
	close(draining)
	answers := 0
	for line := range events {
		if strings.Contains(line, `"result"`) {
			answers++
		}
	}
	if answers != n {
		t.Errorf("%d of %d waits were answered", answers, n)
	}
}

func TestTheOlderTransportIsWhereItIs(t *testing.T) {
	url := serve(t, Options{Bridge: newProbe()})
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{http.MethodPost, "/sse", 405}, // so that clients that try the newer transport first go on to this one
		{http.MethodGet, "/messages", 405},
		{http.MethodDelete, "/messages", 405},
		{http.MethodPost, "/messages", 404},
		{http.MethodPost, "/messages?sessionId=x", 404},
	} {
		r, err := send(t.Context(), tc.method, url+tc.path, call(1, "echo", "x"), "Content-Type: application/json")
		if err != nil {
			t.Fatal(err)
		}
		if status, _, body := whole(t, r); status != tc.status || !strings.Contains(body, `"error"`) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, status, body)
		}
	}
}

func TestManyWaitsOnTheOlderTransportHoldNothingUp(t *testing.T) {
	b := newProbe()
	events, to, _ := older(t, serve(t, Options{Bridge: b}))
	for i := range 1000 {
		if status, _, _ := ask(t, to, call(i, "wait", "")); status != 202 {
			t.Fatal(status)
		}
	}
	for range 1000 {
		hear(t, b.started)
	}
	began := time.Now()
	ask(t, to, call(5000, "echo", "quick"))
	hear(t, events)
	wants(t, hear(t, events), fmt.Sprintf(`"id":%d,"result"`, 5000))
	if took := time.Since(began); took > time.Second {
		t.Errorf("beside 1,000 waits a call took %s", took)
	}
}

func TestAStreamIsItsPrincipals(t *testing.T) {
	o := Options{Bridge: newProbe(), Log: logTo(t)}
	h := &events{Options: &o, open: map[string]*peer{}}
	out := &paper{}
	p := &peer{o: &o, session: newSession(models.Principal{Name: "a"}, "a/S"), ctx: t.Context(), write: out.event}
	h.put("S", p)
	for who, want := range map[string]int{"b": http.StatusNotFound, "a": http.StatusAccepted} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/messages?sessionId=S", strings.NewReader(call(1, "echo", who)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if h.serveHTTP(w, r, models.Principal{Name: who}); w.Code != want {
			t.Errorf("%s got %d", who, w.Code)
		}
	}
	p.running.Wait()
	if len(out.lines) != 1 || !strings.Contains(out.lines[0], `"text":"a"`) {
		t.Errorf("the stream got %q", out.lines)
	}
}
