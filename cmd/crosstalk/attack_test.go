package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestNobodyComesInWithoutAKey(t *testing.T) {
	f := build(t)
	eventually(t, func() bool {
		status, _ := f.ask("late", "GET", "/api/channels", nil)
		return status == http.StatusUnauthorized
	})
	for _, door := range []struct{ method, path string }{
		{"GET", "/api/channels"}, {"GET", "/api/messages/vault"}, {"GET", "/api/messages/vault/2"}, {"GET", "/api/messages/general/../vault"},
		{"GET", "/api/messages/team-a/1/replies"}, {"GET", "/api/search?q=" + treasure}, {"GET", "/api/data"}, {"GET", "/api/data/map"},
		{"GET", "/api/instances"}, {"GET", "/api/waits"}, {"GET", "/api/keys"}, {"GET", "/api/stream?channels=*"}, {"GET", "/mcp"}, {"GET", "/sse"},
		{"POST", "/api/messages"}, {"POST", "/api/register"}, {"POST", "/api/channels"}, {"POST", "/api/data"}, {"POST", "/api/keys"}, {"POST", "/mcp"},
		{"POST", "/messages?sessionId=x"}, {"POST", "/api/keys/alice/rotate"}, {"POST", "/api/keys/alice/revoke"}, {"POST", "/api/channels/general/pause"},
		{"DELETE", "/api/data/map"}, {"DELETE", "/api/instances/alice"}, {"DELETE", "/api/keys/alice"}, {"DELETE", "/mcp"},
		{"GET", "/metrics"}, {"GET", "/debug/pprof/"}, {"GET", "/no/such/path"},
	} {
		for _, who := range []string{"none", "wrong", "gone", "late"} {
			path := door.path
			if who == "none" {
				path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "api_key=" + f.keys["shared"]
			}
			body := map[string]any(nil)
			if door.method == "POST" {
				body = map[string]any{"sender": "mallory", "content": "hi", "name": "mallory"}
			}
			status, text := f.ask(who, door.method, path, body)
			if status != http.StatusUnauthorized || strings.Contains(text, treasure) {
				t.Errorf("%s %s with key %s: %d %s", door.method, path, who, status, text)
			}
		}
	}
	for _, who := range []string{"none", "wrong", "gone", "late"} {
		if _, status := f.socket(who, "channels=*"); status != http.StatusUnauthorized {
			t.Errorf("a WebSocket with key %s: %d", who, status)
		}
		o := &websocket.DialOptions{HTTPClient: f.c, Subprotocols: []string{"crosstalk.v1", "bearer." + base64.RawURLEncoding.EncodeToString([]byte(f.keys[who]))}}
		conn, _, err := websocket.Dial(t.Context(), strings.Replace(f.url, "http", "ws", 1)+"/ws?channels=*", o)
		if err != nil {
			t.Fatal(err)
		}
		if _, b, err := conn.Read(t.Context()); websocket.CloseStatus(err) != 4401 {
			t.Errorf("a browser's WebSocket with key %s: %s, %v", who, b, err)
		}
		_ = conn.CloseNow()
	}
	for _, key := range f.keys {
		if key != "" && strings.Contains(f.hub.stderr.String(), key) {
			t.Error("the log tells a key")
		}
	}
}

// attack is something that must not work, and how it must not.
type attack struct {
	who, method, path string
	body              any
	want              int // status
}

func TestAKeyDoesWhatItsScopeAllows(t *testing.T) { onEachDatabase(t, scopesHold) }

