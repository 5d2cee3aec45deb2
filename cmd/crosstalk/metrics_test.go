package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// scrape reads the hub's metrics: each with its labels, and its value.
func scrape(t *testing.T, c *http.Client, url, key string) map[string]float64 {
	t.Helper()
	status, text := fetch(t, c, url+"/metrics", key)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[name] = v
	}
	return all
}

// fetch gets what is at url, with a key unless it is empty.
func fetch(t *testing.T, c *http.Client, url, key string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// events reads a stream of events line by line; those without data are passed over.
type eventLines struct {
	t     *testing.T
	lines *bufio.Scanner
}

func listenTo(t *testing.T, c *http.Client, url string) *eventLines {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return &eventLines{t, bufio.NewScanner(res.Body)}
}

// data returns the next that has what is wanted in it.
func (e *eventLines) data(want string) string {
	e.t.Helper()
	for e.lines.Scan() {
		if s, ok := strings.CutPrefix(e.lines.Text(), "data: "); ok && strings.Contains(s, want) {
			return s
		}
	}
	e.t.Fatalf("the stream ended before %q: %v", want, e.lines.Err())
	return ""
}

// TestEveryDoorIsCounted sends a message through each door and has each deliver all of them.
func TestEveryDoorIsCounted(t *testing.T) {
	r := start(t, dbIn(t), env())
	c := client(t)
	ws := dial(t, r.url, "channels=m", 2)
	stream := listenTo(t, c, r.url+"/api/stream?channels=m")
	stream.data("bus_id")
	sse := listenTo(t, c, r.url+"/sse")
	older := r.url + sse.data("/messages")
	tool := func(id int, name, args string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, id, name, args)
	}
	viaSSE := func(id int, name, args, want string) {
		res, err := c.Post(older, "application/json", strings.NewReader(tool(id, name, args)))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		sse.data(want)
	}
	viaMCP := func(name, args, want string) {
		res, err := mcpCall(c, r.url, name, args)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if b, err := io.ReadAll(res.Body); err != nil || !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s: %v %s", name, err, b)
		}
	}
	post(t, c, r.url, "m", "over REST")
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"type":"publish","channel":"m","sender":"w","content":"over ws"}`)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := contentOf(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
	}
	viaMCP("send_message", `{"channel":"m","sender":"mia","content":"over mcp"}`, "sent to #m")
	viaMCP("send_message", `{"channel":"m","sender":"mia"}`, "content")
	viaSSE(1, "send_message", `{"channel":"m","sender":"sue","content":"over sse"}`, "sent to #m")
	stream.data("over sse")
	for range 2 {
		if _, err := contentOf(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
	}
	viaMCP("check_messages", `{"channel":"m","instance_id":"reader"}`, "over sse")
	viaSSE(2, "check_messages", `{"channel":"m","instance_id":"other"}`, "over sse")
	if got := call(t, c, r.url+"/api/messages/m?limit=3", nil, nil); got != 200 {
		t.Errorf("read: %d", got)
	}
	if got := call(t, c, r.url+"/api/messages/m/x", nil, nil); got != 400 {
		t.Errorf("read nonsense: %d", got)
	}
	want := map[string]float64{
		`crosstalk_messages_committed_total`: 4, `crosstalk_ack_seconds_count`: 4, `crosstalk_commit_batch_messages_sum`: 4,
		`crosstalk_log_position`: 4, `crosstalk_waits`: 0, `crosstalk_subscribers`: 2,
		`crosstalk_connections{door="ws"}`: 1, `crosstalk_connections{door="stream"}`: 1, `crosstalk_connections{door="sse"}`: 1, `crosstalk_connections{door="mcp"}`: 0,
		`crosstalk_messages_accepted_total{door="rest"}`: 1, `crosstalk_messages_accepted_total{door="ws"}`: 1,
		`crosstalk_messages_accepted_total{door="mcp"}`: 1, `crosstalk_messages_accepted_total{door="sse"}`: 1,
		`crosstalk_messages_delivered_total{door="rest"}`: 3, `crosstalk_messages_delivered_total{door="ws"}`: 4,
		`crosstalk_messages_delivered_total{door="stream"}`: 4, `crosstalk_messages_delivered_total{door="mcp"}`: 4, `crosstalk_messages_delivered_total{door="sse"}`: 4,
		`crosstalk_requests_rejected_total{code="invalid",door="rest"}`: 1, `crosstalk_requests_rejected_total{code="invalid",door="mcp"}`: 1,
		`crosstalk_requests_rejected_total{code="invalid",door="ws"}`: 0,
	}
	// What a client has read may be counted a moment later.
	wrong := []string{"not looked yet"}
	for deadline := time.Now().Add(20 * time.Second); len(wrong) > 0; {
		got := scrape(t, c, r.url, "")
		wrong = nil
		for name, value := range want {
			if v, there := got[name]; v != value || !there {
				wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", name, v, value))
			}
		}
		for _, door := range []string{"ws", "stream"} {
			n, sum := got[`crosstalk_end_to_end_seconds_count{door="`+door+`"}`], got[`crosstalk_end_to_end_seconds_sum{door="`+door+`"}`]
			if n < 1 || n > 4 || sum <= 0 || sum > 20 {
				wrong = append(wrong, fmt.Sprintf("%v writes at %s took %v s", n, door, sum))
			}
		}
		if time.Now().After(deadline) {
			t.Fatal(strings.Join(wrong, "\n"))
		}
	}
}

func TestMetricsAreForWhoMayReadEverything(t *testing.T) {
	db := dbIn(t)
	getenv := env("MCP_API_KEY", "the-shared-key-of-this-test")
	key := func(args ...string) string {
		args = append([]string{"keys", "create"}, args...)
		return strings.TrimSpace(does(t, getenv, "", append(args, "--db", db)...).well(t))
	}
	all, some := key("prometheus", "--scope", "read"), key("team", "--channels", "team-*")
	r := start(t, db, getenv)
	c := client(t)
	for _, tc := range []struct {
		path, key string
		status    int
	}{
		{"/metrics", "", 401}, {"/metrics", "wrong", 401}, {"/metrics", some, 403}, {"/metrics", all, 200}, {"/metrics", "the-shared-key-of-this-test", 200},
		{"/health", "", 200}, {"/livez", "", 200}, {"/readyz", "", 200},
	} {
		status, text := fetch(t, c, r.url+tc.path, tc.key)
		if status != tc.status || strings.Contains(text, "crosstalk_") != (tc.path == "/metrics" && status == 200) {
			t.Errorf("%s: %d, want %d: %.100s", tc.path, status, tc.status, text)
		}
	}
	got := scrape(t, c, r.url, all)
	if got[`crosstalk_requests_rejected_total{code="unauthenticated",door="rest"}`] != 2 || got[`crosstalk_requests_rejected_total{code="forbidden",door="rest"}`] != 1 {
		t.Errorf("refusals are not counted: %v", got)
	}
}
