package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"crosstalk/internal/browser"
)

const signinKey = "a-key-of-the-hub"

// signinHub is a hub that knows where it is reached, so that clients can sign in.
func signinHub(t *testing.T) (r *running, serverURL string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	serverURL = "http://" + addr
	env := func(name string) string {
		return map[string]string{"MCP_API_KEY": signinKey, "CROSSTALK_ADDR": addr}[name]
	}
	return start(t, dbIn(t), env, "--server-url", serverURL), serverURL
}

// signin is a client as a program would write it by hand.
type signin struct {
	*http.Client
	t   *testing.T
	hub string
}

func newSignin(t *testing.T, hub string) *signin {
	c := client(t)
	c.Jar, _ = cookiejar.New(nil)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &signin{c, t, hub}
}

// register returns the id of a new client without a secret.
func (s *signin) register(redirect string) string {
	s.t.Helper()
	var got struct {
		ClientID string `json:"client_id"`
	}
	body := map[string]any{"client_name": "Claude", "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "none"}
	if status := call(s.t, s.Client, s.hub+"/oauth/register", body, &got); status != http.StatusCreated {
		s.t.Fatalf("register: %d", status)
	}
	return got.ClientID
}

const (
	signinVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	signinChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func (s *signin) ask(id, redirect string) string {
	return s.hub + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {id}, "redirect_uri": {redirect}, "state": {"st"}, "scope": {"read write"},
		"code_challenge": {signinChallenge}, "code_challenge_method": {"S256"}, "resource": {s.hub + "/mcp"},
	}.Encode()
}

// consent does what a person does at the page, and returns where they are sent.
func (s *signin) consent(page, key string) string {
	s.t.Helper()
	res, err := s.Get(page)
	if err != nil {
		s.t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	v := url.Values{"key": {key}, "answer": {"allow"}, "access": {"write"}}
	for _, m := range regexp.MustCompile(`type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		v.Set(m[1], html.UnescapeString(m[2]))
	}
	res, err = s.PostForm(s.hub+"/oauth/authorize", v)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("consent: %d\n%s", res.StatusCode, text)
	}
	return res.Header.Get("Location")
}

type signinTokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
}

func (s *signin) exchange(v url.Values) (tokens signinTokens) {
	s.t.Helper()
	res, err := s.PostForm(s.hub+"/oauth/token", v)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&tokens); err != nil {
		s.t.Fatal(err)
	}
	return tokens
}

func (s *signin) redeem(id, location string) signinTokens {
	s.t.Helper()
	to, err := url.Parse(location)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.exchange(url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "client_id": {id}, "code_verifier": {signinVerifier}})
}

// tool calls a tool over /mcp with a token and returns the status and the answer.
func (s *signin) tool(token, name, args string) (int, string) {
	s.t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `","arguments":` + args + `}}`
	req, err := http.NewRequestWithContext(s.t.Context(), "POST", s.hub+"/mcp", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Session-Id", "session-of-"+name)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := s.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestSignInFromTheCommandLineToTheTool(t *testing.T) {
	const callback = "https://claude.ai/api/mcp/auth_callback"
	r, hub := signinHub(t)
	s := newSignin(t, hub)
	made := func(args ...string) string {
		t.Helper()
		var out, errs lines
		env := func(name string) string {
			return map[string]string{"CROSSTALK_URL": hub, "CROSSTALK_KEY": signinKey}[name]
		}
		if err := run(t.Context(), args, env, strings.NewReader(""), &out, &errs); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, &errs)
		}
		return strings.TrimSpace(out.String())
	}
	invite := made("invites", "create", "anna", "--channels", "team-*", "--uses", "2")
	id := s.register(callback)
	tokens := s.redeem(id, s.consent(s.ask(id, callback), invite))
	if status, text := s.tool(tokens.Access, "register", `{"instance_id":"anna-1"}`); status != 200 || !strings.Contains(text, "Registered as") {
		t.Errorf("register: %d %s", status, text)
	}
	if _, text := s.tool(tokens.Access, "send_message", `{"channel":"team-a","sender":"anna-1","content":"hi"}`); !strings.Contains(text, "sent to #team-a") {
		t.Errorf("in a channel of the invite: %s", text)
	}
	if _, text := s.tool(tokens.Access, "send_message", `{"channel":"general","sender":"anna-1","content":"hi"}`); strings.Contains(text, "sent to") {
		t.Errorf("in another channel: %s", text)
	}
	if status := call(t, s.Client, hub+"/api/channels", nil, nil, "Authorization", "Bearer "+tokens.Access); status != 401 {
		t.Errorf("the token at another door: %d", status)
	}
	if list := made("invites", "list"); !strings.Contains(list, "anna") || !strings.Contains(list, "team-*") || strings.Contains(list, invite) {
		t.Errorf("list: %s", list)
	}
	made("invites", "revoke", "anna")
	for begun := time.Now(); ; <-time.After(50 * time.Millisecond) {
		status, _ := s.tool(tokens.Access, "list_channels", `{}`)
		if status == http.StatusUnauthorized {
			break
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("the invite is revoked, and its token still opens: %d", status)
		}
	}
	if got := s.exchange(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}, "client_id": {id}}); got.Error != "invalid_grant" {
		t.Errorf("and is refreshed: %+v", got.Error)
	}
	audit := made("audit", "--json")
	for _, want := range []string{
		`"action":"create_invite","subject":"anna"`, `"action":"revoke_invite","subject":"anna"`,
		`"principal":"invite:anna","person":"","address":"127.0.0.1","action":"connect_app"`,
	} {
		if !strings.Contains(audit, want) {
			t.Errorf("no %s among\n%s", want, audit)
		}
	}
	for _, secret := range []string{invite, tokens.Access, tokens.Refresh, signinKey} {
		if strings.Contains(r.stderr.String()+r.stdout.String(), secret) {
			t.Errorf("a secret is in the log:\n%s", r.stderr)
		}
	}
}

