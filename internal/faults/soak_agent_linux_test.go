package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// session speaks MCP over HTTP, as an agent's client does.
type session struct {
	soak  *soak
	name  string
	id    string // empty until initialized
	asked int64
}

var sessions atomic.Int64

func newSession(x *soak, name string) *session { return &session{soak: x, name: name} }

// call calls a tool and returns what it says.
func (s *session) call(ctx context.Context, addr, tool string, args map[string]any) (string, error) {
	if s.id == "" {
		s.soak.count("MCP sessions", 1)
		s.id = fmt.Sprintf("soak-%s-%d", s.name, sessions.Add(1))
		if _, err := s.post(ctx, addr, "initialize", map[string]any{
			"protocolVersion": "2025-06-18", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "soak", "version": "1"},
		}); err != nil {
			return "", err
		}
	}
	result, err := s.post(ctx, addr, "tools/call", map[string]any{"name": tool, "arguments": args})
	if err != nil {
		return "", err
	}
	var said struct {
		Content []struct{ Text string }
		IsError bool
	}
	if err := json.Unmarshal(result, &said); err != nil || len(said.Content) != 1 {
		return "", wrong("%s was answered %s: %v", tool, result, err)
	}
	if said.IsError {
		return "", errors.New(said.Content[0].Text)
	}
	return said.Content[0].Text, nil
}

func (s *session) post(ctx context.Context, addr, method string, params any) (json.RawMessage, error) {
	s.asked++
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": s.asked, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/mcp", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if method != "initialize" {
		req.Header.Set("Mcp-Session-Id", s.id)
	}
	res, err := s.soak.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if id := res.Header.Get("Mcp-Session-Id"); id != "" {
		s.id = id
	}
	if res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusRequestTimeout || len(text) == 0 {
		return nil, errors.New(res.Status + " " + string(text))
	}
	// As an event, when the answer took its time.
	for line := range strings.Lines(string(text)) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			text = []byte(data)
		}
	}
	var answer struct {
		Result json.RawMessage
		Error  json.RawMessage
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Error != nil || res.StatusCode != http.StatusOK {
		return nil, wrong("MCP's %s was answered %s %.300s", method, res.Status, text)
	}
	return answer.Result, nil
}

// agent reads a channel over MCP as what it has not read, now by check_messages, now by wait_for_reply. Where an answer is lost
// it says where it stands; where it leaves of its own accord, what it was shown last is shown again.
type agent struct {
	// Set before run, then constant.
	soak    *soak
	name    string
	channel string
	at      func() string

	// Owned by run.
	random   *rand.Rand
	session  *session
	seen     []int64   // ids, each once
	shown    []int64   // by the last answer, when nothing was asked over its session since
	lost     bool      // the last answer is
	again    bool      // all of shown must be shown again
	stale    bool      // the hub may know less of what it has read: an answer was lost, and what came before may not be noted
	repeated bool      // some of shown was shown before: by that it is read
	troubled time.Time // when an answer was lost last
	begun    bool      // it has had its first look
}

func newAgent(x *soak, name string, at func() string, channel string) *agent {
	return &agent{soak: x, name: name, channel: channel, at: at, random: x.dice(name), session: newSession(x, name)}
}

func (a *agent) String() string {
	return fmt.Sprintf("%s (MCP, reads %s, has read %d)", a.name, a.channel, len(a.seen))
}

func (a *agent) run(ctx context.Context) {
	for ctx.Err() == nil && a.soak.failed() == nil {
		err := a.read(ctx, a.random.IntN(2) == 0)
		if _, bad := errors.AsType[*wrongMessage](err); bad && ctx.Err() == nil {
			a.soak.failf("%v: %w", a, err)
			return
		}
		if err != nil {
			a.begin()
		} else if len(a.shown) > 0 && !a.repeated && !a.stale && !a.again && time.Since(a.troubled) > lingers && a.random.IntN(10) == 0 { // leaves with what it was shown unread
			a.soak.count("MCP sessions left unread", 1)
			a.session, a.again = newSession(a.soak, a.name), true
		}
		wait(ctx, time.Duration(100+a.random.IntN(900))*time.Millisecond)
	}
}

// lingers is more than a wait lasts whose client has gone unnoticed. What that shows counts as shown, and a message that is shown
// twice counts as read.
const lingers = 15 * time.Second

// begin begins anew after an answer was lost.
func (a *agent) begin() {
	a.session, a.lost, a.stale, a.shown, a.again, a.troubled = newSession(a.soak, a.name), true, true, nil, false, time.Now()
}

