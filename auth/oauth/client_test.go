package oauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"crosstalk/models"
	"crosstalk/models/store/access"
	"crosstalk/models/store/grants"
)

func TestClientsRegisterThemselves(t *testing.T) {
	d := newDesk(t, base)
	for method, hidden := range map[string]bool{"none": false, "client_secret_post": true, "client_secret_basic": true} {
		r := d.register(`{"redirect_uris": ["` + claude + `"], "token_endpoint_auth_method": "` + method + `", "client_name": "  A   name ", "x": {}}`)
		if r["token_endpoint_auth_method"] != method || r["client_name"] != "A name" || r["client_id_issued_at"] == nil {
			t.Errorf("%s: %v", method, r)
		}
		if _, has := r["client_secret"]; has != hidden {
			t.Errorf("%s: a secret: %v", method, r)
		}
	}
	if r := d.register(`{"redirect_uris": ["` + claude + `"]}`); r["token_endpoint_auth_method"] != "client_secret_basic" || r["client_secret"] == nil {
		t.Errorf("when it says nothing: %v", r)
	}
}

func TestABadRegistrationIsRefused(t *testing.T) {
	d := newDesk(t, base)
	many := `"` + strings.Repeat(claude+`","`, maxRedirects) + claude + `"`
	for body, code := range map[string]string{
		``:                        "invalid_client_metadata",
		`null`:                    "invalid_redirect_uri",
		`{}`:                      "invalid_redirect_uri",
		`[]`:                      "invalid_client_metadata",
		`{"redirect_uris": "x"}`:  "invalid_client_metadata",
		`{"redirect_uris": []}`:   "invalid_redirect_uri",
		`{"redirect_uris": [""]}`: "invalid_redirect_uri",
		`{"redirect_uris": ["javascript:alert(1)"]}`:                                             "invalid_redirect_uri",
		`{"redirect_uris": ["` + claude + `", "http://a.example/cb"]}`:                           "invalid_redirect_uri",
		`{"redirect_uris": [` + many + `]}`:                                                      "invalid_redirect_uri",
		`{"redirect_uris": ["` + claude + `"], "token_endpoint_auth_method": "private_key_jwt"}`: "invalid_client_metadata",
		`{"redirect_uris": ["` + claude + `"], "grant_types": ["client_credentials"]}`:           "invalid_client_metadata",
		`{"redirect_uris": ["` + claude + `"], "response_types": ["token"]}`:                     "invalid_client_metadata",
		`{"redirect_uris": ["` + claude + `"], "x": "` + strings.Repeat("x", maxBody) + `"}`:     "invalid_client_metadata",
	} {
		r := httptest.NewRequest("POST", "/oauth/register", strings.NewReader(body))
		r.RemoteAddr = "host" + code + body[:min(len(body), 90)]
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code != 400 || !strings.Contains(w.Body.String(), `"`+code+`"`) {
			t.Errorf("%.90s: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestRegistrationsAreSlowedDown(t *testing.T) {
	d := newDesk(t, base)
	d.addr = "198.51.100.7:1"
	for range 20 {
		d.do("POST", "/oauth/register", url.Values{})
	}
	res := d.do("POST", "/oauth/register", url.Values{})
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

func TestASecretIsAskedForWhereThereIsOne(t *testing.T) {
	d := newDesk(t, base)
	r := d.register(`{"redirect_uris": ["` + claude + `"], "token_endpoint_auth_method": "client_secret_post"}`)
	id, hidden := r["client_id"].(string), r["client_secret"].(string)
	told := d.decide(d.page(asks(id, claude)), d.alice)
	basic := func(id, password string) string {
		q := &http.Request{Header: http.Header{}}
		q.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(password))
		return q.Header.Get("Authorization")
	}
	d.wants(401, "invalid_client", code(id, told))
	d.wants(401, "invalid_client", code(id, told, "client_secret", "wrong"))
	d.wants(401, "invalid_client", code(id, told, "client_secret", access.Hash(hidden)))
	d.wants(401, "invalid_client", code(id, told), "Authorization", basic(id, "wrong"))
	d.wants(401, "invalid_client", code(id, told), "Authorization", basic("client-other", hidden))
	d.wants(401, "invalid_client", code(id, told, "client_secret", "wrong"), "Authorization", basic(id, hidden))
	v := code(id, told)
	v.Del("client_id")
	tokens := d.json(200, "POST", "/oauth/token", v, "Authorization", basic(id, hidden))
	d.wants(401, "invalid_client", refresh(id, tokens))
	if res := d.do("POST", "/oauth/revoke", url.Values{"token": {tokens["access_token"].(string)}, "client_id": {id}}); res.StatusCode != 401 {
		t.Errorf("revoked without the secret: %d", res.StatusCode)
	}
	with := refresh(id, tokens)
	with.Set("client_secret", hidden)
	d.json(200, "POST", "/oauth/token", with)
	res := d.do("POST", "/oauth/token", code(id, told), "Authorization", basic(id, "wrong"))
	if !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("head: %v", res.Header)
	}
}

func TestMetadataNamesEachAddress(t *testing.T) {
	for _, tc := range []struct{ serverURL, issuer, path string }{
		{base, base, ""},
		{base + "/", base, ""},
		{"https://BUS.example.com/hub/", base + "/hub", "/hub"},
		{"http://localhost:8787", "http://localhost:8787", ""},
	} {
		d := newDesk(t, tc.serverURL)
		for path, resource := range map[string]string{"": "/mcp", "/mcp": "/mcp", "/sse": "/sse"} {
			for _, prefix := range []string{"", tc.path} {
				v := d.json(200, "GET", "/.well-known/oauth-protected-resource"+prefix+path, nil)
				servers := v["authorization_servers"].([]any)
				if v["resource"] != tc.issuer+resource || len(servers) != 1 || servers[0] != tc.issuer {
					t.Errorf("%s %s: %v", tc.serverURL, prefix+path, v)
				}
			}
		}
		v := d.json(200, "GET", "/.well-known/oauth-authorization-server"+tc.path, nil)
		if v["issuer"] != tc.issuer || v["token_endpoint"] != tc.issuer+"/oauth/token" || v["client_id_metadata_document_supported"] != true {
			t.Errorf("%s: %v", tc.serverURL, v)
		}
		for _, path := range []string{"/.well-known/oauth-protected-resource/messages", "/.well-known/oauth-protected-resource/x", "/.well-known/oauth-protected-resource/mcp/",
			"/.well-known/oauth-authorization-server/x", "/.well-known/oauth-x", "/oauth/", "/oauth/x", "/.well-known/openid-configuration"} {
			d.json(404, "GET", path, nil)
		}
		for path, where := range map[string]string{"/mcp": "/mcp", "/sse": "/sse", "/messages": "/sse"} {
			want := `Bearer resource_metadata="` + strings.TrimSuffix(tc.issuer, tc.path) + "/.well-known/oauth-protected-resource" + tc.path + where + `", scope="read write"`
			if got := d.gate.Challenge(bearer(path, "")); got != want {
				t.Errorf("challenge at %s: %s, want %s", path, got, want)
			}
		}
		if got := d.gate.Challenge(bearer("/api/messages", "x")); got != `Bearer error="invalid_token"` {
			t.Errorf("challenge elsewhere: %s", got)
		}
	}
}

func TestTheIssuerComesFromNoRequest(t *testing.T) {
	d := newDesk(t, base)
	v := d.json(200, "GET", "http://evil.example/.well-known/oauth-authorization-server", nil, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "Forwarded", "host=evil.example")
	if v["issuer"] != base {
		t.Errorf("issuer: %v", v["issuer"])
	}
}

func TestWithoutASafeAddressThereIsNoOAuth(t *testing.T) {
	for _, serverURL := range []string{"", "http://bus.example.com", "http://10.0.0.7:8787"} {
		d := newDesk(t, serverURL)
		for _, path := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server", "/oauth/authorize", "/oauth/token"} {
			if v := d.json(404, "GET", path, nil); !strings.Contains(v["error_description"].(string), "--server-url") {
				t.Errorf("%q %s: %v", serverURL, path, v)
			}
		}
		if got := d.gate.Challenge(bearer("/mcp", "")); got != "Bearer" || len(d.Sources()) != 0 {
			t.Errorf("%q: challenge %s", serverURL, got)
		}
	}
}

func TestPagesOfAnyOriginMayAsk(t *testing.T) {
	d := newDesk(t, base)
	for path, method := range map[string]string{"/oauth/register": "POST", "/oauth/token": "POST", "/oauth/revoke": "POST",
		"/.well-known/oauth-authorization-server": "GET", "/.well-known/oauth-protected-resource/mcp": "GET"} {
		res := d.do("OPTIONS", path, nil, "Origin", "http://localhost:6274", "Access-Control-Request-Method", method)
		h := res.Header
		if res.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), method) ||
			!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Mcp-Protocol-Version") || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", path, res.StatusCode, h)
		}
		if res := d.do("DELETE", path, nil); res.StatusCode != 405 || res.Header.Get("Allow") == "" {
			t.Errorf("DELETE %s: %d", path, res.StatusCode)
		}
	}
	res := d.do("GET", "/oauth/authorize", nil, "Origin", "http://localhost:6274")
	if res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("pages of any origin may read the consent page")
	}
	if res := d.do("DELETE", "/oauth/authorize", nil); res.StatusCode != 405 {
		t.Errorf("DELETE: %d", res.StatusCode)
	}
}

