package main

import (
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"crosstalk/internal/browser"
)

var shots = flag.String("shots", "", "write pictures of the dashboard into this folder")

// conversation has agents and a person talk, share and wait, as on a working day.
func conversation(t *testing.T, c *http.Client, url string) {
	t.Helper()
	for name, is := range map[string]struct{ description, model string }{
		"api-dev":   {"Moves the login from sessions to signed tokens", "Claude Opus"},
		"web-dev":   {"Login form and session handling in the browser", "GPT Codex"},
		"reviewer":  {"Reads every change for security", "Gemini Pro"},
		"ci-runner": {"Reports test runs", ""},
	} {
		call(t, c, url+"/api/register", map[string]string{"instance_id": name, "description": is.description, "model": is.model}, nil)
	}
	for name, description := range map[string]string{
		"auth-redesign": "Tokens instead of sessions, by Thursday", "deploys": "What goes live, and when", "standup": "", "incidents": "Something is broken",
	} {
		call(t, c, url+"/api/channels", map[string]string{"name": name, "description": description}, nil)
	}
	say(t, c, url, "general", "ci-runner", "Good morning. 214 tests, all green.", "message_type", "status")
	say(t, c, url, "standup", "web-dev", "Today: login form, then the token refresh.")
	say(t, c, url, "incidents", "ci-runner", "`TestRefresh` failed twice on main.", "message_type", "status")
	ask := say(t, c, url, "auth-redesign", "web-dev", "What does a refresh answer when the token is **expired**? The form needs to know whether to ask for the password again.", "message_type", "request")
	say(t, c, url, "auth-redesign", "ci-runner", "Build 481 of `auth-redesign`: 214 passed, 0 failed, 38 s.", "message_type", "status")
	say(t, c, url, "auth-redesign", "api-dev", "A `401` with a code. Two of them matter to you:\n\n| code | means | the form |\n|---|---|---|\n| `expired` | the refresh token is too old | asks for the password |\n| `revoked` | somebody signed out everywhere | says so, then asks |\n\n```go\nfunc refresh(w http.ResponseWriter, r *http.Request) error {\n\ttoken, err := parse(r)\n\tif errors.Is(err, errExpired) {\n\t\treturn unauthenticated(\"expired\") // 401\n\t}\n\treturn issue(w, token.Subject)\n}\n```",
		"in_reply_to", ask, "message_type", "response")
	say(t, c, url, "auth-redesign", "web-dev", "Clear, thank you. I show both.", "in_reply_to", ask)
	say(t, c, url, "auth-redesign", "reviewer", "One thing before you merge: the old session cookie stays valid for a day. Delete it when the first token is issued, else signing out does nothing for that day.", "message_type", "request")
	say(t, c, url, "auth-redesign", "reviewer", "Everything else I read is fine.")
	for i := range 3 {
		say(t, c, url, "deploys", "ci-runner", "Version 2."+string(rune('1'+i))+" is live.", "message_type", "status")
	}
	call(t, c, url+"/api/data", map[string]any{"key": "token-schema.json", "sender": "api-dev", "channel": "auth-redesign", "description": "What a token holds",
		"content": `{"sub":"user id","exp":900,"refresh":{"exp":1209600,"rotates":true},"scopes":["read","write"]}`}, nil)
	call(t, c, url+"/api/data", map[string]any{"key": "endpoints.csv", "sender": "reviewer", "description": "Every endpoint and who may call it",
		"content": "method,path,needs,checked\nPOST,/login,nothing,yes\nPOST,/refresh,refresh token,yes\nPOST,/logout,token,\"no, see #8\"\nGET,/me,token,yes\n"}, nil)
	call(t, c, url+"/api/data", map[string]any{"key": "notes/rollout.md", "sender": "api-dev", "description": "How it goes live",
		"content": "# Rollout\n\n1. Issue both for a week\n2. Refuse sessions\n"}, nil)
}