func scopesHold(t *testing.T, f *fort) {
	say := func(sender, channel string) any {
		return map[string]any{"sender": sender, "channel": channel, "content": "hi"}
	}
	parent := func(id int64) any {
		return map[string]any{"sender": "t", "channel": "team-a", "content": "hi", "in_reply_to": id}
	}
	for _, a := range []attack{
		// One that may only read writes.
		{"reader", "POST", "/api/messages", say("r", "team-a"), 403},
		{"reader", "POST", "/api/register", map[string]string{"instance_id": "r", "description": "hear me"}, 403},
		{"reader", "POST", "/api/channels", map[string]string{"name": "team-z"}, 403},
		{"reader", "POST", "/api/data", map[string]string{"key": "k", "sender": "r", "content": "x", "channel": "team-a"}, 403},
		{"reader", "DELETE", "/api/data/ours", nil, 403},
		// Channels of others, by direct name.
		{"team", "POST", "/api/messages", say("t", "vault"), 403},
		{"team", "POST", "/api/messages", say("t", "VAULT "), 403},
		{"team", "POST", "/api/messages", say("t", "xteam-a"), 403},
		{"reader", "GET", "/api/messages/general", nil, 403},
		{"team", "GET", "/api/messages/vault", nil, 403},
		{"team", "GET", "/api/messages/Vault", nil, 403},
		{"team", "GET", "/api/messages/v%61ult?after_id=0", nil, 403},
		{"team", "GET", "/api/messages/vault?after_id=0&wait=1", nil, 403},
		{"team", "GET", fmt.Sprintf("/api/messages/vault/%d", f.id["vault"]), nil, 403},
		{"team", "GET", fmt.Sprintf("/api/messages/team-a/%d", f.id["vault"]), nil, 404},
		{"team", "GET", fmt.Sprintf("/api/messages/vault/%d/replies", f.id["vault"]), nil, 403},
		{"team", "GET", fmt.Sprintf("/api/messages/team-a/%d/replies", f.id["vault"]), nil, 404},
		{"team", "GET", "/api/channels/vault/activity", nil, 403},
		{"team", "POST", "/api/channels", map[string]string{"name": "vault", "description": "mine"}, 403},
		{"team", "GET", "/api/search?q=word&channel=vault", nil, 403},
		{"team", "GET", "/api/stream?channels=team-a,vault", nil, 403},
		{"team", "GET", "/api/stream?channels=vault", nil, 403},
		// Replies to what it cannot read, whether it is there or not.
		{"team", "POST", "/api/messages", parent(f.id["vault"]), 400},
		{"team", "POST", "/api/messages", parent(1 << 40), 400},
		// Data of others.
		{"team", "GET", "/api/data/map", nil, 404},
		{"team", "GET", "/api/data/loose", nil, 404},
		{"team", "DELETE", "/api/data/map", nil, 404},
		{"team", "POST", "/api/data", map[string]string{"key": "map", "sender": "t", "content": "forged", "channel": "team-a"}, 403},
		{"team", "POST", "/api/data", map[string]string{"key": "new", "sender": "t", "content": "x", "channel": "vault"}, 403},
		// What takes an admin.
		{"alice", "POST", "/api/channels", map[string]string{"name": "vault", "description": "changed"}, 403},
		{"alice", "POST", "/api/channels/general/pause", map[string]string{"reason": "x"}, 403},
		{"alice", "POST", "/api/channels/general/resume", map[string]string{}, 403},
		{"alice", "GET", "/api/keys", nil, 403},
		{"alice", "POST", "/api/keys", map[string]string{"name": "more", "scope": "admin"}, 403},
		{"alice", "POST", "/api/keys/boss/rotate", map[string]string{}, 403},
		{"alice", "POST", "/api/keys/boss/revoke", nil, 403},
		{"alice", "DELETE", "/api/keys/nobody", nil, 403},
		{"team", "DELETE", "/api/instances/alice", nil, 403},
		{"team", "DELETE", "/api/instances/nobody", nil, 403},
		// And what is allowed.
		{"reader", "GET", "/api/messages/team-a", nil, 200},
		{"reader", "GET", "/api/messages/team-none", nil, 200},
		{"reader", "POST", "/api/register", map[string]string{"instance_id": "watcher"}, 200},
		{"team", "POST", "/api/messages", say("t", "team-new"), 200},
		{"team", "POST", "/api/messages", parent(f.id["team-a"]), 200},
		{"team", "GET", "/api/data/ours", nil, 200},
		{"team", "POST", "/api/data", map[string]string{"key": "homeless", "sender": "t", "content": "x"}, 200},
		{"alice", "POST", "/api/channels", map[string]string{"name": "vault"}, 200},
		{"boss", "POST", "/api/channels", map[string]string{"name": "vault", "description": "where " + treasure + " was"}, 200},
		{"boss", "GET", "/api/keys", nil, 200},
	} {
		status, text := f.ask(a.who, a.method, a.path, a.body)
		if status != a.want {
			t.Errorf("%s %s %s: %d %s, want %d", a.who, a.method, a.path, status, text, a.want)
		}
		if (a.who == "team" || a.who == "reader") && strings.Contains(text, treasure) {
			t.Errorf("%s %s %s tells too much: %s", a.who, a.method, a.path, text)
		}
	}
	if got := f.must("shared", "GET", "/api/data/map", nil); got["content"] != treasure {
		t.Errorf("the data was changed: %v", got)
	}
	if got := f.must("team", "GET", "/api/data", nil); !strings.Contains(fmt.Sprint(got), "key:homeless") {
		t.Errorf("what it shared without a channel it does not find: %v", got)
	}
}