func TestAnInviteLetsInSoManyAndNoMore(t *testing.T) {
	d := newDesk(t, base)
	ctx := t.Context()
	hidden, err := d.gate.CreateInvite(ctx, models.Principal{Name: models.SharedPrincipal},
		grants.Invite{Name: "anna", Scope: models.ScopeWrite, Channels: "team-*", Uses: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, first := d.connect(hidden)
	id, second := d.connect(hidden)
	want := models.Principal{Name: "grant:invite:anna/claude", Scope: models.ScopeWrite, Channels: "team-*"}
	if d.who(first) != want || d.who(second) != want {
		t.Errorf("invited: %+v, %+v", d.who(first), d.who(second))
	}
	form := d.page(asks(d.public(claude), claude))
	form.Set("key", hidden)
	form.Set("answer", "allow")
	if res := d.do("POST", "/oauth/authorize", form); res.StatusCode != http.StatusForbidden || !strings.Contains(text(res), "used up") {
		t.Errorf("a third one: %d", res.StatusCode)
	}
	second = d.json(200, "POST", "/oauth/token", refresh(id, second))
	if err := d.table.RevokeInvite(ctx, "anna"); err != nil {
		t.Fatal(err)
	}
	if d.who(first).Name != "" || d.who(second).Name != "" {
		t.Error("the invite is revoked, and its grants let in")
	}
	d.wants(400, "invalid_grant", refresh(id, second))
}
