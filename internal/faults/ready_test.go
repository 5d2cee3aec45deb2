package faults

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crosstalk/internal/pgtest"
)

// parts is what /readyz says, and which parts it says are out of order.
func parts(t *testing.T, s *server) (status int, state string, bad []string) {
	t.Helper()
	status, text := readyz(s)
	var answer struct {
		Status string
		Parts  map[string]struct {
			OK  bool
			Why string
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Parts) == 0 {
		t.Errorf("/readyz answers %d %s", status, text)
	}
	for name, p := range answer.Parts {
		if !p.OK {
			bad = append(bad, name)
		}
		if strings.Contains(p.Why, "://") || strings.Contains(p.Why, "127.0.0.1") {
			t.Errorf("whoever asks is told of the %s: %s", name, p.Why)
		}
	}
	return status, answer.Status, bad
}

// says waits until /readyz says so.
func says(t *testing.T, s *server, status int, state, bad string) {
	t.Helper()
	eventually(t, 30*time.Second, "/readyz says "+state+" "+bad, func() bool {
		is, was, which := parts(t, s)
		return is == status && was == state && strings.Join(which, " ") == bad
	})
	var answer any
	if got := ask(t, s, "/livez", &answer); got != http.StatusOK {
		t.Errorf("/livez answers %d %v", got, answer)
	}
}

// TestAnotherProcessHoldsTheDatabase locks a SQLite database under a server, as a long import would: it can be read, and a
// send that waits for it is stored in the end.
func TestAnotherProcessHoldsTheDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(memoryFolder(t), "bus.db")
	s := newServer(t, crosstalk(t), path)
	s.start(t)
	says(t, s, http.StatusOK, "ok", "")
	c, err := openFile(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, statement := range []string{"PRAGMA busy_timeout = 10000", "BEGIN IMMEDIATE"} {
		if _, err := c.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	sent := make(chan int, 1)
	go func() {
		res, err := http.Post("http://"+s.at()+"/api/messages", "application/json",
			bytes.NewReader([]byte(`{"channel":"room","sender":"alice","content":"hi"}`)))
		if err != nil {
			t.Error(err)
			sent <- 0
			return
		}
		_ = res.Body.Close()
		sent <- res.StatusCode
	}()
	says(t, s, http.StatusServiceUnavailable, "unready", "writer")
	if _, err := c.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if status := <-sent; status != http.StatusOK {
		t.Errorf("the send was answered %d", status)
	}
	says(t, s, http.StatusOK, "ok", "")
}

// TestTheBellIsCut parts a node from the notifications of others alone: it serves on, and says that it hears them late.
func TestTheBellIsCut(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	url := cluster.Database(t)
	w := newWire(t, cluster.Addr())
	s := newNode(t, url, "--listen-url", w.through(t, url))
	s.start(t)
	says(t, s, http.StatusOK, "ok", "")
	w.set(torn)
	says(t, s, http.StatusOK, "degraded", "doorbell")
	w.set(joined)
	says(t, s, http.StatusOK, "ok", "")
}