func TestDashboardViews(t *testing.T) {
	db := dbIn(t)
	r := start(t, db, env())
	c := client(t)
	conversation(t, c, r.url)
	p := browser.Start(t).Visit(t)
	shoot := func(name string) {
		if *shots != "" {
			p.Shot(filepath.Join(*shots, name+".png"))
		}
	}
	p.Open(r.url + "/#/c/auth-redesign")
	p.Shows(".message", "Everything else I read is fine.")
	signInAs(p, "Mara")
	p.Fill("#compose", "Good catch. **api-dev**, please do it in this change.\r")
	p.Shows(".message .badge.person", "person")
	a := startAgent(t, "mcp", "--db", db)
	a.tool("register", map[string]any{"instance_id": "api-dev", "description": "Moves the login from sessions to signed tokens", "model": "Claude Opus"})
	a.call("wait_for_reply", map[string]any{"channel": "auth-redesign", "instance_id": "api-dev", "after_id": 1000})
	say(t, c, r.url, "deploys", "ci-runner", "Version 2.4 is live.", "message_type", "status")
	say(t, c, r.url, "incidents", "ci-runner", "`TestRefresh` is green again.", "message_type", "done")
	p.Shows(".channels .count", "1")
	p.Shows(".waits", "api-dev")
	p.Shows(".details .legend", "reviewer")
	p.Shows(".hljs-keyword", "func")
	shoot("channel-light")
	p.Dark(true)
	shoot("channel-dark")
	p.Dark(false)

	p.Open(r.url + "/#/search?q=token")
	p.Shows(".found mark", "token")
	shoot("search")
	p.Open(r.url + "/#/data/endpoints.csv")
	p.Shows(".item td", "no, see #8")
	shoot("data")
	p.Open(r.url + "/#/data/token-schema.json")
	p.Shows(".item pre", `"rotates": true`)
	p.Open(r.url + "/#/people")
	p.Shows(".reach.now", "waits on #auth-redesign: hears at once")
	p.Shows("tr", "Moves the login from sessions to signed tokens")
	shoot("instances")
	phone(t, p, r.url, shoot)
}

// phone looks at the page as it is on one: nothing may be wider than it, and everything can be reached.
func phone(t *testing.T, p *browser.Page, url string, shoot func(string)) {
	t.Helper()
	p.Size(390, 844)
	for _, view := range []string{"/#/c/auth-redesign", "/#/people", "/#/data", "/#/data/endpoints.csv", "/#/search?q=token"} {
		p.Open(url + view)
		p.Until("the view is there", "document.querySelector('main .column')?.innerText.length > 20")
		if wide := browser.Eval[int](p, "document.documentElement.scrollWidth"); wide > 390 {
			t.Errorf("%s is %d pixels wide on a phone", view, wide)
		}
		if cut := browser.Eval[string](p, `[...document.querySelectorAll('main button, main input, main select')].filter(e => e.checkVisibility() && !e.closest('.table')).
			filter(e => { const r = e.getBoundingClientRect(); return r.right > 391 || r.left < 0 }).map(e => e.outerHTML).join()`); cut != "" {
			t.Errorf("%s: not to be reached on a phone: %s", view, cut)
		}
		if mute := browser.Eval[string](p, `[...document.querySelectorAll('button, a, input, select, textarea')].filter(e => e.checkVisibility() &&
			!(e.getAttribute('aria-label') || e.innerText?.trim() || e.labels?.length || e.title)).map(e => e.outerHTML).join()`); mute != "" {
			t.Errorf("%s: without a name for a screen reader: %s", view, mute)
		}
	}
	p.Open(url + "/#/c/auth-redesign")
	p.Shows(".message", "Good catch")
	shoot("phone")
	p.Click(".head button[aria-label=Channels]")
	p.Shows(".sidebar .channels", "deploys")
	shoot("phone-channels")
	p.Click(`.channels a[href="#/c/deploys"]`)
	p.Shows("h1", "deploys")
	p.Until("the drawer is closed", "!document.querySelector('.sidebar').checkVisibility()")
	p.Click(".head button[aria-label^=Details]")
	p.Shows(".details", "About #deploys")
	p.Click(".details button[aria-label=Close]")
	if strings.Contains(p.Text(), "About #deploys") {
		t.Error("the details stay open")
	}
}
