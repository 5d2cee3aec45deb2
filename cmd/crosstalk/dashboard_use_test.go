package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"crosstalk/internal/browser"
)

// hostileTexts are texts that become something else in careless pages. Each sets window.hit, or calls another host.
var hostileTexts = []string{
	`<img src=x onerror="window.hit=1"> <script>window.hit=1</script> <svg onload="window.hit=1">`,
	`<iframe srcdoc="<script>parent.hit=1</script>"></iframe><style>main{display:none}</style><form action=//evil.example><input>`,
	`[press](javascript:window.hit=1) [or](data:text/html,<script>window.hit=1</script>) [or](vbscript:hit)`,
	`![seen](http://evil.example/seen.png) <img src="//evil.example/seen.png">`,
	"```html\n</code></pre><img src=x onerror=\"window.hit=1\">\n```\n`</code><img src=x onerror=window.hit=1>`",
	"```\"><img src=x onerror=window.hit=1>\ncode\n```",
	`<a href="javascript:window.hit=1" class="banner" style="position:fixed;inset:0">x</a> <math><mi xlink:href="javascript:window.hit=1">`,
	"| a |\n|---|\n| <img src=x onerror=window.hit=1> |\n\n<details open ontoggle=window.hit=1>\n\n[a]: javascript:window.hit=1\n[a]",
}

func strangersStayText(t *testing.T, b *browser.Browser) {
	r := start(t, dbIn(t), env())
	c := client(t)
	bad := hostileTexts[0]
	name := strings.ReplaceAll(bad, "\n", " ")
	call(t, c, r.url+"/api/channels", map[string]string{"name": "xss", "description": bad}, nil)
	call(t, c, r.url+"/api/register", map[string]string{"instance_id": name, "description": bad, "model": bad}, nil)
	for _, text := range hostileTexts {
		say(t, c, r.url, "xss", name, text)
	}
	say(t, c, r.url, "xss", name, "<b>"+strings.Repeat(hostileTexts[0]+"\n", 60)) // folded
	for key, content := range map[string]string{
		bad: bad, "x.html": strings.Join(hostileTexts, "\n"), "x.svg": `<svg xmlns="http://www.w3.org/2000/svg" onload="window.hit=1"/>`, "x.md": strings.Join(hostileTexts, "\n\n"),
		"x.csv": "a,b\n" + `"<img src=x onerror=window.hit=1>",2` + "\n", "x.json": `{"</code><img src=x onerror=window.hit=1>":1}`,
	} {
		call(t, c, r.url+"/api/data", map[string]any{"key": key, "content": content, "sender": name, "description": bad}, nil)
	}
	call(t, c, r.url+"/api/channels/xss/pause", map[string]string{"reason": bad}, nil)
	p := b.Visit(t)
	// Any element that we never make, any handler, and any link that is not what it says.
	strange := `[...document.querySelectorAll('main *, aside *, nav *')].filter(e => e.matches('img, iframe, script, style, object, embed, form:not(.composer), math, details, svg:not(.icon):not(.plot)') ||
		e.getAttributeNames().some(n => n.startsWith('on')) || e.matches('.text [style], .text .banner') ||
		e.tagName === 'A' && e.hasAttribute('href') && !/^(https?|mailto):/.test(e.protocol)).map(e => e.outerHTML).join('\n')`
	look := func(view string) {
		t.Helper()
		if got := browser.Eval[string](p, strange); got != "" {
			t.Errorf("%s holds %s", view, got)
		}
		if browser.Eval[bool](p, "'hit' in window") {
			t.Fatalf("%s ran what a stranger wrote", view)
		}
	}
	for view, shown := range map[string]string{
		"/#/c/xss": `<script>window.hit=1</script>`, "/#/people": bad, "/#/data": bad, "/#/data/x.html": "ontoggle=window.hit", "/#/data/x.svg": "onload",
		"/#/data/x.md": "<iframe srcdoc", "/#/data/x.csv": "onerror=window.hit=1>", "/#/data/x.json": "</code><img", "/#/search?q=%3Cimg+onerror": "onerror",
		"/#/c/%3Cimg%20src=x%20onerror=window.hit=1%3E": "onerror=window.hit=1", "/#/data/%3Cimg%20src=x%20onerror=hit=1%3E": "onerror=hit=1",
	} {
		p.Expect("404") // the last of them names data that is not there
		p.Expect("400") // and the one before a channel that cannot be
		p.Open(r.url + view)
		p.Shows("main", shown)
		look(view)
	}
	p.Open(r.url + "/#/c/xss")
	p.Click(".message:last-of-type .fold, .fold[data-fold]")
	p.Shows(".composer.paused", bad)
	p.Shows(".details .about", bad)
	p.Until("the code is coloured", "document.querySelector('[class^=hljs]')")
	look("a message unfolded")
	for _, href := range browser.Eval[[]string](p, `[...document.querySelectorAll('.text a[href]')].map(a => a.target + ' ' + a.rel + ' ' + a.getAttribute('href'))`) {
		if !strings.HasPrefix(href, "_blank noopener noreferrer http") {
			t.Errorf("a link is %q", href)
		}
	}
	staysAtHome(t, p, r.url)
}

