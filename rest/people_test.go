package rest

import (
	"net/http"
	"strings"
	"testing"

	"crosstalk/auth"
	"crosstalk/models"
)

func TestPagesOfConfiguredOriginsMayRead(t *testing.T) {
	const app = "Origin: https://app.example.com"
	b := serve(t, auth.Config{Key: "sesame", AllowedOrigins: []string{"https://app.example.com"}})
	for name, tc := range map[string]struct {
		method, path string
		fields       []string
		status       int
		allowed      string // Access-Control-Allow-Origin
	}{
		"read":             {"GET", "/api/channels", []string{app, "Authorization: Bearer sesame"}, 200, "https://app.example.com"},
		"refusal":          {"GET", "/api/channels", []string{app}, 401, "https://app.example.com"},
		"nothing there":    {"GET", "/x", []string{app, "Authorization: Bearer sesame"}, 404, "https://app.example.com"},
		"own page":         {"GET", "/api/channels", []string{"Origin: " + b.url, "Authorization: Bearer sesame"}, 200, ""},
		"no page":          {"GET", "/api/channels", []string{"Authorization: Bearer sesame"}, 200, ""},
		"foreign page":     {"GET", "/api/channels", []string{"Origin: https://evil.com", "Authorization: Bearer sesame"}, 403, ""},
		"asks first":       {"OPTIONS", "/api/messages", []string{app, "Access-Control-Request-Method: POST"}, 204, "https://app.example.com"},
		"foreign asks":     {"OPTIONS", "/api/messages", []string{"Origin: https://evil.com", "Access-Control-Request-Method: POST"}, 403, ""},
		"own page asks":    {"OPTIONS", "/api/messages", []string{"Origin: " + b.url, "Access-Control-Request-Method: POST"}, 401, ""},
		"asks for nothing": {"OPTIONS", "/api/messages", []string{app}, 401, "https://app.example.com"},
	} {
		got := b.send(t, tc.method, tc.path, "", tc.fields...)
		if got.status != tc.status || got.header.Get("Access-Control-Allow-Origin") != tc.allowed {
			t.Errorf("%s: %d, allowed %q, %s", name, got.status, got.header.Get("Access-Control-Allow-Origin"), got.body)
		}
		if vary := got.header.Get("Vary"); (vary == "Origin") != (name != "no page") {
			t.Errorf("%s: Vary %q", name, vary)
		}
		if asked := got.header.Get("Access-Control-Allow-Methods") != ""; asked != (tc.status == http.StatusNoContent) {
			t.Errorf("%s: methods %q", name, got.header.Get("Access-Control-Allow-Methods"))
		}
		if got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: cookies are allowed", name)
		}
	}
	got := b.send(t, "OPTIONS", "/api/messages", "", app, "Access-Control-Request-Method: POST")
	for name, want := range map[string]string{
		"Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
		"Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
		"Access-Control-Max-Age":       "600",
		"Cache-Control":                "no-store",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	local := serve(t, auth.Config{AllowedOrigins: []string{"https://app.example.com"}})
	if got := local.send(t, "OPTIONS", "/api/messages", "", app, "Access-Control-Request-Method: POST", "Host: evil.com"); got.status != 403 {
		t.Errorf("asks a foreign name: %d", got.status)
	}
}

// cookie is what a browser sends of the cookie that an answer sets.
func (r reply) cookie() string {
	pair, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	return "Cookie: " + pair
}

