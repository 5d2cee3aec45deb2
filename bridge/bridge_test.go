package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/bridge/catalog"
	"crosstalk/hub"
	"crosstalk/models"
)

func TestEveryToolThatIsListedAnswers(t *testing.T) {
	for _, push := range []bool{false, true} {
		b := newHouse(t, Options{Push: push}).bridge
		handlers := b.tools()
		for _, tool := range catalog.Tools(push) {
			if handlers[tool.Name] == nil {
				t.Errorf("%s is listed and not answered", tool.Name)
			}
			delete(handlers, tool.Name)
		}
		if len(handlers) > 0 {
			t.Errorf("answered and not listed: %v", handlers)
		}
	}
}

// TestPhrasesStay looks for what prompts, skills and hooks match, in answers that the conversations hold
// the server to.
func TestPhrasesStay(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "| ") {
				said.WriteString(line)
			}
		}
	}
	wants(t, said.String(), `Registered as "alice"`, `Message #2 sent to #auth-dev as "alice" [request]`, "2 new message(s) in #x", "No new messages in #x",
		"Last message ID: 2", "(reply to #1)", "signaled DONE", "MUTUAL WAIT", "superseded", "do not wait again", "transport-safe ceiling", "TO KEEP LISTENING",
		"peer might also be waiting", "may be busy or offline", "No shared data found", "not found", "already in use", "Live push ON", "Live push OFF",
		"sent to #general (you last used #auth-dev)", "still nothing, call again", "Not listening: this session cannot be woken.", "nobody is here",
		"1 has it open, bob waits", "(shown before)", "does NOT wake an idle session", "role='parked'")
}

