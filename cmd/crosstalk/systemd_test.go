package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"crosstalk/hub/health"
)

// TestTheWatchdogIsFedWhileAlive has a service that comes up late, is degraded, and then stuck.
func TestTheWatchdogIsFedWhileAlive(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "100000")
	t.Setenv("WATCHDOG_PID", "")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	next := func() string {
		t.Helper()
		if err := manager.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := manager.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	var asked atomic.Int64
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		}
	}))
	defer hub.Close()
	var state atomic.Pointer[health.Report]
	state.Store(&health.Report{Status: health.OK})

	s := newService(&process{getenv: func(string) string { return socket }}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var looked atomic.Int64
	go func() {
		done <- s.run(ctx, hub.URL, func() health.Report {
			looked.Add(1)
			return *state.Load()
		})
	}()
	if text := next(); !strings.HasPrefix(text, "READY=1\nSTATUS=ok, serving at http://") || asked.Load() < 3 {
		t.Errorf("after %d requests: %q", asked.Load(), text)
	}
	for range 2 {
		if text := next(); text != "WATCHDOG=1" {
			t.Errorf("%q", text)
		}
	}
	until := func(what string) {
		t.Helper()
		for next() != what {
		}
	}
	state.Store(&health.Report{Status: health.Unready, Error: errors.New("writer: no room")})
	until("STATUS=writer: no room")
	until("WATCHDOG=1") // a restart would not help
	state.Store(&health.Report{Status: health.Unready, Error: errors.New("writer: no room"), Stuck: errors.New("writer")})
	until("STATUS=stuck: the log says where")
	looks := looked.Load()
	eventually(t, func() bool { return looked.Load() > looks+5 })
	s.say("MARK")
	if text := next(); text != "MARK" {
		t.Errorf("stuck, it said %q", text)
	}
	state.Store(&health.Report{Status: health.OK})
	until("WATCHDOG=1")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.stopping()
	until("STOPPING=1\nSTATUS=stopping")
}

// TestNobodyIsToldWhereNobodyAsks covers a socket that is not there any more, too.
func TestNobodyIsToldWhereNobodyAsks(t *testing.T) {
	s := newService(&process{getenv: func(string) string { return "" }}, nil)
	if err := s.run(t.Context(), "http://127.0.0.1:1", nil); s != nil || err != nil {
		t.Error(s, err)
	}
	s.stopping()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	var out bytes.Buffer
	(&service{log: slog.New(slog.NewTextHandler(&out, nil))}).stopping()
	if !strings.Contains(out.String(), "cannot be told") {
		t.Errorf("it logs %q", out.String())
	}
}

func TestMemoryLeavesRoomForSQLite(t *testing.T) {
	for _, c := range []struct{ all, file, postgres uint64 }{
		{128 << 20, 90596967, 120795955}, {512 << 20, 399297740, 483183820}, {8 << 30, 7647055052, 7730941132},
	} {
		if got := forGo(c.all, database{file: "x"}); got != c.file {
			t.Errorf("of %d MiB a hub on SQLite takes %d", c.all>>20, got)
		}
		if got := forGo(c.all, database{url: "postgres://"}); got != c.postgres {
			t.Errorf("of %d MiB a hub on PostgreSQL takes %d", c.all>>20, got)
		}
	}
}
