package auth

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

// table makes the table of an empty database.
func table(t *testing.T) *access.Table {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return access.New(st)
}

// request is one for a path at a host; fields are "Name: value".
func request(path, host string, fields ...string) Request {
	r := http.Request{Host: host, Header: http.Header{}}
	r.URL = urlOf(path)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return FromHTTP(&r)
}

func welcome(models.Principal) error { return nil }

// signIn returns what the browser sends from now on: "name=token".
func signIn(t *testing.T, g *Gate, host, key, name string) string {
	t.Helper()
	p, cookie, err := g.SignIn(t.Context(), request(SessionPath, host), Secret(key), name, welcome)
	if err != nil || p.Name != name || p.ExpiresAt == nil {
		t.Fatalf("sign in: %+v, %v", p, err)
	}
	pair, attributes, _ := strings.Cut(cookie, "; ")
	for _, want := range []string{"Path=/", "HttpOnly", "SameSite=Strict"} {
		if !strings.Contains(attributes, want) {
			t.Errorf("the cookie is not %s: %s", want, attributes)
		}
	}
	if https := strings.HasPrefix(pair, "__Host-"); https != strings.HasSuffix(attributes, "; Secure") || https != g.secure() || strings.Contains(attributes, "Domain") {
		t.Errorf("HTTPS is %v, the cookie %s; %s", g.secure(), pair[:12], attributes)
	}
	return pair
}

func TestWhoeverIsSignedInIsAPerson(t *testing.T) {
	for mode, c := range map[string]Config{"key": {Key: key}, "no key": {}} {
		c.Keys = table(t)
		g := gate(t, c)
		who, err := g.Check(request("/api/messages", "localhost:8787", "Sec-Fetch-Site: same-origin", "Cookie: a=b; "+signIn(t, g, "localhost:8787", c.Key, "Ada")+"; c=d"))
		if err != nil || who.Name != models.SharedPrincipal || who.Person != "Ada" || who.Kind() != models.KindHuman || !who.Admin() {
			t.Errorf("%s: %+v, %v", mode, who, err)
		}
	}
}