// finish reads what is left, once all is stored.
func (a *agent) finish(ctx context.Context) {
	for deadline := time.Now().Add(time.Minute); ctx.Err() == nil && a.soak.failed() == nil; {
		had := len(a.seen)
		err := a.read(ctx, false)
		if err == nil && len(a.seen) == had {
			break
		}
		if _, bad := errors.AsType[*wrongMessage](err); bad || time.Now().After(deadline) {
			a.soak.failf("%v cannot read what is left: %w", a, err)
			return
		}
		if err != nil {
			a.begin()
			wait(ctx, 100*time.Millisecond)
		}
	}
	if ctx.Err() != nil || a.soak.failed() != nil {
		return
	}
	from := int64(1)
	if len(a.seen) > 0 {
		from = a.seen[0] // what its first look showed
	}
	want := a.soak.ledger.idsOf(a.channel, from)
	for i := range max(len(want), len(a.seen)) {
		if i >= len(want) || i >= len(a.seen) || want[i] != a.seen[i] {
			a.soak.failf("%v was shown %v where %v stands in the channel", a, a.seen[min(i, len(a.seen)):min(i+5, len(a.seen))], want[min(i, len(want)):min(i+5, len(want))])
			return
		}
	}
}

var shownLine = regexp.MustCompile(`(?m)^#(\d+) \[message\] "publisher-\d+" \((.*)\n<msg k=\w+>\n(.*)`)

func (a *agent) read(ctx context.Context, waits bool) error {
	addr := a.at()
	if addr == "" {
		return errNotUp
	}
	a.repeated = false
	args := map[string]any{"channel": a.channel, "instance_id": a.name, "limit": 200}
	tool := "check_messages"
	if waits && a.begun {
		tool = "wait_for_reply"
		args["persistent"], args["timeout_seconds"], args["role"] = false, 1+a.random.IntN(8), "parked"
	}
	if a.lost && len(a.seen) > 0 {
		args["after_id"] = a.seen[len(a.seen)-1]
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	text, err := a.session.call(ctx, addr, tool, args)
	if err != nil {
		return err
	}
	a.soak.count("calls of "+tool, 1)
	first, told, had := !a.begun, a.lost, len(a.seen)
	a.lost, a.begun = false, true
	err = a.take(text)
	if !told && (len(a.seen) > had || strings.HasPrefix(text, "No new messages")) {
		a.stale = false // it went on from where the hub knew that it stood
	}
	a.repeated = a.repeated || first // where nothing is noted yet, a wait begins where the instance registered
	return err
}

// take accepts an answer. What the answer before showed may come again: it must where the agent has left since, and it does where
// the hub could not write down that it was shown.
func (a *agent) take(text string) error {
	before, again := a.shown, a.again
	if strings.HasPrefix(text, "No new messages") || strings.HasPrefix(text, "The server is restarting") || strings.HasPrefix(text, "This wait") {
		if again && strings.HasPrefix(text, "No new messages") {
			return wrong("it left having been shown %v, came back, and is told that nothing is new", before)
		}
		a.repeated = true // by this call, what the answer before showed is read
		return nil
	}
	a.shown, a.again = nil, false
	first, _, _ := strings.Cut(text, "\n")
	found := shownLine.FindAllStringSubmatch(text, -1)
	if len(found) == 0 || strings.Contains(first, "newest") && len(a.seen) > 0 {
		return wrong("it cannot make sense of %.300s", text)
	}
	for i, m := range found {
		id, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return wrong("id %q: %v", m[1], err)
		}
		if err := a.soak.ledger.sawPart(id, m[3], a.name); err != nil {
			return err
		}
		switch {
		case again && i < len(before) && id != before[i]:
			return wrong("it left having been shown %v, came back, and is shown %d in the place of %d", before, id, before[i])
		case len(a.seen) == 0 || id > a.seen[len(a.seen)-1]:
			a.seen = append(a.seen, id)
		case !a.stale && !slices.Contains(before, id):
			return wrong("it is shown %d again, after %d; the answer before showed %v", id, a.seen[len(a.seen)-1], before)
		default:
			a.repeated = true
			a.soak.count("messages shown again over MCP", 1)
		}
		a.shown = append(a.shown, id)
		a.repeated = a.repeated || strings.HasSuffix(m[2], "(shown before)")
	}
	if a.shown[len(a.shown)-1] < a.seen[len(a.seen)-1] {
		a.stale = true // there was no room for all that comes again
	}
	return nil
}
