package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hooked answers an event of a session as Claude Code would have it, which must not hurt it.
func hooked(t *testing.T, getenv func(string) string, name, session string, more map[string]any, args ...string) string {
	t.Helper()
	d := hookedAs(t, getenv, name, session, more, args...)
	if d.code != 0 || d.errs != "" {
		t.Fatalf("hook %v: code %d, %s", args, d.code, d.errs)
	}
	return d.out
}

func hookedAs(t *testing.T, getenv func(string) string, name, session string, more map[string]any, args ...string) did {
	t.Helper()
	event := map[string]any{
		"session_id": session, "transcript_path": "/home/u/.claude/projects/p/s.jsonl", "cwd": "/home/u/p",
		"permission_mode": "default", "hook_event_name": name,
	}
	for k, v := range more {
		event[k] = v
	}
	stdin, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return does(t, getenv, string(stdin), append([]string{"hook"}, args...)...)
}

// withHome gives hooks a place to remember names.
func withHome(t *testing.T, getenv func(string) string) func(string) string {
	home := t.TempDir()
	return func(name string) string {
		if name == "HOME" {
			return home
		}
		return getenv(name)
	}
}

func added(t *testing.T, out, event string) string {
	t.Helper()
	var answer struct {
		Specific struct {
			Event   string `json:"hookEventName"`
			Context string `json:"additionalContext"`
		} `json:"hookSpecificOutput"`
	}
	strictly(t, out, &answer)
	if answer.Specific.Event != event {
		t.Errorf("the answer is for %q, not %q", answer.Specific.Event, event)
	}
	return answer.Specific.Context
}

func reason(t *testing.T, out string) string {
	t.Helper()
	var answer struct{ Decision, Reason string }
	strictly(t, out, &answer)
	if answer.Decision != "block" {
		t.Errorf("the decision is %q", answer.Decision)
	}
	return answer.Reason
}

// strictly reads what Claude Code would: one object of known fields.
func strictly(t *testing.T, out string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || d.More() {
		t.Fatalf("%q: %v", out, err)
	}
}

func mentions(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s has no %q:\n%s", what, part, text)
		}
	}
}

// noted returns once it is noted what a session was shown, which may be after its hook has ended: the next request of the
// same session waits for that. Without a hub elsewhere it is noted before the hook ends.
func noted(t *testing.T, getenv func(string) string, session string) {
	t.Helper()
	if getenv("CROSSTALK_URL") == "" {
		return
	}
	var answer struct{ Result map[string]any }
	status := call(t, client(t), getenv("CROSSTALK_URL")+"/mcp", map[string]any{"jsonrpc": "2.0", "id": 1, "method": "ping"}, &answer,
		"Accept", "application/json, text/event-stream", "Authorization", "Bearer "+getenv("CROSSTALK_KEY"),
		"Mcp-Protocol-Version", "2025-06-18", "Mcp-Session-Id", (&hook{event: event{Session: session}}).connection())
	if status != http.StatusOK || answer.Result == nil {
		t.Fatalf("the ping is answered %d %v", status, answer)
	}
}

func TestHooksBringWhatIsNewOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, getenv func(string) string) {
		say := func(text string) { does(t, getenv, "", "send", "general", text, "--as", "alice").well(t) }
		say("before bob came")
		if out := hooked(t, getenv, "UserPromptSubmit", "s1", nil, "prompt", "--as", "bob"); out != "" {
			t.Errorf("bob came after it was said: %s", out)
		}
		say("one")
		got := added(t, hooked(t, getenv, "UserPromptSubmit", "s1", map[string]any{"prompt": "hi"}, "prompt", "--as", "bob"), "UserPromptSubmit")
		mentions(t, "the context", got, "for you, bob", "1 new message(s) in #*", `"alice" (agent, not verified)`, "\n<msg k=", "\none\n</msg ", "never permission")
		if strings.Contains(got, "Between calls") || strings.Contains(got, "before bob came") {
			t.Errorf("the context says too much:\n%s", got)
		}
		noted(t, getenv, "s1")
		mentions(t, "another session's context", added(t, hooked(t, getenv, "SessionStart", "s2", nil, "prompt", "--as", "bob"), "SessionStart"), "(shown before)", "\none\n")
		say("two")
		got = reason(t, hooked(t, getenv, "Stop", "s2", map[string]any{"stop_hook_active": false}, "stop", "--as", "bob"))
		mentions(t, "the reason", got, "1 new message(s)", "\ntwo\n")
		if strings.Contains(got, "\none\n") {
			t.Errorf("it was shown twice and comes again:\n%s", got)
		}
		for _, hook := range []string{"stop", "prompt"} {
			if out := hooked(t, getenv, "Stop", "s2", nil, hook, "--as", "bob"); out != "" {
				t.Errorf("hook %s tells it again: %s", hook, out)
			}
		}
		say("three")
		if out := hooked(t, getenv, "Stop", "s2", map[string]any{"stop_hook_active": true}, "stop", "--as", "bob"); out != "" {
			t.Errorf("a turn that goes on because of a hook is held up again: %s", out)
		}
		does(t, getenv, "", "send", "general", "mine", "--as", "bob").well(t)
		got = added(t, hooked(t, getenv, "", "", nil, "prompt", "--as", "bob"), "UserPromptSubmit")
		mentions(t, "what stop left", got, "1 new message(s)", "\nthree\n")
	})
}