func TestACookieCountsOnlyForPagesOfOurOwn(t *testing.T) {
	const (
		local = "localhost:8787"
		bus   = "bus.example.com"
	)
	tb := table(t)
	for _, tc := range []struct {
		name      string
		serverURL string
		host      string
		path      string
		fields    string // separated by |
		want      string // person, - for nobody, or a code; without a key nobody is everybody on this machine
	}{
		{"the page's own request", "", local, "/api/messages", "Sec-Fetch-Site: same-origin", "Ada"},
		{"the page posts", "", local, "/api/messages", "Sec-Fetch-Site: same-origin|Origin: http://localhost:8787", "Ada"},
		{"an older browser's post", "", local, "/api/messages", "Origin: http://localhost:8787", "Ada"},
		{"the page's WebSocket", "", local, "/ws", "Origin: http://localhost:8787|Sec-Fetch-Site: cross-site", "Ada"},
		{"the page's stream", "", local, "/api/stream", "Sec-Fetch-Site: same-origin", "Ada"},
		{"nobody says whose page", "", local, "/api/messages", "", "-"},
		{"another port", "", local, "/api/messages", "Sec-Fetch-Site: same-site", "-"},
		{"another port posts", "", local, "/api/messages", "Sec-Fetch-Site: same-site|Origin: http://localhost:3000", "forbidden"},
		{"another port lies", "", local, "/api/messages", "Sec-Fetch-Site: same-origin|Origin: http://localhost:3000", "forbidden"},
		{"another scheme", "", local, "/api/messages", "Origin: app://localhost:8787", "forbidden"},
		{"another site", "", local, "/api/messages", "Sec-Fetch-Site: cross-site", "-"},
		{"another site posts", "", local, "/api/messages", "Sec-Fetch-Site: cross-site|Origin: https://evil.example", "forbidden"},
		{"a page without origin", "", local, "/api/messages", "Sec-Fetch-Site: cross-site|Origin: null", "forbidden"},
		{"an empty origin", "", local, "/api/messages", "Sec-Fetch-Site: same-origin|Origin: ", "forbidden"},
		{"a link from elsewhere", "", local, "/api/messages", "Sec-Fetch-Site: none", "-"},
		{"said twice", "", local, "/api/messages", "Sec-Fetch-Site: same-origin|Sec-Fetch-Site: same-origin", "-"},
		{"said in capitals", "", local, "/api/messages", "Sec-Fetch-Site: SAME-ORIGIN", "-"},
		{"an allowed page of others", "", local, "/api/messages", "Sec-Fetch-Site: same-site|Origin: http://localhost:9999", "-"},
		{"MCP", "", local, "/mcp", "Sec-Fetch-Site: same-origin|Origin: http://localhost:8787", "-"},
		{"the old MCP", "", local, "/sse", "Sec-Fetch-Site: same-origin", "-"},
		{"the old MCP's posts", "", local, "/messages", "Sec-Fetch-Site: same-origin|Origin: http://localhost:8787", "-"},
		{"over HTTPS", "https://" + bus, bus, "/api/messages", "Sec-Fetch-Site: same-origin", "Ada"},
		{"over HTTPS, posts", "https://" + bus, bus, "/api/messages", "Origin: https://" + bus, "Ada"},
		{"not over HTTPS", "https://" + bus, bus, "/api/messages", "Origin: http://" + bus, "-"},
		{"at another port of ours", "https://" + bus, bus + ":8443", "/api/messages", "Origin: https://" + bus + ":8443", "-"},
		{"at this machine's name", "https://" + bus, local, "/api/messages", "Origin: http://" + local, "Ada"},
		{"at a foreign name", "", "evil.example", "/api/messages", "Sec-Fetch-Site: same-origin", "forbidden"},
		{"at a foreign name, posts", "", "evil.example", "/api/messages", "Origin: http://evil.example", "forbidden"},
		{"at a foreign name, HTTPS", "https://" + bus, "evil.example", "/api/messages", "Sec-Fetch-Site: same-origin", "forbidden"},
		{"no name at all", "", "", "/api/messages", "Sec-Fetch-Site: same-origin", "invalid"},
	} {
		for mode, shared := range map[string]string{"key": key, "no key": ""} {
			g := gate(t, Config{Key: shared, ServerURL: tc.serverURL, AllowedOrigins: []string{"http://localhost:9999"}, Keys: tb})
			pair := signIn(t, g, local, shared, "Ada")
			_, token, _ := strings.Cut(pair, "=")
			r := request(tc.path, tc.host, strings.Split(tc.fields, "|")...)
			r.Cookie = Secret(g.cookieName(r) + "=" + token)
			want := map[bool]models.Code{true: models.Unauthenticated, false: ""}[shared != ""]
			switch tc.want {
			case "-", "Ada":
			default:
				want = models.Code(tc.want)
			}
			who, err := g.Check(r)
			if tc.want == "Ada" {
				want = ""
			}
			person := strings.Trim(tc.want, "-")
			if want != "" {
				person = ""
			}
			if models.CodeOf(err) != want || who.Person != person {
				t.Errorf("%s, %s: %q, %v; want %q, %q", tc.name, mode, who.Person, err, person, want)
			}
		}
	}
}

