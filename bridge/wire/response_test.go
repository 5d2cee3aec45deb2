package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// sink is a client that takes everything, or nothing.
type sink struct {
	head   http.Header
	broken error

	mu sync.Mutex
	// Guarded by mu.
	status int
	body   bytes.Buffer
	sent   int       // bytes that were flushed
	until  time.Time // when the last write had to be over
}

// took returns what came since it was last asked, all of which must have been flushed.
func (s *sink) took(t testing.TB) (status int, body string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent != s.body.Len() {
		t.Errorf("of %d bytes %d were flushed", s.body.Len(), s.sent)
	}
	status, body = s.status, s.body.String()
	s.body.Reset()
	s.sent = 0
	return status, body
}

func (s *sink) Header() http.Header { return s.head }

func (s *sink) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Until(s.until) != writeTime {
		return 0, errors.New("a write had another deadline")
	}
	return s.body.Write(b)
}

func (s *sink) FlushError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = s.body.Len()
	return s.broken
}

func (s *sink) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = t
	return nil
}

// asked is a request whose client reads what accept says.
func asked(t testing.TB, accept string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	return r
}

const anything = "application/json, text/event-stream"

func TestASilentCallGivesSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &sink{head: http.Header{}}
		s := respond(w, asked(t, anything), func() { t.Error("the client is taken for lost") })
		time.Sleep(beatEvery - 1)
		if status, body := w.took(t); status != 0 || body != "" {
			t.Errorf("too early: %d %q", status, body)
		}
		time.Sleep(2*beatEvery + 1)
		synctest.Wait()
		if status, body := w.took(t); status != 200 || w.head.Get("Content-Type") != "text/event-stream" || body != strings.Repeat(": \n\n", 3) {
			t.Errorf("got %d %v %q", status, w.head, body)
		}
		if err := s.answer([]byte(`{"a":1}`), 404); err != nil {
			t.Error(err)
		}
		if _, body := w.took(t); body != "event: message\ndata: {\"a\":1}\n\n" {
			t.Errorf("the answer is %q", body)
		}
		time.Sleep(10 * beatEvery)
		s.end()
		err := s.event([]byte("late"))
		if _, body := w.took(t); !errors.Is(err, errOver) || body != "" {
			t.Errorf("after the answer came %q, %v", body, err)
		}
	})
}

func TestWhoSaysSomethingGivesNoOtherSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &sink{head: http.Header{}}
		s := respond(w, asked(t, anything), nil)
		defer s.end()
		for range 3 {
			if err := s.event([]byte("{}")); err != nil {
				t.Error(err)
			}
			time.Sleep(beatEvery)
			synctest.Wait()
		}
		if _, body := w.took(t); body != strings.Repeat("event: message\ndata: {}\n\n", 3) {
			t.Errorf("got %q", body)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if _, body := w.took(t); body != ": \n\n" {
			t.Errorf("then it gives %q", body)
		}
	})
}

func TestAnAnswerAloneIsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, accept := range []string{anything, "application/json", "", "*/*"} {
			w := &sink{head: http.Header{}}
			s := respond(w, asked(t, accept), nil)
			if accept != anything {
				time.Sleep(10 * beatEvery)
				if err := s.event([]byte(`{}`)); err != nil {
					t.Error(err)
				}
			}
			big := []byte(`"` + strings.Repeat("x", 3*chunk) + `"`)
			if err := s.answer(big, 400); err != nil {
				t.Error(err)
			}
			if status, body := w.took(t); status != 400 || w.head.Get("Content-Type") != "application/json" || body != string(big) {
				t.Errorf("Accept %q: got %d %v, %d bytes", accept, status, w.head, len(body))
			}
		}
	})
}

func TestAClientThatTakesNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		for name, write := range map[string]func(*response) error{
			"event":  func(s *response) error { return s.event([]byte("{}")) },
			"answer": func(s *response) error { return s.answer([]byte("{}"), 200) },
			"sign of life": func(s *response) error {
				time.Sleep(beatEvery)
				synctest.Wait()
				return s.event([]byte("{}"))
			},
		} {
			lost := 0
			s := respond(&sink{head: http.Header{}, broken: broken}, asked(t, anything), func() { lost++ })
			if err := write(s); !errors.Is(err, broken) || lost == 0 {
				t.Errorf("%s: %v, lost %d times", name, err, lost)
			}
			s.end()
		}
	})
}

func TestWithoutAnAnswerNothingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &sink{head: http.Header{}}
		s := respond(w, asked(t, anything), nil)
		s.end()
		time.Sleep(10 * beatEvery)
		if status, body := w.took(t); status != http.StatusAccepted || body != "" {
			t.Errorf("got %d %q", status, body)
		}
	})
}

// TestWhoDoesNotReadHoldsUpNobodyAndLosesNothing fills a socket with reports, so that one stops within a chunk.
func TestWhoDoesNotReadHoldsUpNobodyAndLosesNothing(t *testing.T) {
	b := newProbe()
	told := make(chan int, 1)
	b.mcp.AddTool(mcp.NewTool("flood"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		c := server.ClientSessionFromContext(ctx).(*caller)
		report := c.progress(json.RawMessage("1"))
		long, n := strings.Repeat("x", 40<<10), 0
		for ; report(ctx, float64(n), long) == nil; n++ {
			for first := n == 0; first; { // opens the stream
				runtime.Gosched()
				c.behind.Lock()
				first = len(c.reports) > 0
				c.behind.Unlock()
			}
		}
		told <- n
		return mcp.NewToolResultText("done"), nil
	})
	r, err := post(t.Context(), serve(t, Options{Bridge: b})+"/mcp", call(1, "flood", "x"))
	if err != nil {
		t.Fatal(err)
	}
	n := hear(t, told)
	events := feed(t, r.Body)
	if n <= notesAhead+1 {
		t.Error("none was written at once")
	}
	for i := range n {
		hear(t, events)
		wants(t, hear(t, events), fmt.Sprintf(`"progressToken":1,"progress":%d,`, i))
	}
	hear(t, events)
	wants(t, hear(t, events), `"id":1,"result"`)
	_ = r.Body.Close()
}