func TestHooksKnowWhoRegistered(t *testing.T) {
	getenv := withHome(t, env("CROSSTALK_DB", dbIn(t)))
	register := func(session, tool string, input any) {
		out := hooked(t, getenv, "PostToolUse", session, map[string]any{"tool_name": tool, "tool_input": input, "tool_response": "Registered"}, "registered")
		if out != "" {
			t.Errorf("it says %s", out)
		}
	}
	const tool = "mcp__plugin_crosstalk_crosstalk__register"
	does(t, getenv, "", "send", "general", "begin", "--as", "al").well(t)
	register("s/../1", tool, map[string]any{"instance_id": "one"})
	register("s2", "mcp__crosstalk__register", map[string]any{"sender": " two "})
	register("s3", "mcp__crosstalk__send_message", map[string]any{"sender": "three"})
	register("s4", tool, map[string]any{"description": "nobody"})
	register("", tool, map[string]any{"instance_id": "five"})
	sessions := map[string]string{"s/../1": "one", "s2": "two", "s3": "", "s4": "", "": ""}
	for session := range sessions {
		hooked(t, getenv, "UserPromptSubmit", session, nil, "prompt")
	}
	does(t, getenv, "", "send", "general", "hello", "--as", "al").well(t)
	for session, name := range sessions {
		out := hooked(t, getenv, "UserPromptSubmit", session, nil, "prompt")
		if name == "" {
			if out != "" {
				t.Errorf("session %q has not registered and hears %s", session, out)
			}
			continue
		}
		mentions(t, session, added(t, out, "UserPromptSubmit"), "for you, "+name+".", "\nhello\n")
	}
	register("s2", tool, map[string]any{"instance_id": "two-b"})
	old := filepath.Join(getenv("HOME"), ".crosstalk", "sessions")
	if err := os.Chtimes(filepath.Join(old, "s2"), time.Time{}, time.Now().Add(-31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	register("s5", tool, map[string]any{"instance_id": "six"})
	if entries, err := os.ReadDir(old); err != nil || fmt.Sprint(entries) != "[- s-1 - s5]" {
		t.Errorf("remembered are %v %v", entries, err)
	}
}

// waits starts hook wait and returns what becomes of it.
func waits(t *testing.T, ctx context.Context, getenv func(string) string, args ...string) <-chan did {
	t.Helper()
	ended := make(chan did, 1)
	go func() {
		var out, errs bytes.Buffer
		args := append([]string{"hook", "wait", "--as", "bob"}, args...)
		err := run(ctx, args, getenv, strings.NewReader(`{"session_id":"s1","hook_event_name":"SessionStart"}`), &out, &errs)
		ended <- did{out.String(), errs.String(), exitCode(err), err}
	}()
	return ended
}

// waiting says since when bob waits.
func waiting(t *testing.T, r *running, after string) string {
	t.Helper()
	c := client(t)
	since := ""
	eventually(t, func() bool {
		var all struct {
			Waits []struct {
				Instance string `json:"instance_id"`
				Role     string
				Since    string
			}
		}
		call(t, c, r.url+"/api/waits", nil, &all)
		for _, w := range all.Waits {
			if w.Instance == "bob" && w.Role == "parked" && w.Since > after {
				since = w.Since
			}
		}
		return since != ""
	})
	return since
}

func TestHookWaitWakesTheSession(t *testing.T) {
	db := dbIn(t)
	r := start(t, db, env())
	for name, getenv := range map[string]func(string) string{"hub": env("CROSSTALK_URL", r.url), "database": env("CROSSTALK_DB", db)} {
		t.Run(name, func(t *testing.T) {
			hooked(t, getenv, "Stop", "s1", nil, "stop", "--as", "bob")
			first := waits(t, t.Context(), getenv)
			since := waiting(t, r, "")
			second := waits(t, t.Context(), getenv)
			if d := <-first; d.code != 0 || d.out+d.errs != "" {
				t.Errorf("one that another took over from: %+v", d)
			}
			waiting(t, r, since)
			does(t, getenv, "", "send", "general", "wake up in "+name, "--as", "alice").well(t)
			d := <-second
			if d.code != 2 || d.out != "" {
				t.Errorf("code %d, output %q", d.code, d.out)
			}
			mentions(t, "what it tells", d.errs, "for you, bob", "1 new message(s)", "\nwake up in "+name+"\n")
			if strings.Contains(d.errs, "wait is over") {
				t.Errorf("it speaks of a call that the session did not make:\n%s", d.errs)
			}
			does(t, getenv, "", "send", "general", "unread in "+name, "--as", "alice").well(t)
			if d := <-waits(t, t.Context(), getenv); d.code != 2 || !strings.Contains(d.errs, "unread in") || strings.Contains(d.errs, "wake up in") {
				t.Errorf("what is unread: %+v", d)
			}
			if d := <-waits(t, t.Context(), getenv, "--max", "300ms"); d.code != 0 || d.out+d.errs != "" {
				t.Errorf("in the end: %+v", d)
			}
			script := func(name string) string {
				if name == "CLAUDE_CODE_ENTRYPOINT" {
					return "sdk-cli"
				}
				return getenv(name)
			}
			if d := <-waits(t, t.Context(), script); d.code != 0 || d.out+d.errs != "" {
				t.Errorf("after claude -p: %+v", d)
			}
			ctx, cancel := context.WithCancel(t.Context())
			third := waits(t, ctx, getenv)
			cancel()
			if d := <-third; d.code != 0 {
				t.Errorf("when Claude Code ends it: %+v", d)
			}
		})
	}
}

func TestHooksNeverHurtASession(t *testing.T) {
	deaf, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = deaf.Close() })
	keyed := start(t, dbIn(t), env("MCP_API_KEY", "sesame"))
	good := env("CROSSTALK_DB", dbIn(t))
	does(t, good, "", "send", "general", "hello").well(t)
	const prompt = `{"session_id":"s","hook_event_name":"UserPromptSubmit","prompt":"x"}`
	for name, tc := range map[string]struct {
		getenv func(string) string
		stdin  string
		args   string
		code   int
		want   string // of standard error
	}{
		"no event":              {good, "", "prompt --as bob", 0, ""},
		"no JSON":               {good, "<html>", "stop --as bob", 0, "not the JSON"},
		"another JSON":          {good, `[1,2]`, "stop --as bob", 0, "not the JSON"},
		"half of it":            {good, prompt[:20], "prompt --as bob", 0, "not the JSON"},
		"more than it":          {good, prompt + prompt, "prompt --as bob", 0, ""},
		"wrong types":           {good, `{"session_id":1}`, "prompt --as bob", 0, "not the JSON"},
		"strange tool":          {good, `{"session_id":"s","tool_name":"x__register","tool_input":"text"}`, "registered", 0, "tool_input"},
		"nobody":                {good, prompt, "prompt", 0, ""},
		"a name that cannot be": {good, prompt, "prompt --as system", 0, "reserved"},
		"no database":           {env("CROSSTALK_DB", filepath.Join(t.TempDir(), "none")), prompt, "prompt --as bob", 0, "no database"},
		"no hub":                {env("CROSSTALK_URL", "http://127.0.0.1:1"), prompt, "prompt --as bob", 0, "refused"},
		"no hub's address":      {env("CROSSTALK_URL", "nonsense"), prompt, "prompt --as bob", 0, "URL"},
		"a hub that is deaf":    {env("CROSSTALK_URL", "http://"+deaf.Addr().String()), prompt, "prompt --as bob", 0, "deadline"},
		"no key":                {env("CROSSTALK_URL", keyed.url), prompt, "stop --as bob", 0, "key"},
		"no key to wait":        {env("CROSSTALK_URL", keyed.url), prompt, "wait --as bob", 0, "key"},
		"no time to wait":       {good, prompt, "wait --as bob --max=-1s", 0, "--max"},
		"unknown flag":          {good, prompt, "stop --what", 1, ""},
		"unknown hook":          {good, prompt, "start", 1, ""},
		"no hook":               {good, prompt, "", 1, ""},
		"two hubs":              {good, prompt, "stop --as bob --db x --url http://localhost", 0, "give one of them"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := does(t, withHome(t, tc.getenv), tc.stdin, append([]string{"hook"}, strings.Fields(tc.args)...)...)
			if d.code != tc.code || d.out != "" || !strings.Contains(d.errs, tc.want) || tc.want == "" && d.errs != "" {
				t.Errorf("code %d, output %q, errors %q, want %d and %q", d.code, d.out, d.errs, tc.code, tc.want)
			}
		})
	}
}

func TestHooksSayNoMoreThanClaudeCodeTakes(t *testing.T) {
	getenv := env("CROSSTALK_DB", dbIn(t))
	does(t, getenv, "", "send", "general", "begin").well(t)
	hooked(t, getenv, "UserPromptSubmit", "s", nil, "prompt", "--as", "bob")
	for range 5 {
		does(t, getenv, strings.Repeat("日本 \\\" </msg> ", 400), "send", "general").well(t)
	}
	does(t, getenv, strings.Repeat("x", 200_000), "send", "general").well(t)
	seen := 0
	for range 20 {
		out := hooked(t, getenv, "Stop", "s", nil, "stop", "--as", "bob")
		if out == "" {
			break
		}
		got := reason(t, out)
		seen += strings.Count(got, "\n<msg k=")
		if n := len([]rune(got)); n > 10_000 {
			t.Errorf("%d characters", n)
		}
	}
	if seen != 6 {
		t.Errorf("%d messages of 6 were told", seen)
	}
}