func TestACookieThatOpensNothing(t *testing.T) {
	g := gate(t, Config{Keys: table(t)}) // even where nobody needs a key: who was signed in must not become an agent
	good := signIn(t, g, "localhost:1", "", "Ada")
	name, token, _ := strings.Cut(good, "=")
	for what, cookie := range map[string]string{
		"unknown":           name + "=" + access.NewSession(),
		"empty":             name + "=",
		"cut":               name + "=" + token[:len(token)-1],
		"in another case":   name + "=" + strings.ToLower(token),
		"a hash":            name + "=" + access.Hash(token),
		"without prefix":    name + "=" + strings.TrimPrefix(token, access.SessionPrefix),
		"twice":             good + "; " + good,
		"beside another":    good + "; " + name + "=x",
		"another, then one": name + "=x; " + good,
	} {
		_, err := g.Check(request("/api/messages", "localhost:1", "Sec-Fetch-Site: same-origin", "Cookie: "+cookie))
		if models.CodeOf(err) != models.Unauthenticated || !strings.Contains(err.Error(), "sign in again") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, cookie := range map[string]string{
		"another name":     "x" + good,
		"another port":     strings.Replace(good, "_1=", "_2=", 1),
		"without a port":   strings.Replace(good, "_1=", "=", 1),
		"for HTTPS":        "__Host-" + good,
		"far too much":     good + "; x=" + strings.Repeat("x", maxCookies),
		"in capitals":      strings.ToUpper(name) + "=" + token,
		"a name in a name": "x=y=" + good,
	} {
		who, err := g.Check(request("/api/messages", "localhost:1", "Sec-Fetch-Site: same-origin", "Cookie: "+cookie))
		if err != nil || who.Person != "" {
			t.Errorf("%s: %+v, %v", what, who, err)
		}
	}
	// The token is no key, and a key no token.
	keyed := gate(t, Config{Key: key, Keys: table(t)})
	_, token, _ = strings.Cut(signIn(t, keyed, "localhost:1", key, "Ada"), "=")
	for _, r := range []Request{
		request("/api/messages", "localhost:1", "Authorization: Bearer "+token),
		request("/api/messages", "localhost:1", "Sec-Fetch-Site: same-origin", "Cookie: "+name+"="+key),
		request("/api/messages", "localhost:1", "Sec-Fetch-Site: same-origin", "Authorization: Bearer wrong", "Cookie: "+name+"="+token),
	} {
		if who, err := keyed.Check(r); models.CodeOf(err) != models.Unauthenticated {
			t.Errorf("%v: %+v, %v", r, who, err)
		}
	}
}

func TestSigningInNeedsTheKeyThatOthersNeed(t *testing.T) {
	tb := table(t)
	ctx := t.Context()
	secret, err := tb.CreateKey(ctx, access.Key{Name: "ada", Scope: models.ScopeWrite, Channels: "crew"})
	if err != nil {
		t.Fatal(err)
	}
	g := gate(t, Config{Key: key, Keys: tb})
	r := request(SessionPath, "localhost:1")
	for _, wrong := range []string{"", "x", key + "x", access.KeyPrefix + "x", access.SessionPrefix + "x"} {
		if _, cookie, err := g.SignIn(ctx, r, Secret(wrong), "Ada", welcome); models.CodeOf(err) != models.Unauthenticated || cookie != "" {
			t.Errorf("with %q: %q, %v", wrong, cookie, err)
		}
	}
	if _, _, err := g.SignIn(ctx, request(SessionPath, "evil.example"), key, "Ada", welcome); models.CodeOf(err) != models.Forbidden {
		t.Errorf("at a foreign name: %v", err)
	}
	refuse := func(models.Principal) error { return models.Errorf(models.Forbidden, "no") }
	if _, cookie, err := g.SignIn(ctx, r, key, "Ada", refuse); models.CodeOf(err) != models.Forbidden || cookie != "" {
		t.Errorf("unwelcome: %q, %v", cookie, err)
	}
	pair := signIn(t, g, "localhost:1", secret, "Ada")
	who, err := g.Check(request("/ws", "localhost:1", "Sec-Fetch-Site: same-origin", "Cookie: "+pair))
	if err != nil || who.Name != "key:ada" || who.Person != "Ada" || who.Admin() || who.Reads("other") || !who.Writes("crew") {
		t.Errorf("with a named key: %+v, %v", who, err)
	}
}

func TestASessionEndsWithItsKey(t *testing.T) {
	tb := table(t)
	ctx := t.Context()
	expires := models.TimeOf(time.Now().Add(time.Hour))
	secret, err := tb.CreateKey(ctx, access.Key{Name: "ada", Scope: models.ScopeWrite, ExpiresAt: expires})
	if err != nil {
		t.Fatal(err)
	}
	g := gate(t, Config{Key: key, Keys: tb})
	shared, named := signIn(t, g, "localhost:1", key, "Bob"), signIn(t, g, "localhost:1", secret, "Ada")
	check := func(g *Gate, pair string) (models.Principal, error) {
		return g.Check(request("/api/messages", "localhost:1", "Sec-Fetch-Site: same-origin", "Cookie: "+pair))
	}
	// Another process on the same database, or this one after a restart, knows them, too.
	for name, g := range map[string]*Gate{"this": g, "another": gate(t, Config{Key: key, Keys: tb})} {
		for _, pair := range []string{shared, named} {
			if who, err := check(g, pair); err != nil || who.Person == "" {
				t.Errorf("%s: %+v, %v", name, who, err)
			}
		}
		if _, until, err := g.people.Find(ctx, access.Hash(named[strings.Index(named, "=")+1:])); err != nil || until != expires {
			t.Errorf("%s: it lasts until %v, %v; the key until %v", name, until, err, expires)
		}
	}
	for what, c := range map[string]Config{"changed": {Key: key + "2", Keys: tb}, "removed": {Keys: tb}} {
		if _, err := check(gate(t, c), shared); models.CodeOf(err) != models.Unauthenticated {
			t.Errorf("the shared key was %s: %v", what, err)
		}
	}
	// What lasts on a session ends with it, wherever that happened.
	run, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- g.Run(run) }()
	defer func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}()
	end := func(pair string, act func() error) {
		t.Helper()
		who, err := check(g, pair)
		if err != nil {
			t.Fatal(err)
		}
		bound, unbind := g.Bind(ctx, who)
		defer unbind()
		if err := act(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-bound.Done():
		case <-time.After(20 * time.Second):
			t.Error("it goes on")
		}
		if _, err := check(g, pair); models.CodeOf(err) != models.Unauthenticated {
			t.Errorf("afterwards: %v", err)
		}
	}
	end(named, func() error { return tb.RevokeKey(ctx, "ada") })
	end(shared, func() error {
		cookie, err := g.SignOut(ctx, request(SessionPath, "localhost:1", "Sec-Fetch-Site: same-origin", "Cookie: "+shared))
		if !strings.Contains(cookie, "=; ") || !strings.Contains(cookie, "Max-Age=0;") {
			t.Errorf("the browser keeps %q", cookie)
		}
		return err
	})
	other := gate(t, Config{Key: key, Keys: tb})
	pair := signIn(t, other, "localhost:1", key, "Cyd")
	end(pair, func() error {
		_, err := other.SignOut(ctx, request(SessionPath, "localhost:1", "Sec-Fetch-Site: same-origin", "Cookie: "+pair))
		return err
	})
	// Whoever is no page of ours signs nobody out.
	pair = signIn(t, g, "localhost:1", key, "Dan")
	if _, err := g.SignOut(ctx, request(SessionPath, "localhost:1", "Sec-Fetch-Site: same-site", "Cookie: "+pair)); err != nil {
		t.Error(err)
	}
	if _, err := check(g, pair); err != nil {
		t.Errorf("signed out by another page: %v", err)
	}
}

