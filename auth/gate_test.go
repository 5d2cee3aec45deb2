package auth

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"crosstalk/models"
)

const key = "s3cret-Key+/=~"

// gate makes the Gate of one test.
func gate(t *testing.T, c Config) *Gate {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return g
}

// try asks for /api/messages at host, with the header fields given as "Name: value".
func try(g *Gate, path, host string, fields ...string) error {
	h := http.Header{}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
	r, err := http.NewRequest("GET", path, nil)
	if err != nil {
		return err
	}
	r.Host, r.Header = host, h
	_, err = g.Check(FromHTTP(r))
	return err
}

func TestKeyIsRead(t *testing.T) {
	g := gate(t, Config{Key: key})
	raw := base64.RawURLEncoding.EncodeToString([]byte(key))
	padded := base64.URLEncoding.EncodeToString([]byte(key))
	for name, tc := range map[string]struct {
		fields []string
		want   models.Code
	}{
		"right":                      {[]string{"Authorization: Bearer " + key}, ""},
		"scheme in another case":     {[]string{"Authorization: bEARER " + key}, ""},
		"none":                       {nil, models.Unauthenticated},
		"empty":                      {[]string{"Authorization: Bearer "}, models.Unauthenticated},
		"scheme alone":               {[]string{"Authorization: Bearer"}, models.Unauthenticated},
		"key alone":                  {[]string{"Authorization: " + key}, models.Unauthenticated},
		"wrong":                      {[]string{"Authorization: Bearer x" + key}, models.Unauthenticated},
		"beginning":                  {[]string{"Authorization: Bearer " + key[:5]}, models.Unauthenticated},
		"key in another case":        {[]string{"Authorization: Bearer " + strings.ToUpper(key)}, models.Unauthenticated},
		"two blanks":                 {[]string{"Authorization: Bearer  " + key}, models.Unauthenticated},
		"a tab":                      {[]string{"Authorization: Bearer\t" + key}, models.Unauthenticated},
		"another scheme":             {[]string{"Authorization: Basic " + key}, models.Unauthenticated},
		"right, then wrong":          {[]string{"Authorization: Bearer " + key, "Authorization: Bearer x"}, models.Unauthenticated},
		"right twice":                {[]string{"Authorization: Bearer " + key, "Authorization: Bearer " + key}, models.Unauthenticated},
		"offered":                    {[]string{"Sec-WebSocket-Protocol: crosstalk.v1, bearer." + raw}, ""},
		"offered with padding":       {[]string{"Sec-WebSocket-Protocol: crosstalk.v1,bearer." + padded}, ""},
		"offered in two fields":      {[]string{"Sec-WebSocket-Protocol: crosstalk.v1", "Sec-WebSocket-Protocol: bearer." + raw}, ""},
		"offered beside another way": {[]string{"Authorization: Basic eA", "Sec-WebSocket-Protocol: bearer." + raw}, ""},
		"offered uncoded":            {[]string{"Sec-WebSocket-Protocol: bearer." + key}, models.Unauthenticated},
		"offered wrong":              {[]string{"Sec-WebSocket-Protocol: bearer." + raw[1:]}, models.Unauthenticated},
		"offered empty":              {[]string{"Sec-WebSocket-Protocol: crosstalk.v1, bearer."}, models.Unauthenticated},
		"in another header":          {[]string{"X-Api-Key: " + key}, models.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			err := try(g, "/api/messages", "bus.example.com", tc.fields...)
			if got := models.CodeOf(err); got != tc.want {
				t.Errorf("got %q (%v), want %q", got, err, tc.want)
			}
		})
	}
	err := try(g, "/mcp?api_key="+key, "bus.example.com")
	if models.CodeOf(err) != models.Unauthenticated || !strings.Contains(err.Error(), "Authorization: Bearer") {
		t.Errorf("a key in the URL: got %v, want to be told where it belongs", err)
	}
	if err := try(g, "/api/messages", "x", "Authorization: Bearer "+key, "X-Forwarded-For: 1.2.3.4"); err != nil {
		t.Errorf("with a key, behind a proxy: %v", err)
	}
}

