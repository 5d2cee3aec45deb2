package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOnlySafeAddressesAreTaken(t *testing.T) {
	for uri, ok := range map[string]bool{
		claude:                                             true,
		"https://a.example/":                               true,
		"https://a.example:8443/cb?x=1":                    true,
		"https://xn--80ak6aa92e.com/cb":                    true,
		"http://localhost/cb":                              true,
		"http://localhost:4567/cb":                         true,
		"http://127.0.0.1:4567/cb":                         true,
		"http://[::1]:4567/cb":                             true,
		"cursor://anysphere.cursor-mcp/callback":           true,
		"vscode://vscode.github-authentication":            true,
		"http://a.example/cb":                              false, // in the clear
		"http://localhost.evil.example/cb":                 false,
		"http://localhost@evil.example/cb":                 false,
		"http://0.0.0.0/cb":                                false,
		"http://192.168.1.1/cb":                            false,
		"https://user@a.example/cb":                        false,
		"https://a.example@evil.example/cb":                false,
		"https://a.example/cb#x":                           false,
		"https://a.example/cb#":                            false,
		"https://":                                         false,
		"https:///cb":                                      false,
		"https:cb":                                         false,
		"https://a.example:/cb":                            false,
		"https://a.example\\@evil.example/":                false,
		"https://a example/cb":                             false,
		"https://a.example/c\nb":                           false,
		"https://аррӏе.example/cb":                         false, // not encoded
		"https://a;b.example/cb":                           false,
		"https://a.example,evil.example/cb":                false,
		"https://a'.example/cb":                            false,
		"javascript://a.example/%0aalert(1)":               false,
		"javascript:alert(1)":                              false,
		"JAVASCRIPT:alert(1)":                              false,
		"data:text/html,x":                                 false,
		"file:///etc/passwd":                               false,
		"ftp://a.example/cb":                               false,
		"cursor:callback":                                  false,
		"cursor://":                                        false,
		"unknown://a.example/cb":                           false,
		"//a.example/cb":                                   false,
		"/cb":                                              false,
		"":                                                 false,
		"https://a.example/" + strings.Repeat("x", maxURI): false,
	} {
		if _, err := parseRedirect(uri); (err == nil) != ok {
			t.Errorf("%.80q: %v", uri, err)
		}
	}
}

func TestAnAddressFitsToTheLetterButForAPortOfThisMachine(t *testing.T) {
	for _, tc := range []struct {
		known, asked string
		ok           bool
	}{
		{claude, claude, true},
		{claude, claude + "/", false},
		{claude, claude + "?x=1", false},
		{claude, "https://claude.ai/api/mcp/../mcp/auth_callback", false},
		{claude, "https://CLAUDE.ai/api/mcp/auth_callback", false},
		{claude, "https://claude.ai:443/api/mcp/auth_callback", false},
		{"https://a.example:1/cb", "https://a.example:2/cb", false},
		{"http://localhost/cb", "http://localhost:4567/cb", true},
		{"http://localhost:1/cb", "http://localhost:4567/cb", true},
		{"http://localhost:1/cb", "http://localhost/cb", true},
		{"http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb", true},
		{"http://[::1]:1/cb", "http://[::1]:2/cb", true},
		{"http://localhost:1/cb", "http://127.0.0.1:1/cb", false},
		{"http://localhost:1/cb", "http://localhost:2/cb/", false},
		{"http://localhost:1/cb", "http://localhost:2/cb?x", false},
		{"http://localhost:1/cb?x", "http://localhost:2/cb?x", true},
		{"http://localhost:1/cb", "https://localhost:2/cb", false},
		{"cursor://a:1/cb", "cursor://a:2/cb", false},
	} {
		if got := matches(tc.known, tc.asked); got != tc.ok {
			t.Errorf("registered %s, asked for %s: %v", tc.known, tc.asked, got)
		}
	}
}

