package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"crosstalk/internal/pgtest"
)

// fort is a hub with a shared key and named keys, and something to hide in the channel vault.
type fort struct {
	t    *testing.T
	url  string
	c    *http.Client
	keys map[string]string // by who has them
	hub  *running
	id   map[string]int64 // of messages, by their content
}

// What must come out of no door for those who may not read the vault.
const treasure = "xyzzy"

func build(t *testing.T) *fort {
	t.Helper()
	return buildOn(t, dbIn(t), env("MCP_API_KEY", "sesame-sesame"))
}

// onEachDatabase attacks a fort on SQLite and one on PostgreSQL, for what they may look at is for the database to keep.
func onEachDatabase(t *testing.T, attack func(t *testing.T, f *fort)) {
	t.Run("SQLite", func(t *testing.T) { attack(t, build(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		attack(t, buildOn(t, "", env("MCP_API_KEY", "sesame-sesame", "DATABASE_URL", pgtest.Start(t))))
	})
}

func buildOn(t *testing.T, db string, getenv func(string) string) *fort {
	t.Helper()
	r := start(t, db, getenv, "--log-level", "debug",
		"--limit-failures", "0", "--limit-requests", "0", "--limit-publishes", "0") // an attack must not end because it is quick
	f := &fort{t: t, url: r.url, c: client(t), hub: r, keys: map[string]string{"shared": "sesame-sesame", "none": "", "wrong": "ctk_AAAAAAAAAAAAAAAAAAAAAAAAAA"}, id: map[string]int64{}}
	for name, k := range map[string]map[string]string{
		"boss":   {"scope": "admin"},
		"alice":  {"scope": "write"},
		"team":   {"scope": "write", "channels": "team-*,general"},
		"reader": {"scope": "read", "channels": "team-*"},
		"gone":   {},
		"late":   {"expires_at": time.Now().Add(1500 * time.Millisecond).UTC().Format(time.RFC3339Nano)},
	} {
		k["name"] = name
		f.keys[name] = f.must("shared", "POST", "/api/keys", k)["key"].(string)
	}
	f.must("shared", "POST", "/api/keys/gone/revoke", nil)
	f.must("alice", "POST", "/api/register", map[string]string{"instance_id": "alice", "description": "works on " + treasure})
	f.must("shared", "POST", "/api/channels", map[string]string{"name": "vault", "description": "where " + treasure + " is"})
	for _, m := range []struct{ who, sender, channel, content string }{
		{"shared", "keeper", "team-a", "welcome"},
		{"alice", "alice", "vault", "the word is " + treasure},
	} {
		got := f.must(m.who, "POST", "/api/messages", map[string]string{"sender": m.sender, "channel": m.channel, "content": m.content})
		f.id[m.channel] = int64(got["id"].(float64))
	}
	f.must("alice", "POST", "/api/messages", map[string]any{"sender": "alice", "channel": "vault", "content": treasure + " in reply", "in_reply_to": f.id["team-a"]})
	f.must("shared", "POST", "/api/data", map[string]string{"key": "map", "sender": "keeper", "content": treasure, "channel": "vault", "description": treasure})
	f.must("shared", "POST", "/api/data", map[string]string{"key": "loose", "sender": "keeper", "content": treasure})
	f.must("shared", "POST", "/api/data", map[string]string{"key": "ours", "sender": "keeper", "content": "plan", "channel": "team-a"})
	return f
}

// ask sends one request and returns the status and what came.
func (f *fort) ask(who, method, path string, body any, header ...string) (int, string) {
	f.t.Helper()
	reader := io.Reader(nil)
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			f.t.Fatal(err)
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, reader)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if f.keys[who] != "" {
		req.Header.Set("Authorization", "Bearer "+f.keys[who])
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := f.c.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") && res.StatusCode == http.StatusOK && method == "GET" {
		return res.StatusCode, "" // it does not end by itself
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// must is an ask that goes well.
func (f *fort) must(who, method, path string, body any) map[string]any {
	f.t.Helper()
	status, text := f.ask(who, method, path, body)
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
		f.t.Fatalf("%s %s %s: %d %s", who, method, path, status, text)
	}
	return got
}

// mcp makes one request of the protocol and returns the result's or error's text; bad is true for either kind of error.
func (f *fort) mcp(who, method string, params any) (bad bool, text string) {
	f.t.Helper()
	status, answer := f.ask(who, "POST", "/mcp", map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, "Accept", "application/json")
	var got struct {
		Error  json.RawMessage
		Result struct{ IsError bool }
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK {
		return true, fmt.Sprint(status, " ", answer)
	}
	return got.Error != nil || got.Result.IsError, answer
}

func (f *fort) tool(who, name string, args map[string]any) (bad bool, text string) {
	f.t.Helper()
	return f.mcp(who, "tools/call", map[string]any{"name": name, "arguments": args})
}

// socket opens a WebSocket; status is that of the answer to the upgrade.
func (f *fort) socket(who, query string) (conn *websocket.Conn, status int) {
	f.t.Helper()
	o := &websocket.DialOptions{HTTPClient: f.c, HTTPHeader: http.Header{}}
	if f.keys[who] != "" {
		o.HTTPHeader.Set("Authorization", "Bearer "+f.keys[who])
	}
	conn, res, err := websocket.Dial(f.t.Context(), strings.Replace(f.url, "http", "ws", 1)+"/ws?"+query, o)
	if err != nil {
		if res == nil {
			f.t.Fatal(err)
		}
		return nil, res.StatusCode
	}
	f.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn, http.StatusSwitchingProtocols
}

// say sends a command and returns the answer to it, passing over other frames.
func (f *fort) say(conn *websocket.Conn, cmd map[string]any) string {
	f.t.Helper()
	cmd["id"] = 7
	b, err := json.Marshal(cmd)
	if err == nil {
		err = conn.Write(f.t.Context(), websocket.MessageText, b)
	}
	for err == nil {
		if _, b, err = conn.Read(f.t.Context()); err == nil && bytes.Contains(b, []byte(`"id":7,`)) {
			return string(b)
		}
	}
	f.t.Fatal(err)
	return ""
}

// events opens a stream of Server-Sent Events and passes on its lines.
func (f *fort) events(who, path string) (next func() (string, error)) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), "GET", f.url+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer "+f.keys[who])
	req.Header.Set("Mcp-Session-Id", "s-"+who)
	res, err := f.c.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		f.t.Fatal(res, err)
	}
	f.t.Cleanup(func() { _ = res.Body.Close() })
	in := bufio.NewReader(res.Body)
	return func() (string, error) { return in.ReadString('\n') }
}
