package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
)

func TestSessionsOfPrincipalsAreApart(t *testing.T) {
	left := []string{}
	s := newSessions(func(conn string, _ models.Principal) { left = append(left, conn) })
	a, b := models.Principal{Name: "a"}, models.Principal{Name: "b"}
	first, second := s.enter(a, "S"), s.enter(b, "S")
	if first == second || first.conn == second.conn || s.enter(a, "S") != first {
		t.Error("two principals share a session by its id")
	}
	s.remove(a, "S")
	if s.enter(a, "S") != nil || s.enter(b, "S") != second {
		t.Error("a principal deleted the session of another")
	}
	if len(left) != 1 || left[0] != first.conn {
		t.Errorf("left were %q", left)
	}
}

func TestIdleSessionsAreForgottenAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left []string
		s := newSessions(func(conn string, _ models.Principal) { left = append(left, conn) })
		who := models.Principal{Name: "w"}
		busy, idle := s.enter(who, "busy"), s.enter(who, "idle")
		s.leave(idle)
		time.Sleep(idleTime - 1)
		if again := s.enter(who, "idle"); again != idle || len(left) != 0 {
			t.Errorf("forgotten within a day: %q", left)
		}
		s.leave(idle)
		time.Sleep(idleTime)
		s.leave(s.enter(who, "new"))
		if len(left) != 1 || left[0] != idle.conn {
			t.Errorf("left were %q", left)
		}
		if s.enter(who, "busy") != busy {
			t.Error("a session in use was forgotten")
		}
		if again := s.enter(who, "idle"); again == nil || again == idle {
			t.Error("a forgotten session is not adopted anew")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	left := 0
	s := newSessions(func(string, models.Principal) { left++ })
	who := models.Principal{Name: "w"}
	busy := s.enter(who, "busy")
	first := s.enter(who, "0")
	s.leave(first)
	for i := 1; i < maxSessions+50; i++ {
		s.leave(s.enter(who, fmt.Sprint(i)))
		if i == maxSessions/2 {
			s.leave(s.enter(who, "0")) // now used more lately than half of them
		}
	}
	if len(s.used) != maxSessions || s.idle.Len() != maxSessions-1 || left != 51 {
		t.Errorf("%d sessions, %d idle, %d left", len(s.used), s.idle.Len(), left)
	}
	if s.enter(who, "busy") != busy || s.enter(who, "0") != first {
		t.Error("one that is used was forgotten before those that were idle longer")
	}
	for i := range maxSessions + 50 {
		s.remove(who, fmt.Sprint(i))
	}
	if len(s.deleted) != maxSessions || s.graves.Len() != maxSessions || len(s.used) != 1 {
		t.Errorf("%d deleted sessions are remembered, %d used", len(s.deleted), len(s.used))
	}
	if s.enter(who, "49") == nil || s.enter(who, "50") != nil {
		t.Error("not the deletions of longest ago were forgotten")
	}
}

func TestAThousandSessionsThatLeaveLeaveNothing(t *testing.T) {
	b := newProbe()
	o := Options{Bridge: b, Gate: gate(t, auth.Config{}), Log: logTo(t)}
	h := newStreamable(&o)
	s := httptest.NewServer(o.door("", h.serveHTTP))
	defer s.Close()
	url := s.URL
	before := runtime.NumGoroutine()
	for i := range 10 {
		ctx, leave := context.WithCancel(t.Context())
		for k := range 100 {
			r, err := post(ctx, url, initialize)
			if err != nil {
				t.Fatal(err)
			}
			id := r.Header.Get("Mcp-Session-Id")
			_ = r.Body.Close()
			stream, err := send(ctx, http.MethodGet, url, "", "Accept: text/event-stream", "Mcp-Session-Id: "+id)
			if err != nil || stream.StatusCode != 200 {
				t.Fatalf("stream %d: %v, %v", 100*i+k, stream, err)
			}
			defer func() { _ = stream.Body.Close() }()
		}
		if open, _ := b.connections(); open != 100 {
			t.Errorf("%d streams are open", open)
		}
		leave()
		eventually(t, "all streams end", func() bool { open, _ := b.connections(); return open == 0 })
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+2 })
	eventually(t, "all sessions are idle", func() bool {
		h.sessions.mu.Lock()
		defer h.sessions.mu.Unlock()
		return h.sessions.idle.Len() == 1000
	})
}

// A credential may come again under its name with fewer rights: what it finds of the earlier one must not have more.
func TestASessionHasTheRightsOfWhoCalls(t *testing.T) {
	table := newSessions(func(string, models.Principal) {})
	more := models.Principal{Name: "key:ci", Scope: models.ScopeAdmin}
	for _, less := range []models.Principal{
		{Name: "key:ci", Scope: models.ScopeRead},
		{Name: "key:ci", Scope: models.ScopeAdmin, Channels: "team-*"},
		{Name: "key:c", Scope: models.ScopeAdmin},
	} {
		a, b := table.enter(more, "s"), table.enter(less, "s")
		if a == b || b.who != less {
			t.Errorf("%+v got the session of %+v", less, a.who)
		}
		table.leave(a)
		table.leave(b)
	}
	x, y := table.enter(models.Principal{Name: "grant:a/b"}, "c"), table.enter(models.Principal{Name: "grant:a"}, "b/c")
	if x == y {
		t.Error("a name and an id run into each other")
	}
}