// TestNoListTellsOfOtherChannels asks everything that lists, with a key that has little to do with what is there.
func TestNoListTellsOfOtherChannels(t *testing.T) { onEachDatabase(t, noListTells) }

func noListTells(t *testing.T, f *fort) {
	leaks := func(door, text string) {
		t.Helper()
		for _, word := range []string{treasure, `vault`, `"alice"`, `"map"`, `"loose"`} {
			if strings.Contains(text, word) || strings.Contains(text, strings.ReplaceAll(word, `"`, `\"`)) {
				t.Errorf("%s tells of %s: %s", door, word, text)
			}
		}
	}
	for _, path := range []string{
		"/api/channels", "/api/channels?limit=1000", "/api/channels?instance_id=t", "/api/channels/search?q=a", "/api/channels/search?q=" + treasure,
		"/api/channels/search?q=%25", "/api/search?q=" + treasure, "/api/search?q=the+word", "/api/search?q=word&sender=alice", "/api/search?q=e",
		"/api/data", "/api/instances", "/api/instances?status=online", "/api/waits", "/api/messages/team-a", "/api/messages/team-a/1/replies", "/openapi.json", "/health",
	} {
		status, text := f.ask("team", "GET", path, nil)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
		leaks(path, strings.ReplaceAll(text, `"replies"`, ""))
	}
	for _, call := range []struct {
		name string
		args map[string]any
		bad  bool
	}{
		{"register", map[string]any{"instance_id": "t"}, false},
		{"list_channels", nil, false}, {"list_instances", nil, false}, {"list_shared_data", nil, false},
		{"find_channel", map[string]any{"query": "aul"}, false},
		{"search_messages", map[string]any{"query": "the word is"}, false},
		{"check_messages", map[string]any{"channel": "*", "instance_id": "t"}, false},
		{"wait_for_reply", map[string]any{"channel": "*", "instance_id": "t", "persistent": false, "timeout_seconds": 0}, false},
		{"send_message", map[string]any{"channel": "team-aul", "sender": "t", "content": "hi"}, false}, // no hint of a similar name
		{"get_replies", map[string]any{"message_id": f.id["team-a"]}, false},
		{"get_replies", map[string]any{"message_id": f.id["vault"]}, true},
		{"get_shared_data", map[string]any{"key": "mop"}, true},
		{"get_shared_data", map[string]any{"key": fmt.Sprintf("#%d", f.id["vault"])}, true},
	} {
		bad, text := f.tool("team", call.name, call.args)
		if bad != call.bad {
			t.Errorf("%s %v: %s", call.name, call.args, text)
		}
		leaks(call.name, text)
	}
	for _, call := range []struct {
		name string
		args map[string]any
	}{
		{"check_messages", map[string]any{"channel": "vault"}},
		{"check_messages", map[string]any{"channel": "vault", "after_id": 0, "instance_id": "t"}},
		{"wait_for_reply", map[string]any{"channel": "vault", "instance_id": "t"}},
		{"send_message", map[string]any{"channel": "vault", "sender": "t", "content": "hi"}},
		{"send_message", map[string]any{"channel": "team-a", "sender": "t", "content": "hi", "in_reply_to": f.id["vault"]}},
		{"create_channel", map[string]any{"name": "vault"}},
		{"search_messages", map[string]any{"query": "word", "channel": "vault"}},
		{"share_data", map[string]any{"key": "map", "content": "forged", "sender": "t"}},
		{"get_shared_data", map[string]any{"key": "map"}},
		{"subscribe", map[string]any{"channel": "vault", "instance_id": "t"}},
	} {
		if bad, text := f.tool("team", call.name, call.args); !bad || strings.Contains(text, treasure) {
			t.Errorf("%s %v: %s", call.name, call.args, text)
		}
	}
	for uri, bad := range map[string]bool{
		"crosstalk://channels": false, "crosstalk://channel/team-a": false, "crosstalk://channel/vault": true,
		"crosstalk://channel/%76ault": true, "crosstalk://data/map": true, "crosstalk://data/loose": true, "crosstalk://data/%23" + fmt.Sprint(f.id["vault"]): true,
	} {
		got, text := f.mcp("team", "resources/read", map[string]any{"uri": uri})
		if got != bad || strings.Contains(text, treasure) {
			t.Errorf("%s: %s", uri, text)
		}
	}
	for _, arg := range []string{"channel", "instance_id", "key", "name"} {
		_, text := f.mcp("team", "completion/complete", map[string]any{
			"ref": map[string]string{"type": "ref/prompt", "name": "cross-claude-protocol"}, "argument": map[string]string{"name": arg, "value": ""},
		})
		leaks("completion of "+arg, text)
	}
}

