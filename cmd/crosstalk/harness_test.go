package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// log collects what is written by several goroutines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// running is a hub that run serves in this process.
type running struct {
	url            string
	stdout, stderr *lines
	stop           context.CancelFunc
	ended          chan error
}

// start serves on a free port of loopback until the test ends. Without --db the database is db.
func start(t testing.TB, db string, getenv func(string) string, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{stdout: &lines{}, stderr: &lines{}, stop: stop, ended: make(chan error, 1)}
	args = append([]string{"serve", "--db", db}, args...)
	if getenv("PORT") == "" && getenv("CROSSTALK_ADDR") == "" {
		args = append(args, "--addr", "localhost:0")
	}
	out, stdout := io.Pipe()
	go func() {
		err := run(ctx, args, getenv, strings.NewReader(""), stdout, r.stderr)
		_ = stdout.Close()
		r.ended <- err
	}()
	port := portIn(io.TeeReader(out, r.stdout))
	go func() { _, _ = io.Copy(r.stdout, out) }()
	t.Cleanup(func() { _ = r.end(t) })
	if port == 0 {
		t.Fatalf("the hub did not start: %v\n%s", r.end(t), r.stderr)
	}
	r.url = "http://127.0.0.1:" + strconv.Itoa(port)
	return r
}

// end stops the hub and returns how it ended. A second call returns the same.
func (r *running) end(t testing.TB) error {
	t.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		r.ended <- err
		if t.Failed() {
			t.Logf("log of %s:\n%s", r.url, r.stderr)
		}
		return err
	case <-time.After(10 * time.Second):
		t.Errorf("the hub did not end:\n%s", r.stderr)
		return nil
	}
}

// portIn reads up to the line that names the port. Without such a line it is 0.
func portIn(stdout io.Reader) int {
	line := regexp.MustCompile(`listening on port (\d+)`)
	for s := bufio.NewScanner(stdout); s.Scan(); {
		if found := line.FindStringSubmatch(s.Text()); found != nil {
			n, _ := strconv.Atoi(found[1])
			return n
		}
	}
	return 0
}

// client is shared by nobody, so that its idle connections end with the test.
func client(t testing.TB) *http.Client {
	c := &http.Client{Transport: &http.Transport{}, Timeout: 40 * time.Second}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// call sends a request and decodes the answer into into; body nil means GET.
func call(t testing.TB, c *http.Client, url string, body, into any, header ...string) int {
	t.Helper()
	method, reader := "GET", io.Reader(nil)
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		method, reader = "POST", bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s: %d %q: %v", url, res.StatusCode, answer, err)
		}
	}
	return res.StatusCode
}

// receipt and page are the parts of answers that tests look at.
type receipt struct {
	ID, Seq int64
	Error   string
}

type page struct {
	Messages []struct {
		ID      int64
		Content string
	}
	BusID string `json:"bus_id"`
}

// post sends one message and returns its id.
func post(t *testing.T, c *http.Client, url, channel, content string) int64 {
	t.Helper()
	var got receipt
	body := map[string]string{"channel": channel, "sender": "tester", "content": content}
	if status := call(t, c, url+"/api/messages", body, &got); status != http.StatusOK {
		t.Fatalf("post: %d %s", status, got.Error)
	}
	return got.ID
}

// dial opens a WebSocket and reads its welcome and, for each of the channels, that it is subscribed.
func dial(t *testing.T, url, query string, frames int) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), strings.Replace(url, "http", "ws", 1)+"/ws?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	for range frames {
		if _, _, err := conn.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// contentOf reads the next message frame.
func contentOf(ctx context.Context, conn *websocket.Conn) (string, error) {
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return "", fmt.Errorf("read: %w", err)
		}
		var frame struct {
			Type    string
			Message struct{ Content string }
		}
		if err := json.Unmarshal(b, &frame); err != nil {
			return "", fmt.Errorf("frame %q: %w", b, err)
		}
		if frame.Type == "message" {
			return frame.Message.Content, nil
		}
	}
}

func dbIn(t testing.TB) string { return filepath.Join(t.TempDir(), "bus.db") }
