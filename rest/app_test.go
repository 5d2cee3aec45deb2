package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"crosstalk/auth"
	"crosstalk/hub"
	"crosstalk/internal/handoff"
	"crosstalk/models"
	"crosstalk/models/meter"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

func TestMain(m *testing.M) {
	// These two of fasthttp's sleep: one for good, the other ends up to ten seconds after its server.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// bus is a hub on an empty database behind this door, and a client of it.
type bus struct {
	hub    *hub.Hub
	meter  *meter.Door
	url    string
	addr   string
	dial   func(ctx context.Context) (net.Conn, error)
	client *http.Client
	log    *strings.Builder // of the server; read it once the server has ended
	end    func()           // ends the server; the test's end does so too
}

// serve runs a bus until the test ends, as the command does: Fiber has the port, and net/http the paths
// that it is handed. With first, that comes before everything, and nothing is handed over.
func serve(t testing.TB, gate auth.Config, first ...fiber.Handler) *bus {
	t.Helper()
	h, keys, stop := start(t)
	gate.Keys = keys
	g, err := auth.New(gate)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bus{hub: h, meter: &meter.Door{}, addr: ln.Addr().String(), url: "http://" + ln.Addr().String(), log: &strings.Builder{}}
	b.dial = func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", b.addr) }
	b.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.dial(ctx) },
	}}
	o := Options{Hub: h, Gate: g, Meter: b.meter, Version: "test", Log: slog.New(slog.NewTextHandler(b.log, nil))}
	app, begin := New(o)
	native := http.NewServeMux()
	native.Handle("/api/stream", Stream(o))
	native.HandleFunc("/native", func(http.ResponseWriter, *http.Request) {})
	over := handoff.New(app, native, func(path string) bool { return path == "/api/stream" || path == "/native" }, slog.New(slog.DiscardHandler))
	begin(over.Take)
	for _, h := range first {
		begin(h)
	}
	ended := make(chan error, 2)
	go func() { ended <- over.Serve() }()
	go func() { ended <- app.Listener(ln) }()
	b.end = sync.OnceFunc(func() {
		h.Drain()
		b.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := over.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		stop()
	})
	t.Cleanup(b.end)
	return b
}

// bothWays runs a test twice: on connections as they are accepted, and on such that net/http has had.
func bothWays(t *testing.T, gate auth.Config, run func(t *testing.T, b *bus)) {
	t.Run("straight", func(t *testing.T) { run(t, serve(t, gate)) })
	t.Run("handed back", func(t *testing.T) {
		b := serve(t, gate)
		dial := b.dial
		b.dial = func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			if _, err := io.WriteString(conn, "GET /native HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				return nil, err
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != 200 || resp.ContentLength != 0 {
				return nil, fmt.Errorf("the native path: %+v, %w", resp, err)
			}
			return conn, nil
		}
		run(t, b)
	})
}

// start runs a hub on an empty database until it is stopped. keys are those of the database.
func start(t testing.TB) (h *hub.Hub, keys *access.Table, stop func()) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "crosstalk.db")})
	if err != nil {
		t.Fatal(err)
	}
	if h, err = hub.New(st, hub.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	return h, access.New(st), func() {
		h.Drain()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// send asks; a body is sent as JSON unless a field says otherwise. Fields are "Name: value".
func (b *bus) send(t testing.TB, method, path, body string, fields ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return b.read(t, resp)
}

func (b *bus) read(t testing.TB, resp *http.Response) reply {
	t.Helper()
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", resp.Request.URL, err)
	}
	return reply{resp.StatusCode, resp.Header, string(got)}
}

// raw sends bytes as they are, and reads one answer.
func (b *bus) raw(t testing.TB, request string) reply {
	t.Helper()
	conn, err := b.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: "GET", URL: &url.URL{Host: b.addr}})
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	return b.read(t, resp)
}

// eventually waits for what another goroutine of the server does in its own time.
func (b *bus) eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// lastSeen returns when an instance was last seen, as the list of instances says.
func (b *bus) lastSeen(t testing.TB, name string) models.Time {
	t.Helper()
	var l struct{ Instances []models.Instance }
	if err := json.Unmarshal([]byte(b.send(t, "GET", "/api/instances?limit=1000", "").body), &l); err != nil {
		t.Fatal(err)
	}
	for _, i := range l.Instances {
		if i.ID == name {
			return i.LastSeen
		}
	}
	t.Fatalf("%s is not registered", name)
	return 0
}

// step is one question and its whole answer. Times are written as T and the bus id as B in it.
type step struct {
	ask    string // "GET /path", or "POST /path {body}"
	status int
	answer string
}

// run asks one after the other.
func (b *bus) run(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		method, rest, _ := strings.Cut(s.ask, " ")
		path, body, _ := strings.Cut(rest, " ")
		got := b.send(t, method, path, body)
		if got.status != s.status {
			t.Errorf("%s\ngot status %d, want %d: %s", s.ask, got.status, s.status, got.body)
			continue
		}
		if diff := cmp.Diff(s.answer, b.stable(got.body)); diff != "" {
			t.Errorf("%s\n(-want +got)\n%s", s.ask, diff)
		}
	}
}

