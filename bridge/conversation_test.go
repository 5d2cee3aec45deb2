package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/tools/txtar"

	"crosstalk/models"
)

var update = flag.Bool("update", false, "write down what the server says in testdata/*.txtar")

// TestConversations holds the server to what testdata/*.txtar says, byte for byte. The comment of a file
// says what it shows; a line in it that begins with "options:" names options of the bridge and those
// clients that are stdio processes. The sections are
//
//	-- NAME --        a client sends messages, one a line, over its own connection
//	-- bus --         something happens: post CHANNEL SENDER TYPE CONTENT, data KEY CONTENT, wait DURATION,
//	                  verified CHANNEL SENDER CONTENT (by a live connection that holds the name), lose (answers do not
//	                  arrive from now on), deliver (they do), pause CHANNEL REASON, resume CHANNEL, restart (waits are answered)
//	-- server --      what the clients are sent meanwhile. The text of an answer follows it, after "|".
//
// The clock stands still but for wait. Keys of fences are random, and shown as KEY. Each conversation is
// held in both eras of the protocol, unless its options say legacy.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d conversations: %v", len(files), err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := txtar.Format(archive)
		for _, modern := range []bool{false, true} {
			s := newScript(string(archive.Comment), modern)
			if modern && s.options["legacy"] {
				continue
			}
			t.Run(fmt.Sprintf("%s/modern=%t", strings.TrimSuffix(filepath.Base(file), ".txtar"), modern), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					got := txtar.Format(s.play(t, archive))
					switch {
					case *update && !modern:
						if err := os.WriteFile(file, got, 0o644); err != nil {
							t.Fatal(err)
						}
						want = got
					case !bytes.Equal(got, want):
						t.Errorf("%s differs (run with -update to accept):\n%s", file, got)
					}
				})
			})
		}
	}
}

// script plays one file.
type script struct {
	options map[string]bool
	modern  bool
	house   *house
	lost    bool
	running sync.WaitGroup

	mu      sync.Mutex
	clients map[string]*client
	flights map[string]context.CancelFunc // by client and id
	said    map[string][]frame            // by client and request: between requests there is no order
}

func newScript(comment string, modern bool) *script {
	s := &script{
		options: map[string]bool{}, modern: modern, clients: map[string]*client{},
		flights: map[string]context.CancelFunc{}, said: map[string][]frame{},
	}
	for line := range strings.Lines(comment) {
		if rest, ok := strings.CutPrefix(line, "options:"); ok {
			for _, o := range strings.Fields(rest) {
				s.options[o] = true
			}
		}
	}
	return s
}

// play returns the conversation with what the server said.
func (s *script) play(t *testing.T, a *txtar.Archive) *txtar.Archive {
	s.house = newHouse(t, Options{Push: s.options["push"], VerifiedOnly: s.options["verified-only"], Compat: s.options["compat"]})
	if s.options["push"] {
		ctx, stop := context.WithCancel(t.Context())
		defer s.running.Wait()
		defer stop()
		s.running.Go(func() {
			_ = s.house.bridge.Push(ctx, func(_ context.Context, method string, params map[string]any) error {
				s.hear("pushed", 0, map[string]any{"jsonrpc": "2.0", "method": method, "params": params})
				return nil
			})
		})
	}
	out := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		if f.Name == "server" {
			continue
		}
		out.Files = append(out.Files, f)
		for line := range strings.Lines(string(f.Data)) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if f.Name == "bus" {
				s.happen(line)
			} else {
				s.send(f.Name, line)
			}
			synctest.Wait()
		}
		if text := s.heard(); text != "" {
			out.Files = append(out.Files, txtar.File{Name: "server", Data: []byte(text)})
		}
	}
	for _, cancel := range s.flights {
		cancel()
	}
	synctest.Wait()
	return out
}

func (s *script) happen(line string) {
	h := s.house
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "post":
		words := strings.SplitN(rest, " ", 4)
		h.post(words[0], words[1], models.MessageType(words[2]), strings.ReplaceAll(words[3], `\n`, "\n"))
	case "verified":
		words := strings.SplitN(rest, " ", 3)
		who := models.Principal{Name: models.SharedPrincipal, Session: "of " + words[1]}
		if held, err := h.hub.Hold(h.t.Context(), who, words[1]); err != nil || !held {
			h.t.Fatal(held, err)
		}
		d := models.Draft{Channel: words[0], Sender: words[1], Type: models.TypeMessage, Content: words[2]}
		if _, err := h.hub.Publish(h.t.Context(), who, d); err != nil {
			h.t.Fatal(err)
		}
	case "data":
		key, content, _ := strings.Cut(rest, " ")
		if _, err := h.hub.ShareData(h.t.Context(), anyone(), models.DataDraft{Key: key, Content: content, Sender: "bob"}); err != nil {
			h.t.Fatal(err)
		}
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			h.t.Fatal(err)
		}
		<-time.After(d)
	case "pause", "resume":
		words := append(strings.SplitN(rest, " ", 2), "")
		err := h.hub.Pause(h.t.Context(), anyone(), words[0], words[1])
		if verb == "resume" {
			err = h.hub.Resume(h.t.Context(), anyone(), words[0])
		}
		if err != nil {
			h.t.Fatal(err)
		}
	case "lose", "deliver":
		s.lost = verb == "lose"
	case "restart":
		h.hub.Drain()
	default:
		h.t.Fatalf("what is %q?", line)
	}
}

