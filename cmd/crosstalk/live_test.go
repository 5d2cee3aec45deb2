package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// pushed reads to the next push.
func (a *agent) pushed() string {
	a.t.Helper()
	for a.out.Scan() {
		var m struct {
			Method string `json:"method"`
			Params struct {
				Content string `json:"content"`
			} `json:"params"`
		}
		if json.Unmarshal(a.out.Bytes(), &m) == nil && m.Method == "notifications/claude/channel" {
			return m.Params.Content
		}
	}
	a.t.Fatalf("nothing was pushed: %v\n%s", a.out.Err(), a.errs.String())
	return ""
}

// quietAddr is a free one that no connection gets by chance while a hub is away from it: systems take the ports for those
// from 32768 on.
func quietAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(12_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// What comes while the hub restarts is pushed once it is back: nothing is left out, nothing comes twice.
func TestAnAgentIsPushedToFromAHubElsewhere(t *testing.T) {
	db := dbIn(t)
	addr := env("CROSSTALK_ADDR", quietAddr(t))
	hub := start(t, db, addr)
	a := startAgent(t, "mcp", "--url", hub.url, "--push")
	has(t, a.tool("register", map[string]any{"instance_id": "alice"}), `Registered as "alice"`)
	post(t, client(t), hub.url, "ops", "from before")
	has(t, a.tool("listen_live", map[string]any{"channel": "ops"}), "Live push ON for #ops, from message #1 on")
	a.tool("send_message", map[string]any{"sender": "alice", "channel": "ops", "content": "my own"})
	post(t, client(t), hub.url, "ops", "one")
	has(t, a.pushed(), ": one")
	if err := hub.end(t); err != nil {
		t.Fatal(err)
	}
	other := start(t, db, env())
	post(t, client(t), other.url, "ops", "two")
	if err := other.end(t); err != nil {
		t.Fatal(err)
	}
	again := start(t, db, addr)
	post(t, client(t), again.url, "ops", "three")
	has(t, a.pushed(), ": two")
	has(t, a.pushed(), ": three")
	// It is counted once it is handed over, a moment later.
	for late := time.Now().Add(10 * time.Second); !strings.Contains(a.tool("delivery_status", nil), "3 pushed, last #5"); {
		if time.Now().After(late) {
			t.Fatal("the pushes were not counted")
		}
	}
	if err := a.in.Close(); err != nil {
		t.Fatal(err)
	}
	a.ends()
}