func TestCallersShareOnePrincipal(t *testing.T) {
	who, err := gate(t, Config{Key: key}).Check(Request{Authorization: "Bearer " + key})
	if want := (models.Principal{Name: models.SharedPrincipal}); err != nil || who != want {
		t.Errorf("got %+v, %v, want %+v", who, err, want)
	}
}

func TestWithoutKeyOnlyThisMachineIsServed(t *testing.T) {
	g := gate(t, Config{ServerURL: "https://Bus.example.com:8443/x", AllowedHosts: []string{"Mac.local", "box:81", "[fd00::1]"}})
	for host, want := range map[string]models.Code{
		"localhost":           "",
		"localhost:8787":      "",
		"LocalHost:1":         "",
		"127.0.0.1":           "",
		"127.0.0.1:8787":      "",
		"127.9.8.7:80":        "",
		"[::1]:8787":          "",
		"[::1]":               "",
		"bus.example.com":     "", // the server URL's name, at any port
		"BUS.example.com:1":   "",
		"mac.local:8787":      "",
		"box:81":              "",
		"[fd00::1]:8787":      "",
		"box:82":              models.Forbidden,
		"box":                 models.Forbidden,
		"evil.com":            models.Forbidden,
		"evil.com:8787":       models.Forbidden,
		"localhost.":          models.Forbidden,
		"127.0.0.1.":          models.Forbidden,
		"localhost.evil.com":  models.Forbidden,
		"127.0.0.1.evil.com":  models.Forbidden,
		"evil-localhost":      models.Forbidden,
		"x.bus.example.com":   models.Forbidden,
		"bus.example.com.":    models.Forbidden,
		"0.0.0.0:8787":        models.Forbidden,
		"[::]:8787":           models.Forbidden,
		"192.168.1.4":         models.Forbidden,
		"[2001:db8::1]:8787":  models.Forbidden,
		"127.1":               models.Forbidden,
		"2130706433":          models.Forbidden,
		"":                    models.Invalid,
		"::1":                 models.Invalid,
		"[::1%lo]":            models.Invalid,
		"[127.0.0.1]":         models.Invalid,
		"[::1":                models.Invalid,
		"::1]":                models.Invalid,
		"localhost:":          models.Invalid,
		"localhost:x":         models.Invalid,
		"localhost:123456":    models.Invalid,
		"localhost:80:80":     models.Invalid,
		"localhost@evil.com":  models.Invalid,
		"u@localhost":         models.Invalid,
		"localhost, evil.com": models.Invalid,
		"localhost/x":         models.Invalid,
	} {
		if got := models.CodeOf(try(g, "/api/channels", host)); got != want {
			t.Errorf("Host %q: got %q, want %q", host, got, want)
		}
	}
	if err := try(g, "/ws", "localhost", "Authorization: Bearer whatever"); err != nil {
		t.Errorf("a key where none is needed: %v", err)
	}
	for _, field := range []string{"Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "x-forwarded-proto: https", "X-Forwarded-Host: "} {
		err := try(g, "/api/channels", "localhost", field)
		if models.CodeOf(err) != models.Forbidden || !strings.Contains(err.Error(), "key") {
			t.Errorf("%s: got %v, want forbidden", field, err)
		}
	}
}