func TestARefusalDoesNotTellWhetherAThingExists(t *testing.T) { onEachDatabase(t, refusalsTellNothing) }

func refusalsTellNothing(t *testing.T, f *fort) {
	same := func(what, a, b, nameA, nameB string) {
		t.Helper()
		if strings.ReplaceAll(a, nameA, nameB) != b {
			t.Errorf("%s: %s\nand where nothing is: %s", what, a, b)
		}
	}
	for _, pair := range [][2]string{
		{"/api/messages/vault", "/api/messages/vacant"}, {"/api/messages/vault/2", "/api/messages/vacant/2"},
		{"/api/messages/team-a/2", "/api/messages/team-a/9000"}, {"/api/messages/vault/2/replies", "/api/messages/vacant/2/replies"},
		{"/api/channels/vault/activity", "/api/channels/vacant/activity"}, {"/api/search?q=x&channel=vault", "/api/search?q=x&channel=vacant"},
		{"/api/stream?channels=vault", "/api/stream?channels=vacant"}, {"/api/data/map", "/api/data/mop"}, {"/api/data/loose", "/api/data/lease"},
	} {
		_, a := f.ask("team", "GET", pair[0], nil)
		_, b := f.ask("team", "GET", pair[1], nil)
		words := strings.NewReplacer("vault", "vacant", "map", "mop", "loose", "lease", " 2 ", " 9000 ")
		same(pair[0], words.Replace(a), b, "", "")
	}
	for _, pair := range [][2]map[string]any{
		{{"key": "map"}, {"key": "mop"}},
		{{"key": "#2"}, {"key": "#9000"}},
	} {
		_, a := f.tool("team", "get_shared_data", pair[0])
		_, b := f.tool("team", "get_shared_data", pair[1])
		same("get_shared_data", strings.NewReplacer("map", "mop", "#2", "#9000").Replace(a), b, "", "")
	}
	_, a := f.tool("team", "get_replies", map[string]any{"message_id": 2})
	_, b := f.tool("team", "get_replies", map[string]any{"message_id": 9000})
	same("get_replies", a, b, "#2", "#9000")
}

func TestAllMeansAllThatTheKeyMayRead(t *testing.T) { onEachDatabase(t, allIsWhatTheKeyReads) }

