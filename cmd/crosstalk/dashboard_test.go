package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crosstalk/internal/browser"
)

// TestDashboard has people use the page in a real browser, against a real hub.
func TestDashboard(t *testing.T) {
	b := browser.Start(t)
	for name, test := range map[string]func(*testing.T, *browser.Browser){
		"pages and a REST client talk":             pagesTalk,
		"an agent hears a person":                  agentHearsPerson,
		"an agent is refused while paused":         agentIsRefused,
		"a channel keeps what it is told to":       channelKeeps,
		"a restart loses nothing":                  restartLosesNothing,
		"what others write stays text":             strangersStayText,
		"a key is asked for once":                  keyIsAskedForOnce,
		"rights are kept":                          rightsAreKept,
		"the reader's place is kept":               placeIsKept,
		"data is shared, seen and deleted":         dataIsShared,
		"a link leads to its message":              linkLeads,
		"chosen channels notify":                   chosenChannelsNotify,
		"what cannot be done is said and kept":     troubleIsSaid,
		"a session that ended leaves the hub open": endedSession,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// say posts a message with all that a sender can choose.
func say(t *testing.T, c *http.Client, url, channel, sender, content string, more ...any) int64 {
	t.Helper()
	body := map[string]any{"channel": channel, "sender": sender, "content": content}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	var got receipt
	if status := call(t, c, url+"/api/messages", body, &got); status != http.StatusOK {
		t.Fatalf("say: %d %s", status, got.Error)
	}
	return got.ID
}

// signInAs makes the visitor a person with a name.
func signInAs(p *browser.Page, name string) {
	p.Click(".self .who")
	p.Fill("dialog [name=name]", name)
	p.Click("dialog .primary")
	p.Shows(".self .who", name)
	p.Until("the question is closed", "!document.querySelector('dialog')")
}

func pagesTalk(t *testing.T, b *browser.Browser) {
	r := start(t, dbIn(t), env())
	c := client(t)
	first := say(t, c, r.url, "auth", "alice", "Which **port**?", "message_type", "request")
	mara, noor := b.Visit(t), b.Visit(t)
	for _, p := range []*browser.Page{mara, noor} {
		p.Open(r.url + "/#/c/auth")
		p.Shows(".message", "Which port?")
		p.Shows(".message .badge", "request")
	}
	say(t, c, r.url, "auth", "bob", "Port `8787`.", "in_reply_to", first, "message_type", "response")
	mara.Shows(".replies .message", "Port 8787.")

	signInAs(mara, "Mara")
	mara.Fill("#compose", "Thank you **both**.\r")
	noor.Shows(".message", "Thank you both.")
	noor.Shows(".message .badge.person", "person")

	noor.Type("jr") // the newest message, reply
	noor.Until("it asks for a name first", "document.activeElement.name === 'name'")
	noor.Fill("dialog [name=name]", "Noor")
	noor.Click("dialog .primary")
	noor.Shows(".composer .context", "Thank you both.")
	noor.Until("the caret is there", "document.activeElement.id === 'compose'")
	noor.Type("You are welcome\r")
	mara.Shows(".replies .message", "You are welcome")
	var got struct {
		Messages []struct {
			Sender, Kind string
			InReplyTo    *int64 `json:"in_reply_to"`
		}
	}
	call(t, c, r.url+"/api/messages/auth", nil, &got)
	if last := got.Messages[len(got.Messages)-1]; len(got.Messages) != 4 || last.Sender != "Noor" || last.Kind != "human" || last.InReplyTo == nil || *last.InReplyTo != first+2 {
		t.Errorf("stored: %+v", got.Messages)
	}

	// Others hear that there is more elsewhere, and find it.
	say(t, c, r.url, "ops", "carol", "elsewhere, with a rareword in it")
	mara.Shows(".channels a.fresh .count", "1")
	if title := browser.Eval[string](mara, "document.title"); !strings.HasPrefix(title, "(1) #auth") {
		t.Errorf("the title is %q", title)
	}
	mara.Type("\u001b/") // out of the composer first
	mara.Until("the slash leads to the search", "document.activeElement.id === 'search'")
	for range 3 { // the slash itself may still be on its way to where the caret now is
		mara.Fill("#search", "rareword")
		if browser.Eval[string](mara, "document.querySelector('#search').value") == "rareword" {
			break
		}
	}
	mara.Shows(".found mark", "rareword")
	mara.Click(".found")
	mara.Shows(".message.target", "elsewhere")
	mara.Until("what was seen is read", "!document.querySelector('.channels .count')")

	mara.Click("button[aria-label='Create a channel']")
	mara.Fill("dialog [name=name]", "New Plans")
	mara.Click("dialog .primary")
	mara.Shows("h1", "new-plans")
	mara.Shows(".nothing", "Nothing has been said in #new-plans yet.")
	mara.Fill("#compose", "done with this")
	browser.Eval[bool](mara, "(s => { s.value = 'done'; s.dispatchEvent(new Event('change', { bubbles: true })); return true })(document.querySelector('.composer select'))")
	mara.Click(".composer .primary")
	noor.Shows(".channels a.fresh", "new-plans")
	mara.Shows(".message .badge.done", "done")
	staysAtHome(t, mara, r.url)
}

// staysAtHome fails if a page called for anything but the hub.
func staysAtHome(t *testing.T, p *browser.Page, url string) {
	t.Helper()
	for _, asked := range p.Asked() {
		if rest, ok := strings.CutPrefix(asked, url); !ok || !strings.HasPrefix(rest, "/") {
			t.Errorf("the page asked for %s", asked)
		}
	}
}

func agentHearsPerson(t *testing.T, b *browser.Browser) {
	db := dbIn(t)
	r := start(t, db, env())
	a := startAgent(t, "mcp", "--db", db)
	a.tool("register", map[string]any{"instance_id": "coder", "description": "Mends the <b>login</b>"})
	wait := a.call("wait_for_reply", map[string]any{"channel": "help", "instance_id": "coder"})
	p := b.Visit(t)
	p.Open(r.url + "/#/c/help")
	p.Shows(".waits", "coder waits")
	signInAs(p, "Mara")
	p.Fill("#compose", "Please use the other branch\r")
	answer := a.answer(wait)
	has(t, answer, "Please use the other branch")
	has(t, answer, "Mara")
	has(t, answer, "human")
	p.Open(r.url + "/#/people")
	p.Shows("td", "Mends the <b>login</b>")
	p.Shows("tr[data-instance=coder]", "connected: hears at once if it listens")
	c := client(t)
	call(t, c, r.url+"/api/register", map[string]string{"instance_id": "forgotten"}, nil)
	p.Shows("tr", "forgotten")
	p.Click("tr[data-instance=forgotten] button")
	p.Shows("dialog", "forgotten")
	p.Click("dialog .danger")
	p.Until("the name is free", "!document.querySelector('tr[data-instance=forgotten]')")
	p.Reload()
	p.Shows("tr", "coder")
	if p.Count("tr[data-instance=forgotten]") != 0 {
		t.Error("it is back after a reload")
	}
}

func chosenChannelsNotify(t *testing.T, b *browser.Browser) {
	r := start(t, dbIn(t), env())
	c := client(t)
	for _, ch := range []string{"loud", "quiet", "here"} {
		say(t, c, r.url, ch, "alice", "first in "+ch)
	}
	p := b.Visit(t)
	p.Open(r.url + "/#/c/loud")
	p.Shows(".line.live", "live")
	// A browser without a screen has no notifications: this one writes them down.
	browser.Eval[bool](p, `(window.notes = [], window.Notification = class { static permission = 'default'
		static async requestPermission() { return Notification.permission = 'granted' }
		constructor(title, options) { window.notes.push(title + ': ' + options.body) } close() {} }, true)`)
	p.Click(".details .buttons button:first-child")
	p.Shows(".details .buttons", "Notifying")
	p.Click(".channels a[href='#/c/here']")
	p.Shows(".message", "first in here")
	say(t, c, r.url, "quiet", "bob", "not for you")
	say(t, c, r.url, "loud", "bob", "**for** you")
	p.Until("it notifies", "window.notes.length > 0")
	if notes := browser.Eval[[]string](p, "window.notes"); len(notes) != 1 || notes[0] != "bob in #loud: for you" {
		t.Errorf("it notified %q", notes)
	}
}

func agentIsRefused(t *testing.T, b *browser.Browser) {
	db := dbIn(t)
	r := start(t, db, env())
	c := client(t)
	say(t, c, r.url, "work", "coder", "going on")
	a := startAgent(t, "mcp", "--db", db)
	p := b.Visit(t)
	p.Open(r.url + "/#/c/work")
	p.Shows(".message", "going on")
	signInAs(p, "Mara")
	p.Click(".details .buttons button:nth-child(2)")
	p.Fill("dialog [name=reason]", "wait for <i>my</i> review")
	p.Click("dialog .primary")
	p.Shows(".composer.paused", "wait for <i>my</i> review")
	has(t, a.tool("send_message", map[string]any{"channel": "work", "sender": "coder", "content": "still here"}), "wait for <i>my</i> review")
	var got receipt
	if status := call(t, c, r.url+"/api/messages", map[string]any{"channel": "work", "sender": "coder", "content": "still here"}, &got); status != http.StatusConflict {
		t.Errorf("answered %d %+v", status, got)
	}
	p.Click(".composer.paused .primary")
	p.Shows(".composer", "Send")
	has(t, a.tool("send_message", map[string]any{"channel": "work", "sender": "coder", "content": "on again"}), "sent to #work")
	p.Shows(".message", "on again")
}

func channelKeeps(t *testing.T, b *browser.Browser) {
	r := start(t, dbIn(t), env())
	c := client(t)
	for range 103 {
		say(t, c, r.url, "builds", "ci", "done")
	}
	p := b.Visit(t)
	p.Open(r.url + "/#/c/builds")
	p.Shows(".details .keeps", "Keeps what the hub keeps")
	signInAs(p, "Mara")
	choose := func(how string) {
		p.Click(".details .keeps button")
		p.Shows("dialog", "What #builds keeps")
		p.Until("it is chosen", `(() => { const s = document.querySelector('dialog select'); s.value = '`+how+`'; s.dispatchEvent(new Event('change', { bubbles: true })); return true })()`)
	}
	choose("some")
	p.Shows("dialog", "cannot be undone")
	p.Click("dialog .danger")
	p.Shows("dialog .error", "Give a number of days, of messages, or both.")
	p.Fill("dialog [name=days]", "7")
	p.Fill("dialog [name=messages]", "100")
	if *shots != "" {
		p.Shot(filepath.Join(*shots, "keep-light.png"))
		p.Dark(true)
		p.Shot(filepath.Join(*shots, "keep-dark.png"))
		p.Dark(false)
	}
	p.Click("dialog .danger")
	p.Shows(".details .keeps", "Keeps 7 days, of these the newest 100 messages")
	if *shots != "" {
		p.Shot(filepath.Join(*shots, "kept-light.png"))
	}
	eventually(t, func() bool {
		var got page
		call(t, c, r.url+"/api/messages/builds?after_id=0&limit=200", nil, &got)
		return len(got.Messages) == 100
	})
	choose("all")
	p.Click("dialog .primary")
	p.Shows(".details .keeps", "Keeps everything")
	choose("hub")
	p.Click("dialog .danger")
	p.Shows(".details .keeps", "Keeps what the hub keeps")
}

func restartLosesNothing(t *testing.T, b *browser.Browser) {
	db := dbIn(t)
	hub := spawn(t, db)
	c := client(t)
	say(t, c, hub.url, "auth", "alice", "before")
	p := b.Visit(t)
	p.Expect("net::ERR_") // of what the hub was asked when it was killed, and while it is away
	p.Expect("WebSocket connection to")
	p.Open(hub.url + "/#/c/auth")
	p.Shows(".message", "before")
	signInAs(p, "Mara")
	p.Shows(".line.live", "live")
	p.Fill("#compose", "half a thought")
	hub.exited(t, os.Kill)
	p.Shows(".banner", "Nothing is lost")
	p.Type(", and the rest\r")
	p.Shows(".composer .error", "cannot be reached")

	again := spawnAt(t, strings.TrimPrefix(hub.url, "http://"), db)
	for i := range 5 {
		say(t, c, again.url, "auth", "alice", fmt.Sprintf("meanwhile %d", i))
	}
	p.Shows(".message", "meanwhile 4")
	p.Until("the banner goes", "!document.querySelector('.banner')")
	p.Click(".composer .primary")
	p.Shows(".message", "half a thought, and the rest")
	say(t, c, again.url, "auth", "alice", "after")
	p.Shows(".message", "after")
	if n := p.Count("[data-message]"); n != 8 {
		t.Errorf("%d messages, want 8: %s", n, p.Text())
	}
	p.Reload()
	p.Shows(".message", "after")
	p.Shows(".self .who", "Mara")
	if n := p.Count("[data-message]"); n != 8 {
		t.Errorf("%d messages after a reload, want 8", n)
	}

	// Another database in its place is shown as it is.
	again.exited(t, os.Kill)
	other := spawnAt(t, strings.TrimPrefix(hub.url, "http://"), dbIn(t))
	p.Expect("401") // who was signed in there is nobody here
	say(t, c, other.url, "auth", "zoe", "a new beginning")
	p.Shows(".message", "a new beginning")
	if n := p.Count("[data-message]"); n != 1 {
		t.Errorf("%d messages of another database, want 1", n)
	}
}