func TestPeopleSignIn(t *testing.T) {
	bothWays(t, auth.Config{Key: "sesame"}, func(t *testing.T, b *bus) {
		const page = "Sec-Fetch-Site: same-origin"
		session := func(fields ...string) string { return b.stable(b.send(t, "GET", "/api/session", "", fields...).body) }
		if got := session(); got != `{"name":"","admin":false,"key_needed":true}` {
			t.Errorf("at first: %s", got)
		}
		b.refused(t, 401, models.Unauthenticated, "needs a key", "POST", "/api/session", `{"name":"Ada"}`)
		b.refused(t, 401, models.Unauthenticated, "key", "POST", "/api/session", `{"name":"Ada","key":"wrong"}`)
		b.refused(t, 400, models.Invalid, "name is required", "POST", "/api/session", `{"key":"sesame"}`)
		b.refused(t, 400, models.Invalid, "reserved", "POST", "/api/session", `{"key":"sesame","name":"human"}`)
		b.refused(t, 400, models.Invalid, "key must be a string", "POST", "/api/session", `{"key":1,"name":"Ada"}`)
		b.refused(t, 415, models.Invalid, "JSON", "POST", "/api/session", "key=sesame&name=Ada", "Content-Type: application/x-www-form-urlencoded")
		b.refused(t, 403, models.Forbidden, "evil.example", "POST", "/api/session", `{"key":"sesame","name":"Ada"}`, "Origin: http://evil.example")
		b.refused(t, 413, models.TooLarge, "64 KiB", "POST", "/api/session", `{"key":"`+strings.Repeat("x", 70<<10)+`"}`)

		in := b.send(t, "POST", "/api/session", `{"key":"sesame","name":" Ada "}`, page)
		if in.status != 200 || b.stable(in.body) != `{"name":"Ada","admin":true,"key_needed":true,"expires_at":"T"}` {
			t.Fatalf("signed in: %d %s", in.status, in.body)
		}
		if got := session(page, in.cookie()); got != `{"name":"Ada","admin":true,"key_needed":true}` {
			t.Errorf("signed in: %s", got)
		}
		if got := session(in.cookie()); got != `{"name":"","admin":false,"key_needed":true}` {
			t.Errorf("asked by nobody's page: %s", got)
		}
		// Who is signed in reads, and speaks under her name, as a person.
		for body, status := range map[string]int{
			`{"content":"mine"}`:                    200,
			`{"content":"mine","sender":"Ada"}`:     200,
			`{"content":"bob's","sender":"bob"}`:    403,
			`{"content":"another","sender":"ada "}`: 403,
		} {
			if got := b.send(t, "POST", "/api/messages", body, page, in.cookie()); got.status != status {
				t.Errorf("%s: %d %s", body, got.status, got.body)
			}
		}
		if got := b.send(t, "POST", "/api/data", `{"key":"k","content":"x","sender":"bob"}`, page, in.cookie()); got.status != 403 {
			t.Errorf("data of another: %d %s", got.status, got.body)
		}
		got := b.send(t, "GET", "/api/messages/general", "", page, in.cookie())
		if strings.Count(got.body, `"sender":"Ada","kind":"human"`) != 2 || strings.Count(got.body, `"sender"`) != 2 {
			t.Errorf("said: %s", got.body)
		}
		b.send(t, "POST", "/api/messages", `{"content":"x","sender":"Ada"}`, "Authorization: Bearer sesame")
		if got := b.send(t, "GET", "/api/messages/general?limit=1", "", page, in.cookie()); !strings.Contains(got.body, `"kind":"agent"`) {
			t.Errorf("an agent under her name: %s", got.body)
		}
		if got := b.send(t, "GET", "/api/instances", "", page, in.cookie()); !strings.Contains(got.body, `"instance_id":"Ada","description":"","model":"","kind":"human","status":"online"`) {
			t.Errorf("instances: %s", got.body)
		}
		b.refused(t, 401, models.Unauthenticated, "needs a key", "GET", "/api/messages/general", "", in.cookie())
		b.refused(t, 403, models.Forbidden, "evil.example", "GET", "/api/messages/general", "", page, "Host: evil.example"+b.addr[strings.LastIndexByte(b.addr, ':'):], in.cookie())

		out := b.send(t, "DELETE", "/api/session", "", page, in.cookie())
		if out.status != 200 || out.body != `{"ok":true}` || !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
			t.Errorf("signed out: %d %s %v", out.status, out.body, out.header)
		}
		b.refused(t, 401, models.Unauthenticated, "sign in again", "GET", "/api/messages/general", "", page, in.cookie())
		if got := session(page, in.cookie()); got != `{"name":"","admin":false,"key_needed":true}` {
			t.Errorf("afterwards: %s", got)
		}
	})
}