func allIsWhatTheKeyReads(t *testing.T, f *fort) {
	conn, status := f.socket("team", "channels=*&after_id=0&presence=1")
	if status != http.StatusSwitchingProtocols {
		t.Fatal(status)
	}
	stream := f.events("team", "/api/stream?channels=*&after_id=0")
	f.must("alice", "POST", "/api/messages", map[string]string{"sender": "alice", "channel": "vault-2", "content": treasure})
	f.must("shared", "POST", "/api/messages", map[string]string{"sender": "keeper", "channel": "team-brand-new", "content": "over"})
	for {
		_, b, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), treasure) || strings.Contains(string(b), "vault") || strings.Contains(string(b), `"alice"`) {
			t.Errorf("the WebSocket tells %s", b)
		}
		if strings.Contains(string(b), `"content":"over"`) {
			break
		}
	}
	for {
		line, err := stream()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, treasure) || strings.Contains(line, "vault") {
			t.Errorf("the stream tells %s", line)
		}
		if strings.Contains(line, `"content":"over"`) {
			break
		}
	}
	for _, cmd := range []map[string]any{
		{"type": "publish", "channel": "vault", "sender": "t", "content": "hi"},
		{"type": "publish", "channel": "team-a", "sender": "t", "content": "hi", "in_reply_to": f.id["vault"]},
		{"type": "publish", "channel": "team-a", "sender": "alice", "content": "hi"},
	} {
		if got := f.say(conn, cmd); !strings.Contains(got, `"type":"error"`) {
			t.Errorf("%v: %s", cmd, got)
		}
	}
	if got := f.say(conn, map[string]any{"type": "publish", "channel": "team-a", "sender": "t", "content": "hi"}); !strings.Contains(got, `"type":"published"`) {
		t.Error(got)
	}
	single, _ := f.socket("team", "")
	for _, ch := range []string{"vault", "VAULT", "vacant"} {
		if got := f.say(single, map[string]any{"type": "subscribe", "channel": ch}); !strings.Contains(got, `"code":"forbidden"`) {
			t.Errorf("subscribe %s: %s", ch, got)
		}
	}
	reads, _ := f.socket("reader", "channels=*")
	if got := f.say(reads, map[string]any{"type": "publish", "channel": "team-a", "sender": "r", "content": "hi"}); !strings.Contains(got, `"code":"forbidden"`) {
		t.Errorf("a reader publishes: %s", got)
	}
	if _, status := f.socket("team", "channels=team-a,vault"); status != http.StatusForbidden {
		t.Errorf("named at connect: %d", status)
	}
}

func TestNobodySpeaksAsAnother(t *testing.T) { onEachDatabase(t, nobodySpeaksAsAnother) }

