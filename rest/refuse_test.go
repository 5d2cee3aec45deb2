package rest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/valyala/fasthttp"

	"crosstalk/auth"
	"crosstalk/hub/limits"
	"crosstalk/models"
)

func TestWhatHTTPRefusesIsJSON(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		for ask, allow := range map[string]string{
			"GET /api/messages":              "POST",
			"HEAD /api/messages":             "POST",
			"PUT /api/messages":              "POST",
			"PROPFIND /api/messages":         "POST",
			"OPTIONS /api/messages":          "POST",
			"POST /api/messages/general":     "GET, HEAD",
			"DELETE /api/channels":           "GET, HEAD, POST",
			"POST /api/data/k":               "GET, HEAD, DELETE",
			"POST /health":                   "GET, HEAD",
			"PATCH /openapi.json":            "GET, HEAD",
			"DELETE /api/messages/c/1":       "GET, HEAD",
			"POST /api/messages/c/1/replies": "GET, HEAD",
		} {
			method, path, _ := strings.Cut(ask, " ")
			got := b.send(t, method, path, "")
			if got.status != 405 || got.header.Get("Allow") != allow {
				t.Errorf("%s: %d, Allow %q", ask, got.status, got.header.Get("Allow"))
			}
			if method != "HEAD" {
				b.refused(t, 405, models.Invalid, "only "+allow, method, path, "")
			}
		}
		for _, path := range []string{"/", "/api", "/api/", "/api/nothing", "/api/messages/c/1/x", "/api/data/a/b", "/measures", "/openapi.yaml"} {
			b.refused(t, 404, models.NotFound, "nothing at this path", "GET", path, "")
			b.refused(t, 404, models.NotFound, "nothing at this path", "BREW", path, "")
		}
		for name, request := range map[string]string{
			"no HTTP":     "hello\r\n\r\n",
			"two lengths": "POST /api/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
			"bad length":  "POST /api/messages HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}",
			"bad chunk":   "POST /api/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
			"bad field":   "GET /api/channels HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
		} {
			if got := b.raw(t, request); got.status != 400 || !strings.Contains(got.body, `"code":"invalid"`) {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
		huge := "GET /api/channels HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("x", readBuffer) + "\r\n\r\n"
		if got := b.raw(t, huge); got.status != 431 || !strings.Contains(got.body, "headers are too large") {
			t.Errorf("a huge head: %d %s", got.status, got.body)
		}
		large := "GET /api/channels HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nX-A: " + strings.Repeat("x", readBuffer-200) + "\r\n\r\n"
		if got := b.raw(t, large); got.status != 200 {
			t.Errorf("a large head: %d %s", got.status, got.body)
		}
	})
}

func TestBodiesAreUncompressedJSON(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		const body = `{"sender":"a","content":"x"}`
		for field, want := range map[string]int{
			"Content-Type: application/json":                  200,
			"Content-Type: application/json; charset=utf-8":   200,
			"Content-Type: Application/JSON ;charset=\"x\"":   200,
			"Content-Type: application/jsonp":                 415,
			"Content-Type: application/problem+json":          415,
			"Content-Type: text/plain":                        415,
			"Content-Type: application/x-www-form-urlencoded": 415,
			"Content-Type: multipart/form-data; boundary=x":   415,
			"Content-Type: ":                                  415,
			"Content-Encoding: gzip":                          415,
			"Content-Encoding: br":                            415,
			"Content-Encoding: GZIP, identity":                415,
			"Content-Encoding: identity":                      200,
			"Content-Encoding: Identity":                      200,
			"Content-Encoding: ":                              200,
		} {
			got := b.send(t, "POST", "/api/messages", body, field)
			if got.status != want || want == 415 && !strings.Contains(got.body, `"code":"invalid"`) {
				t.Errorf("%s: %d %s, want %d", field, got.status, got.body, want)
			}
		}
		// A bomb is not even looked at, here and where nothing is read.
		b.refused(t, 415, models.Invalid, "uncompressed", "POST", "/api/data", "\x1f\x8b\x08", "Content-Encoding: gzip")
	})
}

// upload sends a body of n bytes, with its length or in chunks, waiting for 100 Continue or not.
func (b *bus) upload(t *testing.T, path string, n int, chunked bool, fields ...string) reply {
	t.Helper()
	const before, after = `{"sender":"a","key":"k","content":"`, `"}`
	body := before + strings.Repeat("x", n-len(before)-len(after)) + after
	for try := 1; ; try++ {
		got, err := b.deliver(t, path, body, chunked, fields)
		if err == nil {
			return got
		}
		// A client that is refused while it sends may find the connection closed before it has looked for an answer.
		if try == 5 || !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("%d bytes to %s: %v", n, path, err)
		}
	}
}

