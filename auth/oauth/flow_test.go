package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
	"crosstalk/models/store/access"
)

func TestAClientIsLetInAndLeaves(t *testing.T) {
	d := newDesk(t, base)
	id := d.public(claude)
	told := d.decide(d.page(asks(id, claude, "scope", "read write")), d.alice, "label", "Claude at home")
	if told.Get("state") != "s t/&?=" || told.Get("iss") != base || len(told.Get("code")) < 50 || told.Has("error") {
		t.Fatalf("the client was told %v", told)
	}
	tokens := d.json(200, "POST", "/oauth/token", code(id, told, "redirect_uri", claude))
	if tokens["token_type"] != "Bearer" || tokens["expires_in"] != 3600.0 || tokens["scope"] != "read write offline_access" {
		t.Errorf("tokens: %v", tokens)
	}
	want := models.Principal{Name: "grant:key:alice/claude-at-home", Scope: models.ScopeWrite}
	if who := d.who(tokens); who != want {
		t.Errorf("the token is %+v's, not %+v's", who, want)
	}
	newer := d.json(200, "POST", "/oauth/token", refresh(id, tokens))
	if newer["refresh_token"] == tokens["refresh_token"] || newer["access_token"] == tokens["access_token"] {
		t.Error("a token was not replaced")
	}
	if d.who(newer).Name != want.Name || d.who(tokens).Name != want.Name {
		t.Error("a token does not open")
	}
	if res := d.do("POST", "/oauth/revoke", url.Values{"token": {newer["refresh_token"].(string)}, "client_id": {id}}); res.StatusCode != 200 {
		t.Errorf("revoke: %d", res.StatusCode)
	}
	if d.who(newer).Name != "" || d.who(tokens).Name != "" {
		t.Error("a revoked grant lets in")
	}
	d.wants(400, "invalid_grant", refresh(id, newer))
	if res := d.do("POST", "/oauth/revoke", url.Values{"token": {"what"}, "client_id": {id}}); res.StatusCode != 200 {
		t.Errorf("revoking what is none: %d", res.StatusCode)
	}
	for _, secret := range []string{told.Get("code"), d.alice, tokens["access_token"].(string), tokens["refresh_token"].(string), verifier, access.Hash(d.alice)} {
		if strings.Contains(d.log.String(), secret) {
			t.Errorf("a secret is in the log: %s", d.log)
		}
	}
}

func TestSomebodyElsesTokenIsNotRevoked(t *testing.T) {
	d := newDesk(t, base)
	_, tokens := d.connect(d.alice)
	other := d.public(claude)
	if res := d.do("POST", "/oauth/revoke", url.Values{"token": {tokens["access_token"].(string)}, "client_id": {other}}); res.StatusCode != 200 {
		t.Errorf("revoke: %d", res.StatusCode)
	}
	if d.who(tokens).Name == "" {
		t.Error("it was")
	}
}

func TestACodeIsGoodOnce(t *testing.T) {
	d := newDesk(t, base)
	id := d.public(claude)
	told := d.decide(d.page(asks(id, claude)), d.alice)
	tokens := d.json(200, "POST", "/oauth/token", code(id, told))
	d.wants(400, "invalid_grant", code(id, told))
	if d.who(tokens).Name != "" {
		t.Error("the code was shown twice, and the first one's token still opens")
	}
	d.wants(400, "invalid_grant", refresh(id, tokens))
	told = d.decide(d.page(asks(id, claude)), d.alice)
	d.later += codeLife
	d.wants(400, "invalid_grant", code(id, told))
}

func TestARefreshTokenIsGoodOnce(t *testing.T) {
	d := newDesk(t, base)
	id, first := d.connect(d.alice)
	second := d.json(200, "POST", "/oauth/token", refresh(id, first))
	d.later += grace - time.Second                                   // not all of it: this machine takes time, too
	again := d.json(200, "POST", "/oauth/token", refresh(id, first)) // its answer was lost
	third := d.json(200, "POST", "/oauth/token", refresh(id, second))
	if d.who(third).Name == "" || d.who(again).Name == "" {
		t.Fatal("a token does not open")
	}
	d.later += 2 * time.Second
	d.wants(400, "invalid_grant", refresh(id, first)) // a thief, or the one who was robbed
	for _, tokens := range []map[string]any{first, second, again, third} {
		if d.who(tokens).Name != "" {
			t.Error("the grant has not ended")
		}
		d.wants(400, "invalid_grant", refresh(id, tokens))
	}
	if !strings.Contains(d.log.String(), "shown twice") {
		t.Error("the log says nothing of it")
	}
}