func nobodySpeaksAsAnother(t *testing.T, f *fort) {
	for _, who := range []string{"shared", "team", "boss"} {
		for _, name := range []string{"alice", "Alice", "ALICE", "ａｌｉｃｅ", "al\u00adice"} {
			quoted := url.QueryEscape(name)
			for _, a := range []attack{
				{who, "POST", "/api/messages", map[string]string{"sender": name, "channel": "team-a", "content": "forged"}, 403},
				{who, "POST", "/api/messages", map[string]string{"sender": name, "channel": "team-a", "content": "forged", "idempotency_key": "k"}, 403},
				{who, "POST", "/api/register", map[string]string{"instance_id": name, "description": "forged"}, 403},
				{who, "POST", "/api/data", map[string]string{"key": "k", "sender": name, "content": "forged", "channel": "team-a"}, 403},
				{who, "GET", "/api/messages/team-a?after_id=0&instance_id=" + quoted, nil, 403},
				{who, "GET", "/api/messages/team-a?after_id=0&wait=1&instance_id=" + quoted, nil, 403},
				{who, "GET", "/api/channels?instance_id=" + quoted, nil, 403},
				{who, "DELETE", "/api/data/ours?sender=" + quoted, nil, 403},
				{who, "GET", "/api/stream?channels=team-a&instance_id=" + quoted, nil, 403},
			} {
				if status, text := f.ask(who, a.method, a.path, a.body); status != a.want && !(name == "al\u00adice" && status == http.StatusBadRequest) {
					t.Errorf("%s as %q, %s %s: %d %s", who, name, a.method, a.path, status, text)
				}
			}
			for tool, args := range map[string]map[string]any{
				"register":       {"instance_id": name},
				"send_message":   {"sender": name, "content": "forged", "channel": "team-a"},
				"check_messages": {"instance_id": name, "channel": "team-a"},
				"wait_for_reply": {"instance_id": name, "channel": "team-a", "persistent": false, "timeout_seconds": 1},
				"subscribe":      {"instance_id": name, "channel": "team-a"},
				"share_data":     {"sender": name, "key": "k", "content": "forged"},
			} {
				if bad, text := f.tool(who, tool, args); !bad || strings.Contains(text, "already in use") {
					t.Errorf("%s as %q: %s: %s", who, name, tool, text)
				}
			}
			if _, status := f.socket(who, "channels=team-a&instance_id="+quoted); status != http.StatusForbidden && status != http.StatusBadRequest {
				t.Errorf("%s holds %q: %d", who, name, status)
			}
		}
	}
	if got := f.must("shared", "GET", "/api/messages/team-a", nil); strings.Contains(fmt.Sprint(got), "forged") {
		t.Errorf("%v", got)
	}
	verified := func(channel string) bool {
		list := f.must("boss", "GET", "/api/messages/"+channel+"?limit=1", nil)["messages"].([]any)
		return list[len(list)-1].(map[string]any)["verified"].(bool)
	}
	if !verified("vault") || verified("team-a") {
		t.Error("a message does not tell whose it is")
	}
	// A name that others used before belongs to nobody, and among those who share a key nobody is refused.
	f.must("shared", "POST", "/api/register", map[string]string{"instance_id": "common"})
	f.must("alice", "POST", "/api/messages", map[string]string{"sender": "common", "channel": "team-a", "content": "x"})
	f.must("shared", "POST", "/api/messages", map[string]string{"sender": "common", "channel": "team-a", "content": "x"})
	if verified("team-a") {
		t.Error("a name of everybody is verified")
	}
	// Until it is released.
	f.must("alice", "DELETE", "/api/instances/alice", nil)
	f.must("team", "POST", "/api/messages", map[string]string{"sender": "alice", "channel": "team-a", "content": "x"})
	if status, text := f.ask("alice", "POST", "/api/messages", map[string]string{"sender": "alice", "channel": "vault", "content": "x"}); status != 403 {
		t.Errorf("the old owner: %d %s", status, text)
	}
	f.must("shared", "DELETE", "/api/keys/team", nil)
	eventually(t, func() bool {
		status, _ := f.ask("alice", "POST", "/api/messages", map[string]string{"sender": "alice", "channel": "vault", "content": "x"})
		return status == http.StatusOK
	})
}

// Another principal's wait is not superseded, and does not end, by those who use its name.
func TestNobodyEndsAnothersWait(t *testing.T) {
	f := build(t)
	done := make(chan string, 1)
	go func() {
		_, text := f.tool("alice", "wait_for_reply", map[string]any{"instance_id": "alice", "channel": "team-quiet", "persistent": false, "timeout_seconds": 20})
		done <- text
	}()
	waits := func() string { return fmt.Sprint(f.must("shared", "GET", "/api/waits", nil)) }
	eventually(t, func() bool { return strings.Contains(waits(), "alice") })
	for _, who := range []string{"shared", "team"} {
		if bad, text := f.tool(who, "wait_for_reply", map[string]any{"instance_id": "alice", "channel": "team-quiet", "persistent": false, "timeout_seconds": 0}); !bad {
			t.Error(text)
		}
	}
	if !strings.Contains(waits(), "alice") {
		t.Error("the wait has ended")
	}
	if got := fmt.Sprint(f.must("reader", "GET", "/api/waits", nil)); !strings.Contains(got, "alice") {
		t.Errorf("who may read the channel sees who waits there: %s", got)
	}
	f.must("team", "POST", "/api/messages", map[string]string{"sender": "t", "channel": "team-quiet", "content": "the answer"})
	if text := <-done; !strings.Contains(text, "the answer") {
		t.Error(text)
	}
}