func (b *bus) deliver(t *testing.T, path, body string, chunked bool, fields []string) (reply, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if chunked {
		r.ContentLength = -1
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	return b.read(t, resp), nil
}

func TestBodiesAreBoundedByPathAndCredential(t *testing.T) {
	bothWays(t, auth.Config{Key: "sesame"}, func(t *testing.T, b *bus) {
		const good, bad = "Authorization: Bearer sesame", "Authorization: Bearer guess"
		for _, tc := range []struct {
			path, field string
			n           int
			want        int
		}{
			{"/api/messages", good, smallBody, 200},
			{"/api/messages", good, smallBody + 1, 200},
			{"/api/messages", good, otherBody, 413}, // read, and its content refused
			{"/api/messages", good, otherBody + 1, 413},
			{"/api/messages", good, otherBody + 20<<20, 413},
			{"/api/messages", bad, smallBody, 401},
			{"/api/messages", bad, smallBody + 1, 413},
			{"/api/messages", bad, 10 << 20, 413},
			{"/api/data", good, otherBody + 1, 200},
			{"/api/data", good, largeBody + 1, 413},
			{"/api/data", bad, smallBody, 401},
			{"/api/data", bad, largeBody, 413},
			{"/api/nothing", good, otherBody, 404},
			{"/api/nothing", good, otherBody + 1, 413},
			{"/health", bad, smallBody, 405},
			{"/health", bad, otherBody, 413},
			{auth.SessionPath, bad, smallBody + 1, 413},
		} {
			for name, how := range map[string]struct {
				chunked bool
				fields  []string
			}{"at once": {}, "in chunks": {chunked: true}, "when told to": {fields: []string{"Expect: 100-continue"}}} {
				t.Run(fmt.Sprintf("%d bytes to %s with %s, %s", tc.n, tc.path, tc.field, name), func(t *testing.T) {
					t.Parallel()
					got := b.upload(t, tc.path, tc.n, how.chunked, append(how.fields, tc.field)...)
					if got.status != tc.want || tc.want == 413 && !strings.Contains(got.body, `"code":"too_large"`) {
						t.Errorf("%d %s, want %d", got.status, got.body, tc.want)
					}
				})
			}
		}
	})
}

func TestConnectionServesOnAfterARefusal(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		b.client.Transport.(*http.Transport).MaxConnsPerHost = 1
		for range 3 {
			b.refused(t, 415, models.Invalid, "", "POST", "/api/messages", "x=1", "Content-Type: text/plain")
			b.refused(t, 404, models.NotFound, "", "GET", "/x", "")
			b.refused(t, 405, models.Invalid, "", "DELETE", "/api/channels", "")
			if got := b.upload(t, "/api/messages", otherBody+1, false); got.status != 413 {
				t.Error(got.status)
			}
			if got := b.send(t, "GET", "/api/channels", ""); got.status != 200 {
				t.Error(got.status)
			}
		}
	})
}

func TestEveryCodeHasItsStatus(t *testing.T) {
	for code, want := range map[models.Code]int{
		models.Invalid: 400, models.Unauthenticated: 401, models.Forbidden: 403, models.NotFound: 404, models.Conflict: 409, models.Paused: 409,
		models.TooLarge: 413, models.RateLimited: 429, models.Unavailable: 503, models.Internal: 500, "": 500,
	} {
		if got := statusOf(code); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}

func TestFailuresAreAnsweredAndLoggedOnce(t *testing.T) {
	var next error
	b := serve(t, auth.Config{}, func(c *fiber.Ctx) error {
		switch c.Path() {
		case "/fail":
			return next
		case "/panic":
			panic("secret of the house")
		}
		return c.Next()
	})
	for _, tc := range []struct {
		err    error
		status int
		body   string
		retry  string
	}{
		{errors.New("disk on fire"), 500, `{"error":"Internal server error","code":"internal"}`, ""},
		{fmt.Errorf("context: %w", models.Errorf(models.Paused, "paused: %s", "lunch")), 409, `{"error":"paused: lunch","code":"paused"}`, ""},
		{models.Errorf(models.RateLimited, "slower"), 429, `{"error":"slower","code":"rate_limited"}`, "1"},
		{models.Errorf(models.Unavailable, "later"), 503, `{"error":"later","code":"unavailable"}`, "1"},
		{fiber.ErrServiceUnavailable, 503, `{"error":"the server is restarting: try again","code":"unavailable"}`, "1"},
		{fiber.ErrTeapot, 400, `{"error":"the request is not HTTP as it must be","code":"invalid"}`, ""},
	} {
		next = tc.err
		got := b.send(t, "GET", "/fail?token=hush", "")
		if got.status != tc.status || got.body != tc.body || got.header.Get("Retry-After") != tc.retry || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v: %d %s %v", tc.err, got.status, got.body, got.header)
		}
	}
	if got := b.send(t, "GET", "/panic", ""); got.status != 500 || strings.Contains(got.body, "secret") {
		t.Errorf("panic: %d %s", got.status, got.body)
	}
	if got := b.send(t, "GET", "/health", ""); got.status != 200 {
		t.Errorf("after the panic: %d", got.status)
	}
	b.end()
	log := b.log.String()
	if strings.Count(log, "disk on fire") != 1 || strings.Count(log, "secret of the house") != 1 || strings.Count(log, "\n") != 2 {
		t.Errorf("the log:\n%s", log)
	}
	if strings.Contains(log, "hush") {
		t.Errorf("a query stands in the log:\n%s", log)
	}
}