func TestTokensEnd(t *testing.T) {
	d := newDesk(t, base)
	id, tokens := d.connect(d.alice)
	d.later += accessLife - time.Minute
	if d.who(tokens).Name == "" {
		t.Error("an access token ends early")
	}
	d.later += time.Minute
	if d.who(tokens).Name != "" {
		t.Error("an access token does not end")
	}
	d.later += refreshLife - accessLife - time.Minute
	tokens = d.json(200, "POST", "/oauth/token", refresh(id, tokens))
	d.later += refreshLife
	d.wants(400, "invalid_grant", refresh(id, tokens))
}

func TestAGrantDiesWithItsKey(t *testing.T) {
	d, ctx := newDesk(t, base), context.Background()
	id, tokens := d.connect(d.alice)
	rotated, err := d.keys.RotateKey(ctx, "alice", 0)
	if err != nil {
		t.Fatal(err)
	}
	if d.who(tokens).Name != "" {
		t.Error("a rotated key keeps the grants of its old secret")
	}
	d.wants(400, "invalid_grant", refresh(id, tokens))
	_, again := d.connect(rotated)
	if got := d.who(again).Name; got != "grant:key:alice/claude" {
		t.Errorf("consenting again made %q", got)
	}
	if err := d.keys.RevokeKey(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	if d.who(again).Name != "" {
		t.Error("the key is revoked, and its grant lets in")
	}
	d.wants(400, "invalid_grant", refresh(id, again))
	_, tokens = d.connect(sharedKey)
	d.gate, err = auth.New(auth.Config{Key: "another-in-the-environment"})
	if err != nil {
		t.Fatal(err)
	}
	if d.who(tokens).Name != "" {
		t.Error("the shared key is another, and the old one's grant lets in")
	}
}

func TestAGrantOutlastsNoKeyThatExpires(t *testing.T) {
	d := newDesk(t, base)
	soon := models.TimeOf(time.Now().Add(10 * time.Minute))
	key, err := d.keys.CreateKey(context.Background(), access.Key{Name: "short", Scope: models.ScopeWrite, ExpiresAt: soon})
	if err != nil {
		t.Fatal(err)
	}
	_, tokens := d.connect(key)
	_, until, err := d.find(context.Background(), access.Hash(tokens["access_token"].(string)))
	if until != soon || err != nil {
		t.Errorf("it lasts until %v (%v), its key until %v", until, err, soon)
	}
}

func TestAGrantMayNoMoreThanItsKey(t *testing.T) {
	d := newDesk(t, base)
	_, tokens := d.connect(d.give("bob", models.ScopeRead, "team-*"))
	if who := d.who(tokens); who.Scope != models.ScopeRead || who.Channels != "team-*" {
		t.Errorf("a reader's grant: %+v", who)
	}
	if tokens["scope"] != "read offline_access" {
		t.Errorf("the client was told %v", tokens["scope"])
	}
	_, tokens = d.connect(d.alice)
	if who := d.who(tokens); who.Scope != models.ScopeWrite || who.Admin() {
		t.Errorf("an administrator's grant: %+v", who)
	}
	_, tokens = d.connect(sharedKey, "label", "../admin\n")
	if who := d.who(tokens); who.Name != "grant:shared/admin" || who.Scope != models.ScopeWrite || who.Admin() || !who.Named() {
		t.Errorf("a grant of the shared key: %+v", who)
	}
}

func TestScopesAreBounded(t *testing.T) {
	d := newDesk(t, base)
	id := d.public(claude)
	for asked, want := range map[string]string{
		"":                      "read write offline_access",
		"read":                  "read offline_access",
		"write":                 "read write offline_access",
		"read write":            "read write offline_access",
		"admin read write":      "read write offline_access",
		"admin":                 "read write offline_access",
		"openid profile":        "read write offline_access",
		"read offline_access":   "read offline_access",
		"offline_access openid": "read write offline_access",
	} {
		told := d.decide(d.page(asks(id, claude, "scope", asked)), d.alice)
		tokens := d.json(200, "POST", "/oauth/token", code(id, told))
		if tokens["scope"] != want {
			t.Errorf("asked for %q, it got %q", asked, tokens["scope"])
		}
		v := refresh(id, tokens)
		v.Set("scope", "read write admin")
		d.wants(400, "invalid_scope", v)
		v.Set("scope", "read")
		d.json(200, "POST", "/oauth/token", v)
	}
	told := d.decide(d.page(asks(id, claude)), d.alice, "access", "read")
	if tokens := d.json(200, "POST", "/oauth/token", code(id, told)); tokens["scope"] != "read offline_access" || d.who(tokens).Scope != models.ScopeRead {
		t.Errorf("the person said read, and it got %v", tokens["scope"])
	}
	short := d.register(`{"redirect_uris": ["` + claude + `"], "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"]}`)["client_id"].(string)
	told = d.decide(d.page(asks(short, claude, "scope", "read")), d.alice)
	if tokens := d.json(200, "POST", "/oauth/token", code(short, told)); tokens["refresh_token"] != nil || tokens["scope"] != "read" {
		t.Errorf("a client that does not mean to stay got %v", tokens)
	}
}

func TestTokensAreGoodAtOneAddress(t *testing.T) {
	d := newDesk(t, base)
	id := d.public(claude)
	doors := []string{"/mcp", "/sse", "/messages", "/api/messages", "/ws", "/metrics", "/mcp/", ""}
	for resource, open := range map[string][]string{
		"":                                {"/mcp"},
		base + "/mcp":                     {"/mcp"},
		base + "/mcp/":                    {"/mcp"},
		"https://BUS.example.com:443/mcp": {"/mcp"},
		base + "/sse":                     {"/sse", "/messages"},
	} {
		told := d.decide(d.page(asks(id, claude, "resource", resource)), d.alice)
		v := code(id, told)
		v.Set("resource", resource)
		if resource == "" {
			v.Del("resource")
		}
		tokens := d.json(200, "POST", "/oauth/token", v)
		for _, path := range doors {
			_, err := d.gate.Check(auth.Request{Path: path, Authorization: auth.Secret("Bearer " + tokens["access_token"].(string))})
			if got := err == nil; got != slices.Contains(open, path) {
				t.Errorf("a token for %q at %q: %v", resource, path, err)
			}
		}
	}
	told := d.decide(d.page(asks(id, claude)), d.alice)
	d.wants(400, "invalid_target", code(id, told, "resource", base+"/sse"))
	d.wants(400, "invalid_target", code(id, told, "resource", "https://evil.example.com/mcp"))
	d.json(200, "POST", "/oauth/token", code(id, told))
}

func TestOnlyTheClientGetsTheTokens(t *testing.T) {
	d := newDesk(t, base)
	id, other := d.public(claude), d.public(claude)
	told := d.decide(d.page(asks(id, claude)), d.alice)
	for name, v := range map[string]url.Values{
		"another client":      code(other, told),
		"no verifier":         code(id, told, "code_verifier", ""),
		"wrong verifier":      code(id, told, "code_verifier", verifier[1:]+"x"),
		"the challenge again": code(id, told, "code_verifier", proof),
		"a short verifier":    code(id, told, "code_verifier", verifier[:42]),
		"another address":     code(id, told, "redirect_uri", claude+"/"),
		"no code":             code(id, nil),
	} {
		t.Run(name, func(t *testing.T) { d.wants(400, "invalid_grant", v) })
	}
	d.wants(401, "invalid_client", code("client-unknown", told))
	d.wants(401, "invalid_client", code("", told))
	d.wants(400, "unsupported_grant_type", code(id, told, "grant_type", "password"))
	d.wants(400, "unsupported_grant_type", code(id, told, "grant_type", "client_credentials"))
	d.wants(400, "invalid_request", code(id, told, "grant_type", ""))
	v := code(id, told)
	v.Add("code", "another")
	d.wants(400, "invalid_request", v)
	d.wants(400, "invalid_request", code(id, told), "Content-Type", "application/json")
	tokens := d.json(200, "POST", "/oauth/token", code(id, told))
	d.wants(400, "invalid_grant", refresh(other, tokens))
	v = refresh(id, tokens) // an access token is no refresh token
	v.Set("refresh_token", tokens["access_token"].(string))
	d.wants(400, "invalid_grant", v)
	for _, shown := range []string{tokens["refresh_token"].(string), told.Get("code"), mcpPrefix + tokens["refresh_token"].(string)[4:]} {
		if _, err := d.gate.Check(auth.Request{Path: "/mcp", Authorization: auth.Secret("Bearer " + shown)}); models.CodeOf(err) != models.Unauthenticated {
			t.Errorf("%.4s as an access token: %v", shown, err)
		}
	}
	if d.who(tokens).Name == "" {
		t.Error("the client's own token does not open")
	}
}