var aTime = regexp.MustCompile(`"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ"`)

// stable replaces what differs from run to run.
func (b *bus) stable(answer string) string {
	return strings.ReplaceAll(aTime.ReplaceAllString(answer, `"T"`), b.hub.BusID(), "B")
}

func TestGateStandsBeforeEveryPath(t *testing.T) {
	bothWays(t, auth.Config{Key: "sesame"}, func(t *testing.T, b *bus) {
		for _, ask := range []string{
			"GET /api/channels", "POST /api/messages", "GET /api/messages/general", "DELETE /api/data/x", "HEAD /api/channels",
			"GET /index.html", "GET /nothing", "GET /api", "PUT /api/channels", "OPTIONS /api/channels", "PROPFIND /api/channels",
			"GET /health/", "GET /Health", "GET /api/../health",
		} {
			method, path, _ := strings.Cut(ask, " ")
			got := b.send(t, method, path, "")
			if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s without the key: %d %v", ask, got.status, got.header)
			}
			if got := b.send(t, method, path, "", "Authorization: Bearer sesame"); got.status == http.StatusUnauthorized {
				t.Errorf("%s with the key: %d", ask, got.status)
			}
		}
		for _, path := range []string{"/health", "/livez", "/readyz", "/openapi.json", "/health?x=1"} {
			if got := b.send(t, "GET", path, ""); got.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
		if got := b.send(t, "GET", "/api/channels", "", "Authorization: Bearer sesame", "Origin: http://evil.com"); got.status != http.StatusForbidden {
			t.Errorf("a foreign page: %d", got.status)
		}
	})
}

func TestGateSeesTheWholeHead(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		for name, tc := range map[string]struct {
			head string
			want int
		}{
			"plain":            {"Host: localhost\r\n", 200},
			"foreign host":     {"Host: evil.com\r\n", 403},
			"no host":          {"", 400},
			"two hosts":        {"Host: localhost\r\nHost: evil.com\r\n", 400},
			"tunnel":           {"Host: localhost\r\nx-fOrwarded-for: 1.2.3.4\r\n", 403},
			"tunnel, empty":    {"Host: localhost\r\nForwarded:\r\n", 403},
			"empty origin":     {"Host: localhost\r\nOrigin:\r\n", 403},
			"null origin":      {"Host: localhost\r\nOrigin: null\r\n", 403},
			"own origin":       {"Host: localhost\r\nOrigin: http://localhost\r\n", 200},
			"two origins":      {"Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost\r\n", 403},
			"origin, odd case": {"Host: localhost\r\noRIGIN: http://evil.com\r\n", 403},
		} {
			if got := b.raw(t, "GET /api/channels HTTP/1.1\r\nConnection: close\r\n"+tc.head+"\r\n"); got.status != tc.want {
				t.Errorf("%s: %d %s, want %d", name, got.status, got.body, tc.want)
			}
		}
		for target, want := range map[string]int{
			"/api/channels":                      200,
			"http://localhost/api/channels":      400,
			"http://evil.com/api/channels":       400,
			"//localhost/api/channels":           400,
			"//evil.com/health":                  400,
			"*":                                  400,
			"/api/channels#x":                    200,
			"/api/channels/":                     200,
			"/API/channels":                      404,
			"/api//channels":                     404,
			"/api/%63hannels":                    404,
			"/api/channels?limit=1&limit=2&%zz=": 200,
		} {
			if got := b.raw(t, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); got.status != want {
				t.Errorf("%s: %d %s, want %d", target, got.status, got.body, want)
			}
		}
	})
}

func TestHeadAnswersAsGetDoes(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		for _, path := range []string{"/health", "/api/channels", "/api/messages/general", "/openapi.json"} {
			get, head := b.send(t, "GET", path, ""), b.send(t, "HEAD", path, "")
			if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != get.header.Get("Content-Length") {
				t.Errorf("HEAD %s: %d %q %v, GET %v", path, head.status, head.body, head.header, get.header)
			}
		}
	})
}

func TestAnswersCarryNoTraceOfTheEngine(t *testing.T) {
	b := serve(t, auth.Config{})
	for _, path := range []string{"/health", "/api/channels", "/nothing"} {
		h := b.send(t, "GET", path, "").header
		if h.Get("Server") != "" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestFirstComesFirst(t *testing.T) {
	b := serve(t, auth.Config{Key: "sesame"}, func(c *fiber.Ctx) error {
		if c.Path() == "/taken" {
			return c.SendString("taken")
		}
		return c.Next()
	})
	if got := b.send(t, "GET", "/taken", ""); got.status != 200 || got.body != "taken" {
		t.Errorf("what comes first was not asked: %d %s", got.status, got.body)
	}
	if got := b.send(t, "GET", "/other", ""); got.status != 401 {
		t.Errorf("what it lets pass went past the gate: %d", got.status)
	}
}
