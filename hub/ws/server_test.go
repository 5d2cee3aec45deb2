package ws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"crosstalk/auth"
)

func TestDrainAsksEveryClientToComeBack(t *testing.T) {
	h := newHouse(t, auth.Config{})
	const clients = 1000
	peers := make([]*peer, clients)
	for i := range peers {
		peers[i] = h.connect("/ws?channels=a")
		peers[i].read("welcome")
	}
	reasons := make([]string, clients)
	var reading sync.WaitGroup
	for part := range 10 {
		reading.Go(func() {
			for i := part; i < clients; i += 10 {
				if i%2 == 0 { // the others do not answer
					var code int
					if code, reasons[i] = peers[i].ended(); code != 1012 {
						t.Errorf("client %d: closed with %d", i, code)
					}
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begin := time.Now()
	h.srv.Drain(ctx)
	if took := time.Since(begin); took > 4*time.Second { // less than linger
		t.Errorf("drained after %s", took)
	}
	if n := h.srv.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	reading.Wait()
	pattern, different := regexp.MustCompile(`^restarting; retry in \d+ ms$`), map[string]bool{}
	for i, reason := range reasons {
		if i%2 == 0 && !pattern.MatchString(reason) {
			t.Errorf("client %d: %q", i, reason)
		}
		different[reason] = true
	}
	if len(different) < clients/4 {
		t.Errorf("only %d different times to come back", len(different))
	}
	_, resp, err := h.shake("/ws")
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("afterwards: %v %v", resp, err)
	}
}

func TestDrainEndsWhenAllHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		h.srv.Drain(t.Context()) // nobody was there
		h = newBubble(t, auth.Config{})
		p := h.connect("/ws")
		p.read("welcome")
		begin := time.Now()
		var drain sync.WaitGroup
		drain.Go(func() { h.srv.Drain(t.Context()) })
		if _, err := p.next(); !errors.As(err, new(closed)) {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		p.leave(1012)
		drain.Wait()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("drained after %s", took)
		}
	})
}

func TestPingsAreSpreadOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		for range slots {
			h.connect("/ws").read("welcome")
		}
		for i := range slots {
			if n := len(h.srv.slot(i)); n != 1 {
				t.Errorf("%d connections in slot %d", n, i)
			}
		}
	})
}

// TestOrdinaryClient talks to the server with a library, as most clients do.
func TestOrdinaryClient(t *testing.T) {
	h := newHouse(t, auth.Config{Key: key})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+h.addr+"/ws?channels=a", &websocket.DialOptions{
		Subprotocols:    []string{subprotocol, bearer()},
		CompressionMode: websocket.CompressionContextTakeover, // offered, and declined
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	var said []string
	read := func() {
		typ, b, err := ws.Read(ctx)
		for err == nil && strings.Contains(string(b), `"type":"position"`) {
			typ, b, err = ws.Read(ctx)
		}
		if err != nil || typ != websocket.MessageText {
			t.Fatal(typ, err)
		}
		said = append(said, string(b))
	}
	read()
	read()
	for _, size := range []int{1, 100, 1000, 100_000} {
		content := strings.Repeat("x", size)
		if err := ws.Write(ctx, websocket.MessageText, []byte(`{"type":"publish","channel":"b","sender":"bob","content":"`+content+`"}`)); err != nil {
			t.Fatal(err)
		}
		read()
	}
	for _, want := range []string{"welcome", "subscribed", "published", "published", "published", "published"} {
		if !strings.Contains(said[0], `"type":"`+want+`"`) {
			t.Errorf("got %s, want %s", said[0], want)
		}
		said = said[1:]
	}
	if ws.Subprotocol() != subprotocol {
		t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	if err := ws.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Errorf("goodbye: %v", err)
	}
}

func TestRunClosesWhatIsLeft(t *testing.T) {
	h := newHouse(t, auth.Config{})
	peers := make([]*peer, 20)
	for i := range peers {
		peers[i] = h.connect("/ws?channels=a")
		peers[i].read("welcome")
		peers[i].read("subscribed")
	}
	h.stop()
	for _, p := range peers {
		if _, err := p.timeless(); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
	}
	eventually(t, "none is left", func() bool { return h.srv.Len() == 0 })
	if _, resp, err := h.shake("/ws"); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("afterwards: %v %v", resp, err)
	}
}

func TestWhoComesBeforeRunWaitsForIt(t *testing.T) {
	s := New(Options{})
	if !s.enter() {
		t.Error("a client that came early was sent away")
	}
	s.work.Done()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ended); err != nil || s.enter() {
		t.Errorf("a client that came late was let in, %v", err)
	}
}