func TestNobodyIsSentOnBeforeTheyHaveDecided(t *testing.T) {
	d := newDesk(t, base)
	id := d.public(claude)
	twice := asks(id, claude)
	twice.Add("state", "another")
	resources := asks(id, claude)
	resources.Add("resource", base+"/sse")
	for name, tc := range map[string]struct {
		v    url.Values
		told string // what a link would tell the client; empty: it must not be told
	}{
		"unknown client":        {asks("client-unknown", claude), ""},
		"no client":             {asks("", claude), ""},
		"no address":            {asks(id, ""), ""},
		"another address":       {asks(id, "https://evil.example/cb"), ""},
		"a longer address":      {asks(id, claude+"/x"), ""},
		"an address of scripts": {asks(id, "javascript:alert(1)"), ""},
		"state twice":           {twice, ""},
		"two resources":         {resources, ""},
		"token":                 {asks(id, claude, "response_type", "token"), "unsupported_response_type"},
		"no type":               {asks(id, claude, "response_type", ""), "unsupported_response_type"},
		"fragment":              {asks(id, claude, "response_mode", "fragment"), "invalid_request"},
		"form_post":             {asks(id, claude, "response_mode", "form_post"), "invalid_request"},
		"plain":                 {asks(id, claude, "code_challenge_method", "plain"), "invalid_request"},
		"no method":             {asks(id, claude, "code_challenge_method", ""), "invalid_request"},
		"no challenge":          {asks(id, claude, "code_challenge", ""), "invalid_request"},
		"short challenge":       {asks(id, claude, "code_challenge", "abc"), "invalid_request"},
		"padded challenge":      {asks(id, claude, "code_challenge", proof+"="), "invalid_request"},
		"foreign resource":      {asks(id, claude, "resource", "https://evil.example/mcp"), "invalid_target"},
		"the whole hub":         {asks(id, claude, "resource", base), "invalid_target"},
		"request object":        {asks(id, claude, "request", "x"), "request_not_supported"},
		"request by address":    {asks(id, claude, "request_uri", "https://evil.example/"), "request_uri_not_supported"},
		"long state":            {asks(id, claude, "state", strings.Repeat("x", 10000)), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			form := tc.v
			res := d.do("GET", "/oauth/authorize?"+form.Encode(), nil)
			page := text(res)
			if res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" || !strings.Contains(page, "This did not work") {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
			if linked := strings.Contains(page, "error="+tc.told); tc.told == "" && strings.Contains(page, "href") || tc.told != "" && !linked {
				t.Errorf("the client would be told otherwise than %q:\n%s", tc.told, page[strings.Index(page, "<main>"):])
			}
			form.Set("key", d.alice)
			form.Set("answer", "allow")
			if res := d.do("POST", "/oauth/authorize", form); res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" {
				t.Errorf("as a form: %d %v", res.StatusCode, res.Header)
			}
		})
	}
}