func TestAPersonSignsInWithABrowser(t *testing.T) {
	_, hub := signinHub(t)
	var came url.Values
	landed := make(chan url.Values, 1)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/callback" {
			landed <- r.URL.Query()
		}
		_, _ = io.WriteString(w, "<title>the app</title>welcome back")
	}))
	defer app.Close()
	callback := app.URL + "/callback"
	s := newSignin(t, hub)
	id := s.register(callback)
	b := browser.Start(t)
	page := b.Visit(t)
	page.Expect("favicon")
	page.Expect("403") // the wrong key
	page.Open(s.ask(id, callback))
	page.Shows("h1", "Connect “Claude” to this hub?")
	page.Shows("#target", strings.TrimPrefix(app.URL, "http://"))
	for name, dark := range map[string]bool{"light": false, "dark": true} {
		page.Dark(dark)
		if dir := os.Getenv("CROSSTALK_SHOTS"); dir != "" {
			page.Shot(filepath.Join(dir, "consent-"+name+".png"))
		}
		if got := browser.Eval[string](page, "getComputedStyle(document.body).backgroundColor"); (got == "rgb(244, 245, 247)") == dark {
			t.Errorf("%s: the ground is %s", name, got)
		}
	}
	page.Fill("#key", "wrong")
	page.Click("button[value=allow]")
	page.Shows(".bad", "no key or invite code")
	page.Fill("#label", "my-claude")
	page.Fill("#key", signinKey)
	page.Click("button[value=allow]")
	page.Shows("body", "welcome back")
	came = <-landed
	tokens := s.redeem(id, "?"+came.Encode())
	if status, text := s.tool(tokens.Access, "register", `{"instance_id":"b"}`); status != 200 || !strings.Contains(text, "Registered as") || came.Get("state") != "st" || came.Get("iss") != hub {
		t.Errorf("%v: %d %s", came, status, text)
	}
	page.Open(s.ask(id, callback))
	page.Click("button[value=deny]")
	page.Shows("body", "welcome back")
	if came = <-landed; came.Get("error") != "access_denied" || came.Has("code") {
		t.Errorf("after a no: %v", came)
	}
	framed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<iframe src="`+html.EscapeString(s.ask(id, callback))+`"></iframe>`)
	}))
	defer framed.Close()
	frame := b.Visit(t)
	frame.Open(framed.URL)
	refused := func() bool {
		return slices.ContainsFunc(frame.Complaints(), func(c string) bool { return strings.Contains(c, "frame-ancestors") })
	}
	for begun := time.Now(); !refused(); <-time.After(50 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("the page lets itself be framed: %q", frame.Complaints())
		}
	}
	frame.Expect("") // it has complained as it should
}

// mcpClients is the folder of the clients that others wrote.
func mcpClients(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "../../scripts/mcp-clients").Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("the clients that this test runs are not there: %s", failed.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestTheOfficialClientsSignIn(t *testing.T) {
	dir := mcpClients(t)
	for _, generation := range []string{"v1", "v2"} {
		t.Run(generation, func(t *testing.T) {
			_, hub := signinHub(t)
			s := newSignin(t, hub)
			cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "node"), "testdata/oauth-client.cjs", dir, generation, hub+"/mcp")
			var errs bytes.Buffer
			cmd.Stderr = &errs
			in, err1 := cmd.StdinPipe()
			out, err2 := cmd.StdoutPipe()
			if err := errors.Join(err1, err2, cmd.Start()); err != nil {
				t.Fatal(err)
			}
			told := bufio.NewScanner(out)
			next := func(what, piece string) string {
				t.Helper()
				told.Scan()
				name, text, _ := strings.Cut(told.Text(), " ")
				if name != what || !strings.Contains(text, piece) {
					_ = cmd.Process.Kill()
					_ = cmd.Wait()
					t.Fatalf("instead of %s came %q\n%s", what, told.Text(), &errs)
				}
				var s string
				_ = json.Unmarshal([]byte(text), &s)
				return s
			}
			to := s.consent(next("authorize", "/oauth/authorize"), signinKey)
			next("refused", "UnauthorizedError")
			if _, err := io.WriteString(in, to+"\n"); err != nil {
				t.Fatal(err)
			}
			next("register", "Registered as")
			next("send", "sent to #lobby")
			next("refreshed", "true")
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, &errs)
			}
		})
	}
}

func TestTheAuthorizationServerConforms(t *testing.T) {
	dir := mcpClients(t)
	_, hub := signinHub(t)
	s := newSignin(t, hub)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	id := s.register("http://127.0.0.1:" + port + "/callback")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "node"), filepath.Join(dir, "node_modules/@modelcontextprotocol/conformance/dist/index.js"),
		"authorization", "--url", hub, "--client-id", id, "--resource", hub+"/mcp", "-p", port)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	page, listens := "", false
	for told := bufio.NewScanner(out); told.Scan(); {
		all.WriteString(told.Text() + "\n")
		if strings.HasPrefix(told.Text(), hub+"/oauth/authorize") {
			page = told.Text()
		}
		listens = listens || strings.HasPrefix(told.Text(), "Callback server started")
		if listens && page != "" {
			res, err := s.Get(s.consent(page, signinKey))
			page = ""
			if err != nil {
				t.Error(err)
				break
			}
			_ = res.Body.Close()
		}
	}
	if err := cmd.Wait(); err != nil || strings.Contains(all.String(), "SKIPPED") || !strings.Contains(all.String(), "authorization-code-grant") {
		t.Errorf("%v\n%s", err, &all)
	}
	_, summary, _ := strings.Cut(all.String(), "=== SUMMARY ===")
	t.Log(summary)
}