func keyIsAskedForOnce(t *testing.T, b *browser.Browser) {
	const key = "s3cret-key"
	r := start(t, dbIn(t), env("MCP_API_KEY", key))
	c := client(t)
	var got receipt
	if status := call(t, c, r.url+"/api/messages", map[string]string{"channel": "auth", "sender": "alice", "content": "for members"}, &got, "Authorization", "Bearer "+key); status != 200 {
		t.Fatalf("%d %+v", status, got)
	}
	p := b.Visit(t)
	p.Expect("401")
	p.Open(r.url + "/#/c/auth")
	p.Shows(".card", "This hub has a key.")
	p.Fill("[name=key]", "wrong")
	p.Fill("[name=name]", "Mara")
	p.Click(".card .primary")
	p.Shows(".card .error", "key")
	p.Fill("[name=key]", key)
	p.Click(".card .primary")
	p.Shows(".message", "for members")
	p.Shows(".line.live", "live")
	p.Fill("#compose", "so am I\r")
	p.Shows(".message .badge.person", "person")
	p.Reload()
	p.Shows(".message", "so am I")
	if kept := browser.Eval[string](p, "document.cookie + JSON.stringify(localStorage) + location.href"); strings.Contains(kept, key) || strings.Contains(kept, "session") {
		t.Errorf("scripts can read %s", kept)
	}
	p.Click(".self button:last-child")
	p.Shows(".card", "This hub has a key.")
	if status := call(t, c, r.url+"/api/channels", nil, nil); status != http.StatusUnauthorized {
		t.Errorf("without a key it answered %d", status)
	}
}

// rightsAreKept signs in with a key that may write in some channels only.
func rightsAreKept(t *testing.T, b *browser.Browser) {
	r := start(t, dbIn(t), env("MCP_API_KEY", "s3cret-key"))
	c := client(t)
	admin := []string{"Authorization", "Bearer s3cret-key"}
	var key struct{ Key string }
	call(t, c, r.url+"/api/keys", map[string]string{"name": "mara", "scope": "write", "channels": "team-*"}, &key, admin...)
	for _, ch := range []string{"team-a", "board"} {
		call(t, c, r.url+"/api/messages", map[string]string{"channel": ch, "sender": "alice", "content": "said in " + ch}, nil, admin...)
	}
	p := b.Visit(t)
	p.Expect("401")
	p.Open(r.url + "/#/c/team-a")
	p.Fill("[name=key]", key.Key)
	p.Fill("[name=name]", "Mara")
	p.Click(".card .primary")
	p.Shows(".message", "said in team-a")
	p.Until("pausing is not for her", "document.querySelector('.details .buttons button:nth-child(2)').disabled")
	p.Fill("#compose", "mine\r")
	p.Shows(".message .badge.person", "person")
	call(t, c, r.url+"/api/messages", map[string]string{"channel": "board", "sender": "alice", "content": "secret of the board"}, nil, admin...)
	call(t, c, r.url+"/api/messages", map[string]string{"channel": "team-a", "sender": "alice", "content": "and on"}, nil, admin...)
	p.Shows(".message", "and on")
	p.Expect("403")
	p.Open(r.url + "/#/c/board")
	p.Shows("h1", "board")
	p.Until("it says why there is nothing", "document.querySelector('.scroll .error, .scroll .nothing')")
	if text := p.Text(); strings.Contains(text, "secret") || p.Count(".channels a[href='#/c/board']") != 0 {
		t.Errorf("she sees %s", text)
	}
	// When the key ends, so does all that it opened.
	call(t, c, r.url+"/api/keys/mara/revoke", map[string]string{}, nil, admin...)
	p.Shows(".card", "This hub has a key.")
}