func TestForeignPagesAreTurnedAway(t *testing.T) {
	c := Config{ServerURL: "https://bus.example.com", AllowedOrigins: []string{"https://App.example.com", "http://dev:3000", "app://tool"}}
	for _, tc := range []struct {
		host, origin string
		ok           bool
	}{
		{"localhost:8787", "https://bus.example.com", true}, // the server URL's
		{"localhost:8787", "https://bus.example.com:443", true},
		{"localhost:8787", "HTTPS://BUS.EXAMPLE.COM", true},
		{"localhost:8787", "http://bus.example.com", false}, // another scheme
		{"localhost:8787", "https://bus.example.com:8443", false},
		{"localhost:8787", "https://bus.example.com.", false},
		{"localhost:8787", "https://x.bus.example.com", false},
		{"localhost:8787", "https://app.example.com", true}, // configured
		{"localhost:8787", "http://dev:3000", true},
		{"localhost:8787", "http://dev:3001", false},
		{"localhost:8787", "http://dev", false},
		{"localhost:8787", "app://tool", true},
		{"localhost:8787", "app://other", false},
		{"localhost:8787", "http://localhost:8787", true}, // the page came from here
		{"LOCALHOST:8787", "http://localhost:8787", true},
		{"localhost:8787", "http://localhost", false},
		{"localhost:8787", "http://localhost:3000", false},
		{"localhost:8787", "http://127.0.0.1:8787", false},
		{"localhost", "http://localhost", true},
		{"localhost", "https://localhost", true}, // behind a proxy that ends TLS
		{"localhost", "https://localhost:80", false},
		{"localhost:443", "https://localhost", true},
		{"localhost:80", "https://localhost", false},
		{"[::1]:8787", "http://[::1]:8787", true},
		{"[::1]:8787", "http://[::2]:8787", false},
		{"[::1]:8787", "http://::1:8787", false},
		{"localhost:8787", "null", false},
		{"localhost:8787", "NULL", false},
		{"localhost:8787", "", false},
		{"localhost:8787", "*", false},
		{"localhost:8787", "localhost:8787", false},
		{"localhost:8787", "//localhost:8787", false},
		{"localhost:8787", "http://localhost:8787/", false},
		{"localhost:8787", "http://localhost:8787/x", false},
		{"localhost:8787", "http://localhost:8787?", false},
		{"localhost:8787", "http://localhost:8787#", false},
		{"localhost:8787", "http://u@localhost:8787", false},
		{"localhost:8787", "http://u:p@localhost:8787", false},
		{"localhost:8787", "http://localhost:8787@evil.com", false},
		{"localhost:8787", "http://localhost:8787.evil.com", false},
		{"localhost:8787", "http://evil.com", false},
		{"localhost:8787", "http://localhost:8787 http://evil.com", false},
		{"localhost:8787", "http://localhost:8787, http://evil.com", false},
		{"localhost:8787", "http://localhost:8787,http://evil.com", false},
		{"localhost", "file://", false},
		{"localhost", "app://localhost", false}, // no web page of ours has such a scheme
		{"localhost", "http://localhost:", false},
		{"localhost", "http://", false},
	} {
		for mode, g := range map[string]*Gate{"no key": gate(t, c), "key": gate(t, Config{Key: key, ServerURL: c.ServerURL, AllowedOrigins: c.AllowedOrigins})} {
			err := try(g, "/ws", tc.host, "Authorization: Bearer "+key, "Origin: "+tc.origin)
			if ok := err == nil; ok != tc.ok || !ok && models.CodeOf(err) != models.Forbidden {
				t.Errorf("%s, Host %q, Origin %q: got %v, want ok %v", mode, tc.host, tc.origin, err, tc.ok)
			}
		}
	}
	g := gate(t, c)
	if err := try(g, "/ws", "localhost", "Origin: http://localhost", "Origin: http://evil.com"); models.CodeOf(err) != models.Forbidden {
		t.Errorf("two origins: got %v", err)
	}
	for origin, want := range map[string]bool{"https://app.example.com": true, "https://bus.example.com": false, "null": false, "": false} {
		if got := g.Lists(origin); got != want {
			t.Errorf("Lists(%q) = %v", origin, got)
		}
	}
}

