package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"crosstalk/models"
)

func TestAClientIsLetInAndLeaves(t *testing.T) {
	d := newDesk(t, base)
	id := d.public(claude)
	told := d.decide(d.page(asks(id, claude, "scope", "read write")), aliceKey, "label", "Claude at home")
	if told.Get("state") != "s t/&?=" || told.Get("iss") != base || len(told.Get("code")) < 50 || told.Has("error") {
		t.Fatalf("the client was told %v", told)
	}
	tokens := d.json(200, "POST", "/oauth/token", code(id, told, "redirect_uri", claude))
	if tokens["token_type"] != "Bearer" || tokens["expires_in"] != 3600.0 || tokens["scope"] != "read write offline_access" {
		t.Errorf("tokens: %v", tokens)
	}
	want := models.Principal{Name: "grant:key:alice/claude-at-home", Scope: models.ScopeWrite}
	who := d.who(tokens)
	if who.Credential == "" {
		t.Error("the grant has no name of its own")
	}
	if who.Credential = ""; who != want {
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
	for _, secret := range []string{told.Get("code"), aliceKey, tokens["access_token"].(string), tokens["refresh_token"].(string), verifier, digest(aliceKey)} {
		if strings.Contains(d.log.String(), secret) {
			t.Errorf("a secret is in the log: %s", d.log)
		}
	}
}

func TestSomebodyElsesTokenIsNotRevoked(t *testing.T) {
	d := newDesk(t, base)
	_, tokens := d.connect(aliceKey)
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
	told := d.decide(d.page(asks(id, claude)), aliceKey)
	tokens := d.json(200, "POST", "/oauth/token", code(id, told))
	d.wants(400, "invalid_grant", code(id, told))
	if d.who(tokens).Name != "" {
		t.Error("the code was shown twice, and the first one's token still opens")
	}
	d.wants(400, "invalid_grant", refresh(id, tokens))
	told = d.decide(d.page(asks(id, claude)), aliceKey)
	d.later += codeLife
	d.wants(400, "invalid_grant", code(id, told))
}

func TestARefreshTokenIsGoodOnce(t *testing.T) {
	d := newDesk(t, base)
	id, first := d.connect(aliceKey)
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
	id, tokens := d.connect(aliceKey)
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
	d := newDesk(t, base)
	id, tokens := d.connect(aliceKey)
	d.give(aliceKey, models.Principal{})
	if d.who(tokens).Name != "" {
		t.Error("the key is void, and its grant is not")
	}
	d.wants(400, "invalid_grant", refresh(id, tokens))
	d.give("another-key-of-alice", models.Principal{Name: "key:alice", Scope: models.ScopeWrite})
	if d.who(tokens).Name != "" {
		t.Error("a rotated key keeps the grants of the old one")
	}
	_, again := d.connect("another-key-of-alice")
	if got := d.who(again).Name; got != "grant:key:alice/claude" {
		t.Errorf("consenting again made %s", got)
	}
}

func TestAGrantMayNoMoreThanItsKey(t *testing.T) {
	d := newDesk(t, base)
	reader := models.Principal{Name: "key:bob", Scope: models.ScopeRead, Channels: "team-*"}
	d.give("bob", reader)
	_, tokens := d.connect("bob")
	if who := d.who(tokens); who.Scope != models.ScopeRead || who.Channels != "team-*" {
		t.Errorf("a reader's grant: %+v", who)
	}
	if tokens["scope"] != "read offline_access" {
		t.Errorf("the client was told %v", tokens["scope"])
	}
	_, tokens = d.connect(aliceKey)
	if who := d.who(tokens); who.Scope != models.ScopeWrite || who.Admin() {
		t.Errorf("an administrator's grant: %+v", who)
	}
	d.give(aliceKey, models.Principal{Name: "key:alice", Scope: models.ScopeRead, Channels: "general"})
	if who := d.who(tokens); who.Scope != models.ScopeRead || who.Channels != "general" {
		t.Errorf("when the key may less than before: %+v", who)
	}
	d.give("all", models.Principal{Name: models.SharedPrincipal})
	_, tokens = d.connect("all", "label", "../admin\n")
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
		told := d.decide(d.page(asks(id, claude, "scope", asked)), aliceKey)
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
	told := d.decide(d.page(asks(id, claude)), aliceKey, "access", "read")
	if tokens := d.json(200, "POST", "/oauth/token", code(id, told)); tokens["scope"] != "read offline_access" || d.who(tokens).Scope != models.ScopeRead {
		t.Errorf("the person said read, and it got %v", tokens["scope"])
	}
	short := d.register(`{"redirect_uris": ["` + claude + `"], "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"]}`)["client_id"].(string)
	told = d.decide(d.page(asks(short, claude, "scope", "read")), aliceKey)
	if tokens := d.json(200, "POST", "/oauth/token", code(short, told)); tokens["refresh_token"] != nil || tokens["scope"] != "read" {
		t.Errorf("a client that does not mean to stay got %v", tokens)
	}
}

func TestTokensAreGoodAtOneAddress(t *testing.T) {
	d := newDesk(t, base)
	id := d.public(claude)
	doors := []string{"/mcp", "/sse", "/messages", "/api/messages", "/ws", "/", "/mcp/", ""}
	for resource, open := range map[string][]string{
		"":                                {"/mcp"},
		base + "/mcp":                     {"/mcp"},
		base + "/mcp/":                    {"/mcp"},
		"https://BUS.example.com:443/mcp": {"/mcp"},
		base + "/sse":                     {"/sse", "/messages"},
	} {
		told := d.decide(d.page(asks(id, claude, "resource", resource)), aliceKey)
		v := code(id, told)
		v.Set("resource", resource)
		if resource == "" {
			v.Del("resource")
		}
		tokens := d.json(200, "POST", "/oauth/token", v)
		for _, path := range doors {
			_, err := d.Principal(context.Background(), tokens["access_token"].(string), path)
			if got := err == nil; got != slices.Contains(open, path) {
				t.Errorf("a token for %q at %q: %v", resource, path, err)
			}
		}
	}
	told := d.decide(d.page(asks(id, claude)), aliceKey)
	d.wants(400, "invalid_target", code(id, told, "resource", base+"/sse"))
	d.wants(400, "invalid_target", code(id, told, "resource", "https://evil.example.com/mcp"))
	d.json(200, "POST", "/oauth/token", code(id, told))
}

func TestOnlyTheClientGetsTheTokens(t *testing.T) {
	d := newDesk(t, base)
	id, other := d.public(claude), d.public(claude)
	told := d.decide(d.page(asks(id, claude)), aliceKey)
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
	if _, err := d.Principal(context.Background(), tokens["refresh_token"].(string), "/mcp"); models.CodeOf(err) != models.Unauthenticated {
		t.Errorf("a refresh token as an access token: %v", err)
	}
	if d.who(tokens).Name == "" {
		t.Error("the client's own token does not open")
	}
}