func TestOnlyTheHubsOwnFormCounts(t *testing.T) {
	d := newDesk(t, base)
	id := d.public(claude)
	form := d.page(asks(id, claude))
	form.Set("key", d.alice)
	form.Set("answer", "allow")
	refused := func(name string, form url.Values, header ...string) {
		t.Helper()
		res := d.do("POST", "/oauth/authorize", form, header...)
		if res.StatusCode != http.StatusForbidden || res.Header.Get("Location") != "" {
			t.Errorf("%s: %d %v", name, res.StatusCode, res.Header)
		}
	}
	refused("another site's page", form, "Sec-Fetch-Site", "cross-site")
	refused("a neighbour's page", form, "Sec-Fetch-Site", "same-site")
	refused("another origin", form, "Origin", "https://evil.example")
	refused("no origin", form, "Origin", "null")
	guessed := url.Values{}
	for k, v := range form {
		guessed[k] = v
	}
	guessed.Set("form", strings.Repeat("A", 26))
	refused("a guessed token", guessed)
	guessed.Del("form")
	refused("no token", guessed)
	jar := d.jar
	d.jar = emptyJar()
	refused("no cookie", form)
	d.jar = jar
	for name, header := range map[string][]string{"a browser": {"Sec-Fetch-Site", "same-origin", "Origin", base}, "an old browser": {"Origin", base}} {
		if res := d.do("POST", "/oauth/authorize", form, header...); res.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
}

func TestWhoeverSaysNoSendsTheClientAway(t *testing.T) {
	d := newDesk(t, base)
	told := d.decide(d.page(asks(d.public(claude), claude)), "", "answer", "deny")
	want := url.Values{"error": {"access_denied"}, "error_description": {"the person at the hub said no"}, "state": {"s t/&?="}, "iss": {base}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

func TestTheAnswerKeepsTheAddresssOwnQuery(t *testing.T) {
	d := newDesk(t, base)
	uri := "https://a.example/cb?tenant=a%2Fb&x"
	res := d.do("GET", "/oauth/authorize?"+asks(d.public(uri), uri).Encode(), nil)
	form := formIn(text(res))
	form.Set("key", d.alice)
	form.Set("answer", "allow")
	if to := d.do("POST", "/oauth/authorize", form).Header.Get("Location"); !strings.HasPrefix(to, uri+"&code=ctc_") {
		t.Errorf("sent to %s", to)
	}
}

func TestAWrongKeyIsRefusedAndSlowedDown(t *testing.T) {
	d := newDesk(t, base)
	form := d.page(asks(d.public(claude), claude))
	d.addr = "198.51.100.7:1"
	try := func(key string) *http.Response {
		form.Set("key", key)
		form.Set("answer", "allow")
		form.Set("label", "mine")
		return d.do("POST", "/oauth/authorize", form)
	}
	for i, key := range []string{"", "wrong", d.alice[1:], strings.ToUpper(d.alice), d.alice + "x", "ctk_", "\x00", "' OR 1=1 --", strings.Repeat("x", 60000)} {
		res := try(key)
		page := text(res)
		if res.StatusCode != http.StatusForbidden || !strings.Contains(page, `value="mine"`) || len(key) > 3 && strings.Contains(page, key) {
			t.Errorf("attempt %d: %d\n%s", i, res.StatusCode, page)
		}
	}
	if res := try(d.alice); res.StatusCode != http.StatusSeeOther {
		t.Errorf("the right one: %d", res.StatusCode)
	}
	if res := try(d.alice); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("after ten attempts: %d", res.StatusCode)
	}
	d.addr = "[2001:db8::1]:1"
	for range 10 {
		try("wrong")
	}
	d.addr = "[2001:db8::ffff:2]:1"
	if res := try(d.alice); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("from another address of the same network: %d", res.StatusCode)
	}
	d.addr = "[2001:db8:0:1::1]:1"
	if res := try(d.alice); res.StatusCode != http.StatusSeeOther {
		t.Errorf("from another network: %d", res.StatusCode)
	}
}

func TestTheMeterCountsForOneAndForAll(t *testing.T) {
	m := newMeter(time.Minute, 3, time.Second, 2)
	now := time.Unix(1e9, 0)
	for i, try := range []struct {
		address string
		wait    time.Duration
	}{
		{"a", 0}, {"a", 0}, {"a", time.Second}, {"b", 0}, // a's third did not count for all
		{"b", time.Minute}, {"c", time.Minute},
	} {
		if got := m.wait(try.address, now); got != try.wait {
			t.Errorf("%d, %s: wait %s, want %s", i, try.address, got, try.wait)
		}
	}
	if got := m.wait("b", now.Add(time.Minute)); got != 0 {
		t.Errorf("in time: wait %s", got)
	}
}

func TestThePageShowsWhatOthersSayAsText(t *testing.T) {
	d := newDesk(t, base)
	hostile := `</style></title><script>alert(1)</script>"><img src=x onerror=alert(1)>`
	r := d.register(`{"client_name": "` + strings.ReplaceAll(hostile, `"`, `\"`) + `\u202egnp.exe\u0000\n\u200b", "redirect_uris": ["https://xn--80ak6aa92e.com/cb"]}`)
	v := asks(r["client_id"].(string), "https://xn--80ak6aa92e.com/cb", "state", hostile)
	res := d.do("GET", "/oauth/authorize?"+v.Encode(), nil)
	page := text(res)
	for _, piece := range []string{"<script", "<img", "\u202e", "\u200b", "\x00"} {
		if strings.Contains(page, piece) {
			t.Errorf("%q is on the page:\n%s", piece, page)
		}
	}
	for _, piece := range []string{`<b id="target">xn--80ak6aa92e.com</b>`, "letters that can pass for others", "nobody vouches"} {
		if !strings.Contains(page, piece) {
			t.Errorf("%q is not on the page:\n%s", piece, page)
		}
	}
	if got := formIn(page).Get("state"); got != hostile {
		t.Errorf("the state became %q", got)
	}
	h := res.Header
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self' https://xn--80ak6aa92e.com"} {
		if !strings.Contains(h.Get("Content-Security-Policy"), part) {
			t.Errorf("the policy is %q", h.Get("Content-Security-Policy"))
		}
	}
	if h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("head: %v", h)
	}
	cookie := h.Get("Set-Cookie")
	for _, part := range []string{"__Host-crosstalk-form=", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie is %q", cookie)
		}
	}
}

func TestThePageWarnsOfPlacesThatAreNotKnown(t *testing.T) {
	d := newDesk(t, base)
	for uri, want := range map[string]string{
		claude:                                  "",
		"https://chatgpt.com/connector/oauth/x": "",
		"https://claude.ai.evil.example/cb":     `id="foreign"`,
		"https://evil.example/claude.ai":        `id="foreign"`,
		"http://localhost:1234/cb":              "a program on your own device",
		"cursor://anysphere.cursor-mcp/cb":      "<b id=\"target\">cursor://anysphere.cursor-mcp</b>, a program on your own device",
	} {
		res := d.do("GET", "/oauth/authorize?"+asks(d.public(uri), uri).Encode(), nil)
		page := text(res)
		warns := strings.Contains(page, `class="note"`)
		if warns != (want != "") || !strings.Contains(page, want) {
			t.Errorf("%s: warns %v\n%s", uri, warns, page)
		}
	}
}