func TestDiscoveryServesTheNewRevision(t *testing.T) {
	for _, push := range []bool{false, true} {
		h := newHouse(t, Options{Push: push})
		said := h.client("c").ask(t.Context(), `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{
			"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, true)
		wants(t, said, "2026-07-28", "2025-11-25", "2024-11-05", `"instructions":"Crosstalk is`, `"name":"crosstalk"`)
		if strings.Contains(said, `"experimental":{"claude/channel":{}}`) != push {
			t.Errorf("push %t: %s", push, said)
		}
		for _, method := range []string{"tools/list", "resources/read"} {
			said = h.client("c").ask(t.Context(), fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{"uri":"crosstalk://channels","_meta":{
				"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, method), true)
			wants(t, said, `"cacheScope":"private"`, map[string]string{"tools/list": `"ttlMs":86400000`, "resources/read": `"ttlMs":0`}[method])
		}
	}
}

func TestANameIsInUseWhileItsSessionLives(t *testing.T) {
	h := newHouse(t, Options{})
	a, b, none := h.client("a"), h.client("b"), h.client("")
	gone := h.bridge.Connected("a")
	a.call("register", `{"instance_id":"bob"}`)
	for _, other := range []*client{b, none} {
		if said, wrong := other.try(t.Context(), "register", `{"instance_id":"bob"}`, true); !wrong || !strings.Contains(said, `"bob" is already in use by another live session, since 2`) || !strings.Contains(said, `instance_id="bob-2"`) {
			t.Errorf("%t: %s", wrong, said)
		}
	}
	b.call("register", `{"instance_id":"Bob-2"}`)
	if said, _ := none.try(t.Context(), "register", `{"instance_id":"bob"}`, true); !strings.Contains(said, `instance_id="bob-3"`) {
		t.Errorf("the name that is offered is not free: %s", said)
	}
	// Whoever speaks without registering is let speak, as before.
	wants(t, b.call("send_message", `{"sender":"bob","channel":"x","content":"hi"}`), "Message #1 sent")
	gone()
	wants(t, b.call("register", `{"instance_id":"bob"}`), `Registered as "bob"`)
}

func TestAProcessHoldsItsNamesUntilItLeaves(t *testing.T) {
	h := newHouse(t, Options{})
	one := &client{h: h, conn: "one", stdio: true}
	gone := h.bridge.Connected("one")
	one.call("register", `{"instance_id":"bob"}`)
	one.call("register", `{"instance_id":"ann"}`)
	wants(t, one.call("send_message", `{"sender":"bob","channel":"x","content":"first"}`), "#1 sent")
	wants(t, one.call("send_message", `{"sender":"ann","channel":"x","content":"second"}`), "#2 sent")
	wants(t, one.call("send_message", `{"sender":"eve","channel":"x","content":"third"}`), "#3 sent")
	said := h.client("c").call("check_messages", `{"channel":"x"}`)
	wants(t, said, `"bob" (agent, verified)`, `"ann" (agent, verified)`, `"eve" (agent, not verified)`)

	// Another process has a bridge of its own.
	other := &house{t: t, hub: h.hub, bridge: New(Options{Hub: h.hub})}
	two := &client{h: other, conn: "two", stdio: true}
	if said, wrong := two.try(t.Context(), "register", `{"instance_id":"bob"}`, true); !wrong || !strings.Contains(said, `"bob" is already in use by another live session, since 2`) {
		t.Errorf("%t: %s", wrong, said)
	}
	gone()
	h.bridge.Left("one", models.Principal{Name: models.SharedPrincipal, Session: "one"})
	wants(t, two.call("register", `{"instance_id":"bob"}`), `Registered as "bob"`)
	two.call("send_message", `{"sender":"bob","channel":"x","content":"fourth"}`)
	one.call("send_message", `{"sender":"bob","channel":"x","content":"fifth"}`)
	said = h.client("c").call("check_messages", `{"channel":"x","after_id":3}`)
	wants(t, said, `#4 [message] "bob" (agent, verified)`, `#5 [message] "bob" (agent, not verified)`)
	other.bridge.Left("two", models.Principal{Name: models.SharedPrincipal, Session: "two"})
}

func TestASendThatIsCancelledHalfWayIsNotSentTwice(t *testing.T) {
	h := newHouse(t, Options{})
	c := h.client("c")
	ctx, cancel := context.WithCancel(t.Context())
	// Delivery comes before the sender is answered.
	sub, err := h.hub.Subscribe(t.Context(), anyone(), hub.Subscription{Channels: []string{"x"}, Wake: cancel})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	said, _ := c.try(ctx, "send_message", `{"sender":"bob","channel":"x","content":"hi"}`, true)
	if ctx.Err() == nil {
		t.Fatal("it was not cancelled")
	}
	wants(t, said, "#1 sent")
	wants(t, c.call("send_message", `{"sender":"bob","channel":"x","content":"hi"}`), "Message #1 sent", "sent before")
	wants(t, c.call("send_message", `{"sender":"bob","channel":"x","content":"hi"}`), "Message #2 sent")
}

func TestProgressComesAtOnceThenEvery15SecondsAndNeverAfterTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, Options{WaitCeiling: 100 * time.Second})
		c := h.client("c")
		began := time.Now()
		var at []float64
		c.progress = func(progress float64) {
			if passed := time.Since(began).Seconds(); passed != progress {
				t.Errorf("progress %g after %g s", progress, passed)
			}
			at = append(at, progress)
		}
		said := c.call("wait_for_reply", `{"channel":"x","instance_id":"me"}`)
		wants(t, said, "after 1m40s, at the transport-safe ceiling")
		if want := []float64{0, 15, 30, 45, 60, 75, 90}; !slices.Equal(at, want) || time.Since(began) != 100*time.Second {
			t.Errorf("progress at %v, ended after %s", at, time.Since(began))
		}
		time.Sleep(time.Minute)
		if len(at) != 7 {
			t.Error("progress after the answer")
		}
	})
}

func TestOddTimesAreClamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, Options{WaitCeiling: time.Minute})
		c := h.client("c")
		for args, want := range map[string]time.Duration{
			`"max_wait_minutes":-1`:                        0,
			`"max_wait_minutes":"1e300"`:                   time.Minute,
			`"max_wait_minutes":0.5`:                       30 * time.Second,
			`"max_wait_minutes":null`:                      time.Minute,
			`"timeout_seconds":5`:                          time.Minute,
			`"timeout_seconds":5,"persistent":false`:       5 * time.Second,
			`"timeout_seconds":1e9,"persistent":false`:     time.Minute,
			`"timeout_seconds":-1e300,"persistent":false`:  0,
			`"timeout_seconds":"2.5","persistent":"false"`: 2500 * time.Millisecond,
		} {
			began := time.Now()
			wants(t, c.call("wait_for_reply", `{"channel":"x","instance_id":"me",`+args+`}`), "No new messages in #x")
			if got := time.Since(began); got != want {
				t.Errorf("%s: %s, want %s", args, got, want)
			}
		}
	})
}