func TestAPersonIsToldWhoSheIs(t *testing.T) {
	g := gate(t, Config{Key: key, Keys: table(t)})
	pair := signIn(t, g, "localhost:1", key, "Ada")
	for what, tc := range map[string]struct {
		fields []string
		want   Person
	}{
		"nobody":          {nil, Person{KeyNeeded: true}},
		"a person":        {[]string{"Sec-Fetch-Site: same-origin", "Cookie: " + pair}, Person{Name: "Ada", Admin: true, KeyNeeded: true}},
		"who was one":     {[]string{"Sec-Fetch-Site: same-origin", "Cookie: " + pair + "x"}, Person{KeyNeeded: true}},
		"who has the key": {[]string{"Authorization: Bearer " + key}, Person{Admin: true, KeyNeeded: true}},
	} {
		if got, err := g.Person(request(SessionPath, "localhost:1", tc.fields...)); err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v; want %+v", what, got, err, tc.want)
		}
	}
	bare := gate(t, Config{Keys: table(t)})
	if got, err := bare.Person(request(SessionPath, "localhost:1")); err != nil || got != (Person{Admin: true}) {
		t.Errorf("without a key: %+v, %v", got, err)
	}
}

func TestSessionsAreForgotten(t *testing.T) {
	tb := table(t)
	g := gate(t, Config{Keys: tb})
	pair := signIn(t, g, "localhost:1", "", "Ada")
	_, token, _ := strings.Cut(pair, "=")
	s, err := tb.FindSession(t.Context(), access.Hash(token))
	if err != nil || s.Person != "Ada" || s.ExpiresAt-s.CreatedAt != models.Time(access.SessionLasts.Milliseconds()) {
		t.Errorf("%+v, %v", s, err)
	}
	if strings.Contains(token, s.Hash) || len(token) < len(access.SessionPrefix)+26 {
		t.Errorf("the token %q tells too much or is too short", token)
	}
}

func urlOf(path string) *url.URL {
	u, err := url.Parse(path)
	if err != nil {
		panic(err)
	}
	return u
}
