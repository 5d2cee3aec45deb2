package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"crosstalk/auth"
	"crosstalk/models"
)

// introduce has bob stand at the head of #lobby, so that what comes is new to him.
func introduce(t testing.TB, b *bus, url string) {
	t.Helper()
	b.say(t, "before")
	ask(t, url, check(1), "Mcp-Session-Id: hello")
	ask(t, url, check(1), "Mcp-Session-Id: hello") // what was shown is read
}

const seen = "(shown before)"

func TestWhatWasWrittenCountsAsShown(t *testing.T) {
	b := newBus(t)
	url := serve(t, Options{Bridge: b.bridge}) + "/mcp"
	introduce(t, b, url)
	b.say(t, "news")
	if _, _, body := ask(t, url, checkOn(1)); !strings.Contains(body, "news") || strings.Contains(body, seen) {
		t.Errorf("first: %s", body)
	}
	if _, _, body := ask(t, url, checkOn(1)); !strings.Contains(body, "news") || !strings.Contains(body, seen) {
		t.Errorf("again: %s", body)
	}
}

func TestWhatCouldNotBeWrittenWasNotShown(t *testing.T) {
	b := newBus(t)
	o := Options{Bridge: b.bridge, Gate: gate(t, auth.Config{}), Log: logTo(t)}
	url := serve(t, o) + "/mcp"
	introduce(t, b, url)
	b.say(t, "news")

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/mcp", strings.NewReader(checkOn(1)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	HTTP(o).ServeHTTP(&sink{head: http.Header{}, broken: errors.New("broken")}, r)

	if err := Stdio(t.Context(), strings.NewReader(checkOn(1)+"\n"), deaf{}, o); err != nil {
		t.Error(err)
	}
	if _, _, body := ask(t, url, checkOn(1)); !strings.Contains(body, "news") || strings.Contains(body, seen) {
		t.Errorf("then: %s", body)
	}
}

// deaf takes nothing.
type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAWaitWhoseClientIsGoneReadsNothingAway(t *testing.T) {
	b := newBus(t)
	url := serve(t, Options{Bridge: b.bridge}) + "/mcp"
	introduce(t, b, url)
	wait := func(id int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"wait_for_reply","arguments":{"channel":"lobby","instance_id":"bob"},"_meta":{"progressToken":1}}}`, id)
	}
	waits := func() int {
		w, err := b.hub.Waits(t.Context(), models.Principal{Name: models.SharedPrincipal}, "lobby")
		if err != nil {
			t.Fatal(err)
		}
		return len(w)
	}
	ctx, leave := context.WithCancel(t.Context())
	r, err := post(ctx, url, wait(1), "Mcp-Session-Id: S")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it waits", func() bool { return waits() == 1 })
	leave()
	eventually(t, "it has ended", func() bool { return waits() == 0 })
	_ = r.Body.Close()

	cancelled := make(chan string, 1)
	go func() {
		_, _, body := ask(t, url, wait(2), "Mcp-Session-Id: S")
		cancelled <- body
	}()
	eventually(t, "it waits again", func() bool { return waits() == 1 })
	ask(t, url, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`, "Mcp-Session-Id: S")
	if body := hear(t, cancelled); strings.Contains(body, "result") {
		t.Errorf("a cancelled wait answers %s", body)
	}
	b.say(t, "news")
	if _, _, body := ask(t, url, checkOn(1)); !strings.Contains(body, "news") || strings.Contains(body, seen) {
		t.Errorf("then: %s", body)
	}
}

func TestTheNextCallOverAConnectionKnowsOfTheLast(t *testing.T) {
	b := newBus(t)
	url := serve(t, Options{Bridge: b.bridge}) + "/mcp"
	introduce(t, b, url)
	p := start(t, Options{Bridge: b.bridge})
	over := map[string]func(message string) string{
		"a session": func(m string) string {
			_, _, body := ask(t, url, m, "Mcp-Session-Id: S")
			return body
		},
		"stdio": func(m string) string {
			p.send(m)
			return p.want()
		},
	}
	for name, ask := range over {
		for i := range 30 {
			news := fmt.Sprintf("news %d of %s", i, name)
			b.say(t, news)
			if body := ask(checkOn(i)); !strings.Contains(body, "1 new message(s)") || !strings.Contains(body, news) || strings.Contains(body, seen) {
				t.Fatalf("%d over %s: %s", i, name, body)
			}
			if i%10 == 9 {
				if body := ask(checkOn(i)); !strings.Contains(body, "No new messages") {
					t.Fatalf("%d over %s: %s", i, name, body)
				}
			}
		}
		ask(checkOn(1000))
	}
}

func TestAKilledClientIsShownAgain(t *testing.T) {
	b := newBus(t)
	url := serve(t, Options{Bridge: b.bridge}) + "/mcp"
	introduce(t, b, url)
	b.say(t, "news")
	for i, again := range []bool{false, true} {
		p := start(t, Options{Bridge: b.bridge})
		p.send(checkOn(1))
		body := p.want("news")
		if strings.Contains(body, seen) != again {
			t.Errorf("process %d: %s", i, body)
		}
		_ = p.out.Close() // as if it was killed: both ends at once
		_ = p.in.Close()
		if err := hear(t, p.ended); err != nil {
			t.Error(err)
		}
	}
}