func placeIsKept(t *testing.T, b *browser.Browser) {
	r := start(t, dbIn(t), env())
	c := client(t)
	for i := range 260 {
		say(t, c, r.url, "long", []string{"alice", "bob", "cyd"}[i%3], fmt.Sprintf("line %d of the long one", i))
	}
	p := b.Visit(t)
	p.Open(r.url + "/#/c/long")
	p.Shows(".message", "line 259 of")
	p.Until("it starts at the end", "(e => e.scrollHeight - e.scrollTop - e.clientHeight < 3)(document.querySelector('.scroll'))")
	// Up to the beginning, as far as there is something loaded, again and again. What is in view must not jump.
	browser.Eval[bool](p, `(async () => {
		const box = document.querySelector('.scroll'), frame = () => new Promise(requestAnimationFrame)
		window.jumps = []
		for (let i = 0; i < 400 && !box.innerText.includes('This is where #long begins.'); i++) {
			const row = [...box.querySelectorAll('[data-row]')].find(e => e.getBoundingClientRect().bottom > box.getBoundingClientRect().top + 40)
			const loaded = document.querySelectorAll('[data-message]').length, before = row.getBoundingClientRect().top
			await frame(); await frame()
			const moved = row.isConnected ? row.getBoundingClientRect().top - before : 0
			if (document.querySelectorAll('[data-message]').length !== loaded && Math.abs(moved) > 30) window.jumps.push(moved)
			box.scrollTop -= 150
			await frame()
		}
		return true
	})()`)
	p.Shows(".edge", "This is where #long begins.")
	p.Shows(".message", "line 0 of")
	if jumps := browser.Eval[[]float64](p, "window.jumps"); len(jumps) > 0 {
		t.Errorf("the view jumped by %v", jumps)
	}
	if n := p.Count("[data-message]"); n != 260 {
		t.Errorf("%d messages, want 260", n)
	}
	top := "document.querySelector('#m40').getBoundingClientRect().top"
	before := browser.Eval[float64](p, "(document.querySelector('#m40').scrollIntoView(), "+top+")")
	for i := range 3 {
		say(t, c, r.url, "long", "carol", fmt.Sprintf("news %d", i))
	}
	p.Shows(".latest", "3 new")
	if after := browser.Eval[float64](p, top); after-before > 2 || before-after > 2 {
		t.Errorf("the view moved from %v to %v", before, after)
	}
	p.Click(".latest")
	p.Until("the newest is in view", "(e => e && e.getBoundingClientRect().bottom < innerHeight)([...document.querySelectorAll('[data-message]')].at(-1))")
	p.Until("all is read", "!document.querySelector('.latest')")
	say(t, c, r.url, "long", "carol", "one more")
	p.Until("who is at the end stays there", "[...document.querySelectorAll('[data-message]')].at(-1).innerText.includes('one more') && (e => e.scrollHeight - e.scrollTop - e.clientHeight < 3)(document.querySelector('.scroll'))")
}

func linkLeads(t *testing.T, b *browser.Browser) {
	r := start(t, dbIn(t), env())
	c := client(t)
	var want int64
	for i := range 150 {
		if id := say(t, c, r.url, "long", "alice", fmt.Sprintf("line %d", i)); i == 30 {
			want = id
		}
	}
	p := b.Visit(t)
	p.Open(fmt.Sprintf("%s/#/c/long/m/%d", r.url, want))
	p.Shows(".message.target", "line 30")
	p.Until("it is in view", "(r => r.top > 0 && r.bottom < innerHeight)(document.querySelector('.message.target').getBoundingClientRect())")
	p.Shows(".latest", "To the newest")
	p.Click(".latest")
	p.Shows(".message", "line 149")
	if hash := browser.Eval[string](p, "location.hash"); hash != "#/c/long" {
		t.Errorf("the address is %s", hash)
	}
}

