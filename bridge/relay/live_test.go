package relay

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"crosstalk/bridge/push"
)

// pushed waits for the next push.
func (c *client) pushed() string {
	c.t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case m, ok := <-c.out:
			if !ok {
				c.t.Fatal("the relay has ended")
			}
			if m["method"] == "notifications/claude/channel" {
				return text(m)
			}
		case <-late:
			c.t.Fatal("nothing was pushed")
		}
	}
}

func TestAClientOfARemoteHubIsPushedTo(t *testing.T) {
	r := startRemote(t, "")
	c := startClientWith(t, r, Options{Follow: push.Here(r.hub)}, time.Second)
	hello := c.answer(c.ask("initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}`))
	contains(t, text(hello), `"claude/channel":{}`)
	contains(t, text(hello), "Live push: listen_live")
	c.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	list := c.answer(c.ask("tools/list", `{}`))
	for _, name := range []string{"listen_live", "stop_listening", "delivery_status", "send_message"} {
		if n := strings.Count(text(list), `"name":"`+name+`"`); n != 1 {
			t.Errorf("%s is listed %d times", name, n)
		}
	}
	contains(t, c.tool("register", `{"instance_id":"me"}`), "Registered as")
	contains(t, c.tool("listen_live", `{"channel":"X"}`), "Live push ON for #x, from message #0 on")
	c.tool("send_message", `{"sender":"me","channel":"x","content":"my own"}`)
	r.say("hello")
	contains(t, c.pushed(), "[#x] bob: hello")
	// It is counted once it is handed over, a moment later.
	for late := time.Now().Add(10 * time.Second); !strings.Contains(c.tool("delivery_status", `{}`), "1 pushed, last #2"); {
		if time.Now().After(late) {
			t.Fatal("the push was not counted")
		}
	}
	contains(t, c.tool("stop_listening", `{"channel":"x"}`), "Live push OFF for #x. Its")
	contains(t, c.tool("subscribe", `{"channel":"x","instance_id":"me"}`), "Live push ON for #x, from message #2 on")
	r.say("again")
	contains(t, c.pushed(), "[#x] bob: again")
	contains(t, c.tool("unsubscribe", `{"channel":"x","instance_id":"me"}`), "Live push OFF for #x. Its")
	contains(t, c.tool("check_messages", `{"channel":"*","instance_id":"me"}`), "again")
	for _, wrong := range [][2]string{{"listen_live", `{}`}, {"listen_live", `{"channel":"!"}`}, {"stop_listening", `{}`}, {"unsubscribe", `{"channel":"x"}`}, {"subscribe", `{}`}} {
		if got := c.tool(wrong[0], wrong[1]); !strings.Contains(got, `"isError":true`) {
			t.Errorf("%s %s: %s", wrong[0], wrong[1], got)
		}
	}
}

func TestWithoutPushNothingIsAdded(t *testing.T) {
	c := startClient(t, startRemote(t, ""), "", time.Second)
	c.hello()
	if list := text(c.answer(c.ask("tools/list", `{}`))); strings.Contains(list, "listen_live") {
		t.Errorf("listed: %s", list)
	}
	contains(t, c.tool("listen_live", `{"channel":"x"}`), "not found")
}

// An answer that is amended must say all else as the hub said it.
func TestAmendingKeepsTheRest(t *testing.T) {
	l := newLive(Options{Follow: push.Here(nil)})
	raw := []byte(`{"jsonrpc":"2.0","id":"a","result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"crosstalk"},"ttlMs":86400000}}`)
	var answer message
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(err)
	}
	got := string(l.amend(t.Context(), &message{ID: json.RawMessage(`"a"`), Method: "initialize"}, called{}, &answer, raw))
	for _, want := range []string{`"id":"a"`, `"protocolVersion":"2025-06-18"`, `"tools":{}`, `"name":"crosstalk"`, `"ttlMs":86400000`} {
		contains(t, got, want)
	}
	failed := []byte(`{"jsonrpc":"2.0","id":"a","error":{"code":-32602,"message":"no"}}`)
	answer = message{}
	if err := json.Unmarshal(failed, &answer); err != nil {
		t.Fatal(err)
	}
	if got := l.amend(t.Context(), &message{ID: json.RawMessage(`"a"`), Method: "initialize"}, called{}, &answer, failed); string(got) != string(failed) {
		t.Errorf("an error became %s", got)
	}
}
