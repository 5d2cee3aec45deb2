package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"crosstalk/internal/pgtest"
)

// agent is a process of crosstalk mcp and the client that started it.
type agent struct {
	t    testing.TB
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	pipe io.Closer // below out
	errs bytes.Buffer
	next int
}

const helloLines = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
`

func startAgent(t testing.TB, args ...string) *agent {
	t.Helper()
	a := &agent{t: t, cmd: exec.Command(os.Args[0], args...)}
	a.cmd.Env = append(os.Environ(), asMain+"=1", "PORT=", "DATABASE_URL=", "HOME="+t.TempDir())
	a.cmd.Stderr = &a.errs
	var err error
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.out, a.pipe = bufio.NewScanner(out), out
	a.out.Buffer(nil, 1<<20)
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if a.cmd.ProcessState == nil {
			_ = a.cmd.Process.Kill()
			_ = a.cmd.Wait()
		}
	})
	a.send(helloLines)
	a.answer(0)
	return a
}

func (a *agent) send(text string) {
	a.t.Helper()
	if _, err := io.WriteString(a.in, text); err != nil {
		a.t.Fatal(err)
	}
}

func (a *agent) call(tool string, arguments map[string]any) int {
	a.t.Helper()
	a.next++
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": a.next, "method": "tools/call",
		"params": map[string]any{"name": tool, "arguments": arguments, "_meta": map[string]any{"progressToken": a.next}}})
	if err != nil {
		a.t.Fatal(err)
	}
	a.send(string(b) + "\n")
	return a.next
}

// answer reads to the answer of a request, and fails on anything that is not protocol.
func (a *agent) answer(id int) string {
	a.t.Helper()
	for a.out.Scan() {
		var m struct {
			JSONRPC string `json:"jsonrpc"`
			ID      *int   `json:"id"`
			Result  struct {
				Content []struct {
					Text string `json:"text"`
				} `json:"content"`
			} `json:"result"`
		}
		if err := json.Unmarshal(a.out.Bytes(), &m); err != nil || m.JSONRPC != "2.0" {
			a.t.Fatalf("not protocol: %s", a.out.Bytes())
		}
		if m.ID == nil || *m.ID != id {
			continue
		}
		if len(m.Result.Content) == 0 {
			return a.out.Text()
		}
		return m.Result.Content[0].Text
	}
	a.t.Fatalf("no answer to %d: %v\n%s", id, a.out.Err(), a.errs.String())
	return ""
}

func (a *agent) tool(name string, arguments map[string]any) string {
	a.t.Helper()
	return a.answer(a.call(name, arguments))
}

// ends waits for the process, which has to end well.
func (a *agent) ends() {
	a.t.Helper()
	for a.out.Scan() {
		if !json.Valid(a.out.Bytes()) {
			a.t.Errorf("not protocol: %s", a.out.Bytes())
		}
	}
	if err := a.cmd.Wait(); err != nil || a.errs.Len() > 0 {
		a.t.Errorf("ended with %v\n%s", err, a.errs.String())
	}
}

func has(t testing.TB, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("no %q in:\n%s", want, text)
	}
}

func TestAgentsOnOneDatabaseWakeEachOther(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { agentsWakeEachOther(t, "mcp", "--db", dbIn(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { agentsWakeEachOther(t, "mcp", "--database-url", pgtest.Start(t)) })
}

func agentsWakeEachOther(t *testing.T, args ...string) {
	a, b := startAgent(t, args...), startAgent(t, args...)
	has(t, a.tool("register", map[string]any{"instance_id": "alice"}), `Registered as "alice"`)
	has(t, b.tool("register", map[string]any{"instance_id": "bob"}), `alice`)
	has(t, b.tool("register", map[string]any{"instance_id": "alice"}), `already in use`)
	wait := a.call("wait_for_reply", map[string]any{"instance_id": "alice", "channel": "x"})
	b.tool("send_message", map[string]any{"sender": "bob", "channel": "x", "content": "wake up"})
	has(t, a.answer(wait), "wake up")
	// The end of the input is the end of the process, and frees its names.
	a.call("wait_for_reply", map[string]any{"instance_id": "alice", "channel": "x"})
	if err := a.in.Close(); err != nil {
		t.Fatal(err)
	}
	a.ends()
	has(t, b.tool("register", map[string]any{"instance_id": "alice"}), `Registered as "alice"`)
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.ends()
}

func TestBareCommandIsAnAgentsWhenAProgramStartsIt(t *testing.T) {
	a := startAgent(t)
	has(t, a.tool("list_channels", map[string]any{}), "general")
	if err := a.in.Close(); err != nil {
		t.Fatal(err)
	}
	a.ends()
}

func TestAnAgentWhoseClientDiesLeavesInOrder(t *testing.T) {
	db := filepath.Join(t.TempDir(), "bus.db")
	a := startAgent(t, "mcp", "--db", db)
	has(t, a.tool("register", map[string]any{"instance_id": "alice"}), "Registered as")
	if err := a.pipe.Close(); err != nil { // its output first, as when a client is killed
		t.Fatal(err)
	}
	a.call("list_channels", map[string]any{})
	if err := a.in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Wait(); err != nil {
		if exit, is := err.(*exec.ExitError); !is || !exit.Exited() {
			t.Errorf("it did not end by itself: %v", err)
		}
	}
	b := startAgent(t, "mcp", "--db", db)
	has(t, b.tool("list_instances", map[string]any{}), "[offline]")
	if err := b.in.Close(); err != nil {
		t.Fatal(err)
	}
	b.ends()
}

// TestManyAgentsAtOnce has twenty processes and a server open one new database at the same moment and
// talk: none is refused, and the log is whole.
func TestManyAgentsAtOnce(t *testing.T) {
	db := filepath.Join(t.TempDir(), "bus.db")
	const agents, each = 20, 10
	all := make([]*agent, agents)
	var begin sync.WaitGroup
	for i := range agents {
		begin.Go(func() { all[i] = startAgent(t, "mcp", "--db", db) })
	}
	begin.Wait()
	var talk sync.WaitGroup
	for i, a := range all {
		talk.Go(func() {
			name := fmt.Sprint("agent", i)
			has(t, a.tool("register", map[string]any{"instance_id": name}), "Registered as")
			for n := range each {
				has(t, a.tool("send_message", map[string]any{"sender": name, "channel": "x", "content": fmt.Sprint(name, " ", n)}), "sent to #x")
			}
		})
	}
	talk.Wait()
	total := fmt.Sprintf("#x: %d messages", agents*each)
	for _, a := range all {
		has(t, a.tool("list_channels", map[string]any{}), total)
		if err := a.in.Close(); err != nil {
			t.Error(err)
		}
		a.ends()
	}
}
