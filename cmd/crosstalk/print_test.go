package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// brief reads so many times what is written, and then no more.
type brief struct{ times int }

func (b *brief) Write(p []byte) (int, error) {
	if b.times--; b.times < 0 {
		return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
	}
	return len(p), nil
}

func TestWhoStopsReadingMakesNoCommandFail(t *testing.T) {
	db, dir := dbIn(t), t.TempDir()
	getenv := env("CROSSTALK_DB", db, "USER", "me", "HOME", crossClaudeHome(t))
	for range 3 {
		does(t, getenv, "", "send", "room", "a quokka").well(t)
	}
	does(t, getenv, "x", "data", "put", "k").well(t)
	for _, args := range []string{
		"send room x", "send room x --json --wait 10s", "tail", "tail --json", "channels", "channels --json", "instances", "search quokka", "export room",
		"export room --format markdown", "data put k -", "data get k", "data get k --json", "data ls", "keys list", "audit",
		"audit --json", "stats", "stats --json", "verify", "verify --json", "doctor --read-only", "config", "version", "serve --help", "completion bash", "mcp-config codex",
		"migrate status", "migrate up", "backup " + filepath.Join(dir, "copy.db"), "import cross-claude --db " + filepath.Join(dir, "other.db"),
	} {
		err := run(t.Context(), strings.Fields(args), getenv, strings.NewReader("y"), &brief{}, io.Discard)
		if err != nil {
			t.Errorf("crosstalk %s: %v", args, err)
		}
	}
	for _, args := range []string{"keys create a", "invites create b"} {
		err := run(t.Context(), strings.Fields(args), getenv, nil, &brief{}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "is lost") {
			t.Errorf("crosstalk %s, of which nobody has read the secret: %v", args, err)
		}
	}
	r := start(t, dbIn(t), env())
	asked := make(chan error, 1)
	go func() {
		args := []string{"send", "q", "--json", "--wait", "30s", "which?", "--url", r.url}
		asked <- run(t.Context(), args, getenv, nil, &brief{1}, io.Discard) // as head -1 reads
	}()
	c := client(t)
	var p page
	eventually(t, func() bool { call(t, c, r.url+"/api/messages/q", nil, &p); return len(p.Messages) == 1 })
	post(t, c, r.url, "q", "this")
	if err := <-asked; err != nil {
		t.Errorf("the answer, too, is not read: %v", err)
	}
}

func TestOtherFaultsAreToldWhoeverReads(t *testing.T) {
	_, unread := outlet{&brief{}}.Write(nil)
	other := errors.New("other")
	for _, err := range []error{errors.Join(unread, other), errors.Join(errors.Join(fmt.Errorf("print: %w", unread)), other), other} {
		if got := faultsOf(err); got == nil || strings.TrimSpace(got.Error()) != "other" {
			t.Errorf("of %q remains %v", err, got)
		}
	}
	hub := fmt.Errorf("ask the hub: %w", syscall.EPIPE)
	if faultsOf(hub) == nil || faultsOf(unread) != nil || faultsOf(nil) != nil {
		t.Error("a hub that is gone is taken for a reader, or a reader for a hub")
	}
}

func TestSharedDataGoesToAFileAsItWouldBePrinted(t *testing.T) {
	getenv, dir := env("CROSSTALK_DB", dbIn(t)), t.TempDir()
	does(t, getenv, "text\n", "data", "put", "k").well(t)
	for _, flags := range [][]string{nil, {"--json"}} {
		file := filepath.Join(dir, "f")
		printed := does(t, getenv, "", append([]string{"data", "get", "k"}, flags...)...).well(t)
		if out := does(t, getenv, "", append([]string{"data", "get", "k", "-o", file}, flags...)...).well(t); out != "" {
			t.Errorf("%v: printed %q", flags, out)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != printed || bytes.HasPrefix(b, []byte("{")) != (flags != nil) {
			t.Errorf("%v: the file has %q, want %q, %v", flags, b, printed, err)
		}
	}
}
