package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"crosstalk/models"
)

// paper is a stream that keeps what is written.
type paper struct {
	mu    sync.Mutex
	lines []string
}

func (p *paper) event(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, string(b))
	return nil
}

func (p *paper) try([]byte) bool { return false }

func (p *paper) answer(b []byte, _ int) error { return p.event(b) }

func TestNothingComesAfterTheAnswer(t *testing.T) {
	s := server.NewMCPServer("late", "1")
	var late func() (progress, note error)
	ended := make(chan struct{})
	s.AddTool(mcp.NewTool("late"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		report := server.ClientSessionFromContext(ctx).(*caller).progress(json.RawMessage("1"))
		if err := s.SendNotificationToClient(ctx, "n", map[string]any{"x": 1}); err != nil {
			return nil, err
		}
		late = func() (error, error) {
			return report(ctx, 1, ""), s.SendNotificationToClient(ctx, "late", nil)
		}
		context.AfterFunc(ctx, func() { close(ended) })
		return mcp.NewToolResultText("done"), nil
	})
	out := &paper{}
	o := Options{Bridge: newDesk(s), Log: logTo(t)}
	m := request("1")
	m.Raw = []byte(call(1, "late", ""))
	f := newSession(models.Principal{}, "").begin(t.Context(), m)
	o.serve(f, out)
	hear(t, ended) // what a handler leaves behind can know that its request is over
	if f.ctx.Err() == nil {
		t.Error("the context of the request stays")
	}
	if progress, _ := late(); !errors.Is(progress, errOver) {
		t.Errorf("late progress: %v", progress)
	}
	if len(out.lines) != 2 || out.lines[0] != `{"jsonrpc":"2.0","method":"n","params":{"x":1}}` {
		t.Errorf("written was %q", out.lines)
	}
	quiet := &caller{session: newSession(models.Principal{}, ""), out: out}
	quiet.close()
	if quiet.NotificationChannel() != nil {
		t.Error("a request that is over takes notifications")
	}
}

func TestProgressThatIsNoNumberIsAnError(t *testing.T) {
	c := &caller{session: newSession(models.Principal{}, ""), out: &paper{}}
	if err := c.progress(json.RawMessage("1"))(t.Context(), math.NaN(), ""); err == nil {
		t.Error("it was written")
	}
	if c.progress(nil) != nil {
		t.Error("there is progress without a token")
	}
}

func TestManyNotificationsKeepTheirOrder(t *testing.T) {
	out := &paper{}
	c := &caller{session: newSession(models.Principal{}, ""), out: out}
	notes := c.NotificationChannel()
	for i := range 1000 {
		var n mcp.JSONRPCNotification
		n.Method = string(rune('a' + i%26))
		notes <- n
	}
	c.close()
	if len(out.lines) != 1000 {
		t.Fatalf("%d were written", len(out.lines))
	}
	for i, line := range out.lines {
		var n mcp.JSONRPCNotification
		if err := json.Unmarshal([]byte(line), &n); err != nil || n.Method != string(rune('a'+i%26)) {
			t.Fatalf("%d is %s, %v", i, line, err)
		}
	}
}

func TestAQuestionToAClientThatIsGoneEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := &paper{}
	c := &caller{session: newSession(models.Principal{}, ""), out: out}
	if _, err := c.RequestElicitation(ctx, mcp.ElicitationRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(c.asked) != 0 || len(out.lines) != 1 {
		t.Errorf("%d questions are open, %q was written", len(c.asked), out.lines)
	}
}

// shut is a stream whose client reads nothing until it opens.
type shut struct {
	paper
	open chan struct{}
}

func (s *shut) event(b []byte) error {
	<-s.open
	return s.paper.event(b)
}

func TestReportsDoNotWaitForTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &shut{open: make(chan struct{})}
		c := &caller{session: newSession(models.Principal{}, ""), out: out}
		report := c.progress(json.RawMessage(`"t"`))
		for i := range notesAhead {
			if err := report(t.Context(), float64(i), "m"); err != nil {
				t.Fatalf("report %d: %v", i, err)
			}
		}
		synctest.Wait()
		if err := report(t.Context(), notesAhead, ""); !errors.Is(err, errLate) {
			t.Errorf("one more: %v", err)
		}
		close(out.open)
		c.close()
		if len(out.lines) != notesAhead {
			t.Fatalf("%d were written", len(out.lines))
		}
		for i, line := range out.lines {
			if want := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":%d,"message":"m"}}`, i); line != want {
				t.Fatalf("%d is %s", i, line)
			}
		}
	})
}

func TestReportsAreJSONWhateverTheySay(t *testing.T) {
	for _, said := range []string{"", "waiting in #general for 15s", `a "quote" and a \`, "<b>&", "zwölf", "\x00\n", "\xff"} {
		b, err := appendProgress(nil, json.RawMessage("7"), 1.5, said)
		var got struct {
			Params struct {
				ProgressToken, Progress float64
				Message                 string
			}
		}
		if jerr := json.Unmarshal(b, &got); err != nil || jerr != nil || got.Params.Message != strings.ToValidUTF8(said, "\ufffd") || got.Params.Progress != 1.5 || got.Params.ProgressToken != 7 {
			t.Errorf("%q became %s: %v, %v", said, b, err, jerr)
		}
	}
}
