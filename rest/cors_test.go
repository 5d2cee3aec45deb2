package rest

import (
	"net/http"
	"testing"

	"crosstalk/auth"
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