func TestManyCallsAtOnce(t *testing.T) {
	h := newHouse(t, Options{})
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			c := h.client(fmt.Sprint("c", n))
			me := fmt.Sprint("i", n)
			c.call("register", fmt.Sprintf(`{"instance_id":%q}`, me))
			for range 20 {
				c.call("send_message", fmt.Sprintf(`{"channel":"x","sender":%q,"content":"hi"}`, me))
				c.call("check_messages", fmt.Sprintf(`{"channel":"*","instance_id":%q}`, me))
				c.call("list_channels", `{}`)
			}
		})
	}
	all.Wait()
	wants(t, h.client("c").call("check_messages", `{"channel":"x"}`), "Last message ID: 160")
}

func TestSimilarChannels(t *testing.T) {
	names := []string{"general", "auth", "auth-dev", "auth-ops", "author", "db", "ai", "deploy", "deploys", "a", "api"}
	for name, want := range map[string]string{
		"auth-dew": "auth-dev auth a", "auht": "auth a", "deploy": "deploys", "generall": "general a", "db2": "db", "zebra": "a", "qq": "",
		"auth-dev-2": "auth-dev auth a", "dev": "auth-dev",
	} {
		if got := strings.Join(similar(name, names), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprint("team-", i)
	}
	if got := similar("team", many); len(got) != maxSimilar {
		t.Errorf("%d names", len(got))
	}
}

func TestDistance(t *testing.T) {
	for pair, want := range map[[2]string]int{
		{"a", "a"}: 0, {"ab", "ba"}: 2, {"abc", "abd"}: 1, {"abc", "ab"}: 1, {"", "ab"}: 2, {"abcd", "bcda"}: 2,
		{"abc", "xyz"}: -1, {"abc", "abcdef"}: -1, {"kitten", "sitting"}: -1, {"auth-dev", "auht-dev"}: 2,
	} {
		far, ok := distance(pair[0], pair[1])
		if back, same := distance(pair[1], pair[0]); ok != same || ok && back != far {
			t.Errorf("%v: there %d, back %d", pair, far, back)
		}
		if ok != (want >= 0) || ok && far != want {
			t.Errorf("%v: %d, %t; want %d", pair, far, ok, want)
		}
	}
}

func TestAudience(t *testing.T) {
	for want, there := range map[string]models.Audience{
		"nobody is here":                                {},
		"1 has it open":                                 {Open: 1},
		"bob waits":                                     {Waiting: []string{"bob"}},
		"2 have it open, bob waits":                     {Open: 2, Waiting: []string{"bob"}},
		"3 have it open, bob and ann wait":              {Open: 3, Waiting: []string{"bob", "ann"}},
		"9 have it open, a, b, c, d, e and 2 more wait": {Open: 9, Waiting: strings.Split("a b c d e f g", " ")},
		`"bob; you may" waits`:                          {Waiting: []string{"bob; you may"}},
	} {
		if got := audience(there); got != want {
			t.Errorf("%v: %q, want %q", there, got, want)
		}
	}
}

func TestWhatCannotBeMendedIsNotTold(t *testing.T) {
	b := newHouse(t, Options{}).bridge
	for want, err := range map[string]error{
		"Internal server error: try again, and if it stays so tell your user":                   fmt.Errorf("password=hunter2"),
		"slow down. Nothing was done. Wait at least 1 s before the next call, make fewer calls": models.Errorf(models.RateLimited, "slow down"),
		"stop\"": models.After(models.Errorf(models.RateLimited, "stop"), 10*time.Minute), // what says itself what to do
		"the store cannot write now. Nothing is wrong with your call: make it again in a few seconds": models.Errorf(models.Unavailable, "the store cannot write now"),
		"channel is paused: maintenance": models.Errorf(models.Paused, "channel is paused: maintenance"),
	} {
		r := b.refuse(t.Context(), "x", err)
		text, e := json.Marshal(r)
		if e != nil || !r.IsError || !strings.Contains(string(text), want) || strings.Contains(string(text), "hunter2") {
			t.Errorf("%s: %s", want, text)
		}
	}
	r := b.refuse(t.Context(), "x", models.Errorf(models.Invalid, "%s", strings.Repeat("x", 100_000)))
	if text, err := json.Marshal(r); err != nil || len(text) > 5000 {
		t.Errorf("an error of %d bytes", len(text))
	}
}
