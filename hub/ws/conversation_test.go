package ws

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
)

var update = flag.Bool("update", false, "write down what the server says in testdata/*.txt")

// TestConversations holds the server to what testdata/*.txt says, byte for byte. A line of such a file is
//
//	connect PATH        the client connects
//	> TEXT              it sends a text frame
//	< TEXT              it receives one; (close CODE REASON), (ping) and (end) stand for what is no text
//	post CHANNEL SENDER CONTENT    somebody else publishes
//	register NAME       an instance comes
//	wait DURATION       time passes
//	close CODE          the client says goodbye
//
// The clock stands still but for wait. What differs from run to run is BUS and TIME.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d conversations: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				got := converse(newBubble(t, auth.Config{}), string(text))
				switch {
				case *update:
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				case got != string(text):
					t.Errorf("%s differs (run with -update to accept):\n%s", file, got)
				}
			})
		})
	}
}

// converse plays the client's lines and returns the conversation with what the server said.
func converse(h *house, script string) string {
	var p *peer
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "connect":
			p = h.connect(rest)
		case ">":
			p.say("%s", rest)
		case "<":
			line = "< " + p.hear()
		case "post":
			words := strings.SplitN(rest, " ", 3)
			h.publish(words[0], words[1], words[2])
		case "register":
			if err := h.hub.Register(h.t.Context(), shared(), models.Registration{ID: rest, Kind: models.KindAgent}); err != nil {
				h.t.Fatal(err)
			}
		case "wait":
			d, err := time.ParseDuration(rest)
			if err != nil {
				h.t.Fatal(err)
			}
			<-time.After(d)
		case "close":
			var code int
			if _, err := fmt.Sscan(rest, &code); err != nil {
				h.t.Fatal(err)
			}
			p.leave(code)
		case "", "#":
		default:
			h.t.Fatalf("what is %q?", line)
		}
		synctest.Wait()
		out.WriteString(line + "\n")
	}
	if said := p.hear(); said != "(ping)" && said != "(end)" && said != "(nothing)" {
		h.t.Errorf("one more frame: %s", said)
	}
	return out.String()
}

// hear returns the next frame as a conversation shows it.
func (p *peer) hear() string {
	f, err := p.frame()
	switch {
	case errors.Is(err, io.EOF):
		return "(end)"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "(nothing)"
	case err != nil:
		p.t.Fatal(err)
	case f.op == opPing:
		p.write(masked(fin|0xA, f.body))
		return "(ping)"
	case f.op == opClose:
		c := closed(f.body)
		return "(" + strings.TrimSpace(fmt.Sprintf("close %d %s", c.code(), c.reason())) + ")"
	case f.op != opText:
		return fmt.Sprintf("(frame %d %q)", f.op, f.body)
	}
	s := string(f.body)
	for pattern, name := range map[string]string{`"bus_id":"[^"]+"`: `"bus_id":"BUS"`, `"created_at":"[^"]+"`: `"created_at":"TIME"`} {
		s = regexp.MustCompile(pattern).ReplaceAllString(s, name)
	}
	return s
}