func TestWhatLastsEndsWithItsKey(t *testing.T) {
	f := build(t)
	// Another process on the same database is another node.
	other := start(t, strings.Split(strings.Split(f.hub.stderr.String(), `"db":"`)[1], `"`)[0], env("MCP_API_KEY", "sesame-sesame"))
	f.url = other.url
	conn, status := f.socket("team", "channels=*&instance_id=t1")
	if status != http.StatusSwitchingProtocols {
		t.Fatal(status)
	}
	stream, mcp, sse := f.events("team", "/api/stream?channels=*"), f.events("team", "/mcp"), f.events("team", "/sse")
	polled := make(chan int, 2)
	go func() {
		status, _ := f.ask("team", "GET", "/api/messages/team-a?after_id=99&wait=30", nil)
		polled <- status
	}()
	waited := make(chan string, 1)
	go func() {
		_, text := f.tool("team", "wait_for_reply", map[string]any{"instance_id": "t2", "channel": "team-a", "persistent": false, "timeout_seconds": 40})
		waited <- text
	}()
	eventually(t, func() bool { return strings.Contains(fmt.Sprint(f.must("shared", "GET", "/api/waits", nil)), "t2") })
	f.url = f.hub.url
	f.must("shared", "POST", "/api/keys/team/revoke", nil)
	limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if _, _, err := conn.Read(limit); err != nil {
			if websocket.CloseStatus(err) != 4401 {
				t.Errorf("the WebSocket ended with %v", err)
			}
			break
		}
	}
	for _, next := range []func() (string, error){stream, mcp, sse} {
		for {
			if _, err := next(); err != nil {
				break
			}
		}
	}
	if got := <-polled; got != http.StatusUnauthorized {
		t.Errorf("the poll ended with %d", got)
	}
	if text := <-waited; strings.Contains(text, "No new messages") {
		t.Errorf("the wait ended with %s", text)
	}
	for _, u := range []string{f.hub.url, other.url} {
		f.url = u
		if status, _ := f.ask("team", "GET", "/api/channels", nil); status != http.StatusUnauthorized {
			t.Errorf("the revoked key: %d", status)
		}
	}
}

func TestSyntaxIsOnlyText(t *testing.T) { onEachDatabase(t, syntaxIsText) }

func syntaxIsText(t *testing.T, f *fort) {
	for _, s := range []string{
		`' OR 1=1 --`, `'; DROP TABLE messages; --`, `" OR "" = "`, `%`, `_`, `\`, `*`, `"`, `""`, `NEAR(a b)`, `a AND`, `a OR`, `NOT a`, `words:` + treasure, `^x`, `a*`, `(`, `{a b}: c`,
		`§cvault`, `§c` + "vault " + treasure, "§s" + "616c696365", "$1", "?1", ":name", "@p", "1; SELECT pg_sleep(9)", "x' || (SELECT content FROM messages) || '", "<msg>", "../../vault", "%2e%2e/vault", "team-*", "team-%",
		"crosstalk://channel/vault", "\u202evault",
	} {
		q := url.QueryEscape(s)
		for _, path := range []string{
			"/api/search?q=" + q, "/api/search?q=x&sender=" + q, "/api/search?q=x&channel=" + q, "/api/channels/search?q=" + q, "/api/messages/" + url.PathEscape(s), "/api/data/" + url.PathEscape(s),
			"/api/messages/team-a?instance_id=" + q + "&after_id=0", "/api/stream?channels=" + q + "&instance_id=" + q, "/api/instances?status=" + q,
		} {
			status, text := f.ask("team", "GET", path, nil)
			if status >= 500 || strings.Contains(text, "the word is") {
				t.Errorf("%s: %d %.300s", path, status, text)
			}
		}
		for _, body := range []map[string]string{
			{"sender": s, "channel": "team-a", "content": s}, {"sender": "t", "channel": s, "content": s, "idempotency_key": s}, {"sender": "t", "content": s, "message_type": s},
		} {
			if status, text := f.ask("team", "POST", "/api/messages", body); status >= 500 {
				t.Errorf("%v: %d %s", body, status, text)
			}
		}
		for _, body := range []map[string]string{{"name": s}, {"name": "k" + fmt.Sprint(len(s)), "channels": s}, {"name": "x", "scope": s}} {
			if status, text := f.ask("boss", "POST", "/api/keys", body); status >= 500 {
				t.Errorf("%v: %d %s", body, status, text)
			}
		}
	}
	if got := f.must("shared", "GET", "/api/messages/vault", nil); !strings.Contains(fmt.Sprint(got), treasure) {
		t.Errorf("the vault is empty: %v", got)
	}
}