func TestOpenPaths(t *testing.T) {
	keyed, bare := gate(t, Config{Key: key}), gate(t, Config{})
	for path, want := range map[string]openness{
		"/health":        {host: true, key: true},
		"/livez":         {host: true, key: true},
		"/readyz":        {host: true, key: true},
		"/openapi.json":  {key: true},
		"/":              {key: true},
		"/assets/a-1.js": {key: true},
		"/api/session":   {key: true},
		"/assets/":       {},
		"/assets/../api": {},
		"/assets/a/b":    {},
		"/assets/..":     {},
		"/assets/%2e%2e": {},
		"/index.html":    {},
		"/health/":       {},
		"/Health":        {},
		"/healthz":       {},
		"/api/health":    {},
		"/health/../api": {},
		"/ws":            {},
	} {
		if err := try(keyed, path, "bus.example.com"); (err == nil) != want.key {
			t.Errorf("%s without the key: %v", path, err)
		}
		if err := try(bare, path, "10.0.0.7:8787"); (err == nil) != want.host {
			t.Errorf("%s at a foreign name: %v", path, err)
		}
		for name, g := range map[string]*Gate{"keyed": keyed, "bare": bare} {
			if err := try(g, path, "localhost", "Origin: http://evil.com"); models.CodeOf(err) != models.Forbidden {
				t.Errorf("%s for a foreign page (%s): %v", path, name, err)
			}
		}
		if err := try(bare, path, "localhost", "X-Forwarded-For: 1.2.3.4"); models.CodeOf(err) != models.Forbidden {
			t.Errorf("%s through a tunnel: %v", path, err)
		}
	}
}

func TestAdmitAsksForNoKey(t *testing.T) {
	g := gate(t, Config{Key: key, AllowedOrigins: []string{"https://app.example.com"}})
	for origin, ok := range map[string]bool{"https://app.example.com": true, "https://evil.com": false} {
		if err := g.Admit(Request{Path: "/api/messages", Host: "x", Origin: origin, HasOrigin: true}); (err == nil) != ok {
			t.Errorf("Admit for %s: %v", origin, err)
		}
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"blank in key":        {Key: "hush hush"},
		"blank around key":    {Key: " hush"},
		"newline in key":      {Key: "hush\n"},
		"control in key":      {Key: "hush\x01"},
		"umlaut in key":       {Key: "schlüssel"},
		"URL without scheme":  {ServerURL: "bus.example.com"},
		"URL of a file":       {ServerURL: "file:///etc/passwd"},
		"URL of a socket":     {ServerURL: "ws://bus.example.com"},
		"URL with a user":     {ServerURL: "https://u:p@bus.example.com"},
		"URL with a query":    {ServerURL: "https://bus.example.com/?x"},
		"URL with a fragment": {ServerURL: "https://bus.example.com/#x"},
		"URL without host":    {ServerURL: "https://"},
		"URL broken":          {ServerURL: "https://u:p@bus.example.com:port"},
		"host with scheme":    {AllowedHosts: []string{"https://x"}},
		"host empty":          {AllowedHosts: []string{""}},
		"origin with path":    {AllowedOrigins: []string{"https://x/"}},
		"origin without":      {AllowedOrigins: []string{"x"}},
		"origin any":          {AllowedOrigins: []string{"*"}},
		"origin null":         {AllowedOrigins: []string{"null"}},
	} {
		_, err := New(c)
		if models.CodeOf(err) != models.Invalid {
			t.Errorf("%s: got %v, want a sentence", name, err)
		}
		if err != nil && c.Key != "" && strings.Contains(err.Error(), c.Key) {
			t.Errorf("%s: the key stands in %q", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: a password stands in %q", name, err)
		}
	}
}

func BenchmarkCheckANamedKey(b *testing.B) {
	find := func(context.Context, string) (models.Principal, models.Time, error) {
		return models.Principal{Name: "key:a", Scope: models.ScopeWrite}, 0, nil
	}
	g, err := New(Config{Key: key, Sources: []Source{{Prefix: "ctx_", Find: find}}})
	if err != nil {
		b.Fatal(err)
	}
	r := Request{Path: "/api/messages", Host: "localhost:8787", Authorization: "Bearer ctx_ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Check(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	g, err := New(Config{Key: key})
	if err != nil {
		b.Fatal(err)
	}
	r := Request{Path: "/api/messages", Host: "localhost:8787", Authorization: "Bearer " + key}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Check(r); err != nil {
			b.Fatal(err)
		}
	}
}
