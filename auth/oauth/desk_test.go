package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"crosstalk/auth"
	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
	"crosstalk/models/store/grants"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	base      = "https://bus.example.com"
	claude    = "https://claude.ai/api/mcp/auth_callback"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	proof     = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	sharedKey = "everybody's"
)

// desk is a Server on a database of its own, with the keys that a test hands out.
type desk struct {
	*Server
	t     *testing.T
	table *grants.Table
	log   *lockedBuffer
	jar   http.CookieJar
	calls int // each comes from an address of its own, if addr is empty
	addr  string

	gate  *auth.Gate
	keys  *access.Table
	alice string        // the key of an administrator
	later time.Duration // the server's clock is ahead by this
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newDesk(t *testing.T, serverURL string) *desk {
	t.Helper()
	st, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	d := &desk{t: t, table: grants.New(st), log: &lockedBuffer{}, keys: access.New(st)}
	d.jar, _ = cookiejar.New(nil)
	d.Server = New(Options{ServerURL: serverURL, Grants: d.table, Gate: func() *auth.Gate { return d.gate }, Log: slog.New(slog.NewTextHandler(d.log, nil))})
	d.now = func() time.Time { return time.Now().Add(d.later) }
	d.gate, err = auth.New(auth.Config{Key: sharedKey, ServerURL: serverURL, Keys: d.keys, Sources: d.Sources(), Invites: d.table, Challenge: d.Challenge})
	if err != nil {
		t.Fatal(err)
	}
	d.alice = d.give("alice", models.ScopeAdmin, "")
	return d
}

// give makes a named key.
func (d *desk) give(name string, scope models.Scope, channels models.Patterns) string {
	d.t.Helper()
	key, err := d.keys.CreateKey(context.Background(), access.Key{Name: name, Scope: scope, Channels: channels})
	if err != nil {
		d.t.Fatal(err)
	}
	return key
}

// do sends a request to the server, as a browser with cookies would.
func (d *desk) do(method, target string, form url.Values, header ...string) *http.Response {
	d.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, target, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	d.calls++
	if r.RemoteAddr = d.addr; d.addr == "" {
		r.RemoteAddr = fmt.Sprintf("192.0.%d.%d:1", d.calls/250, d.calls%250)
	}
	at, _ := url.Parse(base)
	for _, c := range d.jar.Cookies(at) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	res := w.Result()
	d.jar.SetCookies(at, res.Cookies())
	return res
}

// json sends a request and decodes the answer, whose status must be want.
func (d *desk) json(want int, method, target string, form url.Values, header ...string) map[string]any {
	d.t.Helper()
	res := d.do(method, target, form, header...)
	var v map[string]any
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil || res.StatusCode != want {
		d.t.Fatalf("%s %s: %d %v, %v; want %d", method, target, res.StatusCode, v, err, want)
	}
	return v
}

// register registers a client and returns its id.
func (d *desk) register(body string) map[string]any {
	d.t.Helper()
	r := httptest.NewRequest("POST", "/oauth/register", strings.NewReader(body))
	d.calls++
	r.RemoteAddr = fmt.Sprintf("192.0.%d.%d:1", d.calls/250, d.calls%250)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusCreated {
		d.t.Fatalf("register: %d %s", w.Code, w.Body)
	}
	return v
}

func (d *desk) public(redirect string) string {
	d.t.Helper()
	return d.register(`{"client_name": "Claude", "redirect_uris": ["` + redirect + `"], "token_endpoint_auth_method": "none",
		"grant_types": ["authorization_code", "refresh_token"]}`)["client_id"].(string)
}

// asks is what a client asks for; more are names and values that differ.
func asks(id, redirect string, more ...string) url.Values {
	v := url.Values{"response_type": {"code"}, "client_id": {id}, "redirect_uri": {redirect}, "state": {"s t/&?="},
		"code_challenge": {proof}, "code_challenge_method": {"S256"}, "resource": {base + "/mcp"}}
	for i := 0; i+1 < len(more); i += 2 {
		if v.Del(more[i]); more[i+1] != "" {
			v.Set(more[i], more[i+1])
		}
	}
	return v
}

// page opens the page for what is asked, and returns its form.
func (d *desk) page(v url.Values) url.Values {
	d.t.Helper()
	res := d.do("GET", "/oauth/authorize?"+v.Encode(), nil)
	if res.StatusCode != http.StatusOK {
		d.t.Fatalf("page: %d %s", res.StatusCode, text(res))
	}
	return formIn(text(res))
}

// formIn reads the hidden fields of a page.
func formIn(page string) url.Values {
	v := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
		v.Set(m[1], html.UnescapeString(m[2]))
	}
	return v
}

func text(res *http.Response) string {
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// decide answers the page, and returns what the client is told.
func (d *desk) decide(form url.Values, key string, more ...string) url.Values {
	d.t.Helper()
	form.Set("key", key)
	form.Set("answer", "allow")
	form.Set("access", "write")
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	res := d.do("POST", "/oauth/authorize", form)
	to, err := res.Location()
	if err != nil || res.StatusCode != http.StatusSeeOther {
		d.t.Fatalf("decide: %d %s", res.StatusCode, text(res))
	}
	return to.Query()
}

// code is what a client sends for a code.
func code(id string, told url.Values, more ...string) url.Values {
	v := url.Values{"grant_type": {"authorization_code"}, "code": {told.Get("code")}, "client_id": {id},
		"code_verifier": {verifier}, "resource": {base + "/mcp"}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

func refresh(id string, tokens map[string]any) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}, "client_id": {id}}
}

// connect goes the whole way with a new client, and returns its id and tokens.
func (d *desk) connect(key string, more ...string) (id string, tokens map[string]any) {
	d.t.Helper()
	id = d.public(claude)
	told := d.decide(d.page(asks(id, claude)), key, more...)
	return id, d.json(200, "POST", "/oauth/token", code(id, told))
}

// who is who calls with an access token; its name is empty for nobody.
func (d *desk) who(tokens map[string]any) models.Principal {
	d.t.Helper()
	who, until, err := d.find(context.Background(), access.Hash(tokens["access_token"].(string)))
	if err == nil && until <= models.TimeOf(d.now()) {
		return models.Principal{} // it is known, and the gate lets nobody in with it
	}
	if code := models.CodeOf(err); code != "" && code != models.Unauthenticated {
		d.t.Fatal(err)
	}
	return who
}

// wants checks the code of an error that a client is answered with.
func (d *desk) wants(status int, code string, form url.Values, header ...string) {
	d.t.Helper()
	if v := d.json(status, "POST", "/oauth/token", form, header...); v["error"] != code || v["error_description"] == "" {
		d.t.Errorf("got %v, want %s", v, code)
	}
}

func emptyJar() http.CookieJar {
	jar, _ := cookiejar.New(nil)
	return jar
}

func bearer(path, key string) auth.Request {
	r := auth.Request{Path: path}
	if key != "" {
		r.Authorization = auth.Secret("Bearer " + key)
	}
	return r
}