// send has a client send one message. Its answer is heard when it comes.
func (s *script) send(name, line string) {
	c := s.clients[name]
	if c == nil {
		c = &client{h: s.house, conn: name, stdio: s.options[name]}
		s.clients[name] = c
		if c.stdio {
			gone := s.house.bridge.Connected(name)
			s.house.t.Cleanup(gone)
		}
	}
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params map[string]any  `json:"params"`
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		s.house.t.Fatalf("%v in %s", err, line)
	}
	if m.Method == "notifications/cancelled" {
		if cancel := s.flights[fmt.Sprint(name, " ", m.Params["requestId"])]; cancel != nil {
			cancel()
		}
		return
	}
	number, err := strconv.Atoi(string(m.ID))
	if err != nil {
		s.house.t.Fatalf("%v in %s", err, line)
	}
	meta, _ := m.Params["_meta"].(map[string]any)
	ctx, cancel := context.WithCancel(s.house.t.Context())
	s.flights[name+" "+string(m.ID)] = cancel
	one := &client{h: s.house, conn: name, stdio: c.stdio, mute: meta["progressToken"] == nil}
	one.progress = func(float64) {
		s.hear(name, number, map[string]any{"jsonrpc": "2.0", "method": "notifications/progress", "params": map[string]any{"progressToken": meta["progressToken"], "is": one.beats[len(one.beats)-1]}})
	}
	written := !s.lost
	s.running.Go(func() {
		defer cancel()
		answer := one.ask(ctx, s.inEra(line), written)
		var said map[string]any
		if err := json.Unmarshal([]byte(answer), &said); err == nil && ctx.Err() == nil && said != nil {
			s.hear(name, number, said)
		}
	})
}

// inEra makes a message one of the era that is played.
func (s *script) inEra(line string) string {
	if !s.modern {
		return line
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		s.house.t.Error(err)
	}
	params, _ := m["params"].(map[string]any)
	if params == nil {
		params = map[string]any{}
	}
	meta, _ := params["_meta"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
	}
	maps.Copy(meta, map[string]any{
		"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
	})
	params["_meta"], m["params"] = meta, params
	b, err := json.Marshal(m)
	if err != nil {
		s.house.t.Error(err)
	}
	return string(b)
}

// hear notes what a client was sent.
func (s *script) hear(name string, request int, said map[string]any) {
	if result, ok := said["result"].(map[string]any); ok && s.modern {
		if result["resultType"] != "complete" || result["_meta"] == nil {
			s.house.t.Errorf("a result of 2026-07-28 without its type and server: %v", result)
		}
		for _, key := range []string{"resultType", "_meta", "ttlMs", "cacheScope"} {
			delete(result, key)
		}
	}
	text := render(said)
	if s.lost {
		text = "(lost) " + text
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name = fmt.Sprintf("%s %4d", name, request)
	s.said[name] = append(s.said[name], frame{text, time.Now(), said["method"] == "notifications/progress"})
}

// frame is what a client was sent, and when.
type frame struct {
	text string
	at   time.Time
	beat bool // it is progress
}

// heard returns what was said since it was last called.
func (s *script) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s.said)) {
		name, _, _ := strings.Cut(key, " ")
		beats := 0
		for i, f := range s.said[key] {
			if beats++; !f.beat {
				beats = 0
			}
			switch rest := s.said[key][i+1:]; {
			case f.beat && slices.ContainsFunc(rest, func(o frame) bool { return !o.beat && o.at.Equal(f.at) }) && beats > 1:
				// Which of the two comes first when both are due is left open.
			case beats == 4:
				out.WriteString(name + " < and so on\n")
			case beats < 4:
				out.WriteString(name + " < " + f.text)
			}
		}
	}
	clear(s.said)
	return regexp.MustCompile(`(<msg k=|</msg )[a-z2-7]{8}>`).ReplaceAllString(out.String(), "${1}KEY>")
}

// render writes a message as a line of JSON, and the texts in it below.
func render(said map[string]any) string {
	var texts []string
	var lift func(v any) any
	lift = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				text, ok := inner.(string)
				if ok && key == "text" || ok && key == "instructions" {
					texts = append(texts, text)
					v[key] = "|"
				} else {
					v[key] = lift(inner)
				}
			}
		case []any:
			for i := range v {
				v[i] = lift(v[i])
			}
		}
		return v
	}
	lift(said)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(said); err != nil {
		return err.Error()
	}
	out := strings.ReplaceAll(b.String(), `{"annotations"`, "\n  {\"annotations\"") // a tool a line
	for _, text := range texts {
		for line := range strings.Lines(text) {
			out += "| " + strings.TrimSuffix(line, "\n") + "\n"
		}
	}
	return out
}