func dataIsShared(t *testing.T, b *browser.Browser) {
	r := start(t, dbIn(t), env())
	c := client(t)
	p := b.Visit(t)
	p.Open(r.url + "/#/data")
	p.Shows(".nothing", "Nothing is shared yet.")
	signInAs(p, "Mara")
	p.Click(".head button:last-of-type")
	p.Fill("dialog [name=key]", "plan/a.csv")
	p.Fill("dialog [name=content]", "who,what\rmara,\"one, two\"")
	p.Click("dialog .primary")
	p.Shows(".item td", "one, two")
	var got struct{ Content, CreatedBy string }
	if call(t, c, r.url+"/api/data/plan%2Fa.csv", nil, &got); !strings.Contains(got.Content, `mara,"one, two"`) {
		t.Errorf("stored: %+v", got)
	}
	// The same key again is refused, and what was typed stays.
	p.Expect("409")
	p.Click(".head button:last-of-type")
	p.Fill("dialog [name=key]", "plan/a.csv")
	p.Fill("dialog [name=content]", "mine")
	p.Click("dialog .primary")
	p.Until("it says why", "document.querySelector('dialog .error')?.innerText.length > 10 && document.querySelector('dialog [name=content]').value === 'mine'")
	p.Click("dialog [name=replace]")
	p.Click("dialog .primary")
	p.Shows(".item .faint", "version 2")
	p.Click(".item button:nth-of-type(3)")
	p.Shows("dialog", "plan/a.csv")
	p.Click("dialog .danger")
	p.Shows(".nothing", "Nothing is shared yet.")
	if status := call(t, c, r.url+"/api/data/plan%2Fa.csv", nil, nil); status != http.StatusNotFound {
		t.Errorf("deleted, it answers %d", status)
	}
}

// troubleIsSaid also reads another person's draft: there must be none.
func troubleIsSaid(t *testing.T, b *browser.Browser) {
	r := start(t, dbIn(t), env())
	p := b.Visit(t)
	p.Open(r.url + "/")
	p.Shows("h1", "general")
	p.Type("?")
	p.Shows("dialog", "next, previous message")
	p.Type("\u001b")
	p.Until("Escape closes it", "!document.querySelector('dialog')")
	p.Expect("400")
	p.Click(".self .who")
	p.Fill("dialog [name=name]", "system")
	p.Click("dialog .primary")
	p.Shows("dialog .error", "reserved")
	p.Fill("dialog [name=name]", "Mara")
	p.Click("dialog .primary")
	p.Until("it is closed", "!document.querySelector('dialog')")
	p.Expect("413")
	p.Click("#compose")
	browser.Eval[bool](p, "(e => { e.value = 'x'.repeat(300000); e.dispatchEvent(new Event('input', { bubbles: true })); return true })(document.querySelector('#compose'))")
	p.Click(".composer .primary")
	p.Shows(".composer .error", "content")
	if n := browser.Eval[int](p, "document.querySelector('#compose').value.length"); n != 300000 {
		t.Errorf("%d characters are left", n)
	}
	p.Fill("#compose", "short\r")
	p.Shows(".message", "short")
	p.Fill("#compose", "kept over a reload")
	p.Until("the draft is kept", "localStorage.getItem('crosstalk.drafts').includes('kept over')")
	p.Reload()
	p.Until("the draft is back", "document.querySelector('#compose')?.value === 'kept over a reload'")
}

func endedSession(t *testing.T, b *browser.Browser) {
	db := dbIn(t)
	r := start(t, db, env())
	c := client(t)
	say(t, c, r.url, "general", "alice", "open to all")
	p := b.Visit(t)
	p.Expect("401")
	p.Open(r.url + "/#/c/general")
	signInAs(p, "Mara")
	browser.Eval[bool](p, "fetch('/api/session', { method: 'DELETE' }).then(r => r.ok)")
	p.Reload()
	p.Shows(".message", "open to all")
	p.Shows(".self .who", "Choose your name")
}