func TestWhoComesTooOftenIsToldWhenToComeBack(t *testing.T) {
	bothWays(t, auth.Config{Key: "sesame", Limits: limits.New(limits.Config{Requests: 2})}, func(t *testing.T, b *bus) {
		var last reply
		for range 40 {
			if last = b.send(t, "GET", "/api/waits", "", "Authorization: Bearer sesame"); last.status != 200 {
				break
			}
		}
		if last.status != 429 || last.header.Get("Retry-After") != "1" || !strings.Contains(last.body, `slow down, and try again in 1 s","code":"rate_limited"}`) {
			t.Errorf("%d %v %s", last.status, last.header, last.body)
		}
		if got := b.send(t, "GET", "/health", ""); got.status != 200 {
			t.Errorf("a monitor: %d", got.status)
		}
	})
}

func TestLargeBodiesOnTheirWayAreBounded(t *testing.T) {
	bothWays(t, auth.Config{Key: "sesame", Limits: limits.New(limits.Config{Bodies: 1})}, func(t *testing.T, b *bus) {
		const good = "Authorization: Bearer sesame"
		conn, err := b.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "POST /api/data HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: %d\r\n\r\n{", good, largeBody)
		if err != nil {
			t.Fatal(err)
		}
		// While it is on its way, another has to wait; a small one has not.
		b.eventually(t, "the second is refused", func() bool {
			got := b.upload(t, "/api/data", 3<<20, false, good)
			return got.status == 429 && got.header.Get("Retry-After") == "5" && strings.Contains(got.body, "large bodies")
		})
		if got := b.upload(t, "/api/data", 1<<20, false, good); got.status != 200 {
			t.Errorf("a small one: %d %s", got.status, got.body)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		b.eventually(t, "who left gives way", func() bool { return b.upload(t, "/api/data", 3<<20, false, good).status == 200 })
		for range 3 {
			if got := b.upload(t, "/api/data", 3<<20, true, good); got.status != 200 {
				t.Errorf("one after the other: %d %s", got.status, got.body)
			}
		}
	})
}

// TestBodiesOfAllAreBounded holds without limits of callers, too, and for as long as a body is in memory.
func TestBodiesOfAllAreBounded(t *testing.T) {
	var h [4]fasthttp.RequestHeader
	b := newBodies(1)
	if b.most != largeBody {
		t.Errorf("at most %d bytes: one large body has no room", b.most)
	}
	given := 0
	give := func() { given++ }
	if !b.begin(&h[0], largeBody-100, give, nil) || !b.begin(&h[1], 100, nil, nil) {
		t.Error("there is room")
	}
	if b.begin(&h[2], 1, give, nil) || given != 1 {
		t.Errorf("there is no room, and %d slots were given back", given)
	}
	if err := b.end(&h[2]); models.CodeOf(err) != models.RateLimited || models.RetryAfter(err) != 2 {
		t.Errorf("it is told %v", err)
	}
	if b.begin(&h[0], largeBody, give, nil) || given != 3 { // the next on the same connection: that before is over, and this one too large beside the second
		t.Errorf("%d slots were given back", given)
	}
	if err := b.end(&h[1]); err != nil || !b.begin(&h[3], largeBody, nil, nil) || b.bytes != largeBody {
		t.Errorf("%v, %d bytes are noted", err, b.bytes)
	}
	_ = b.end(&h[0])
	if _ = b.end(&h[3]); b.bytes != 0 || len(b.onWay) != 0 {
		t.Errorf("%d bytes of %d bodies are left", b.bytes, len(b.onWay))
	}
}
