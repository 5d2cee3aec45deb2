package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"mime"
	"net/http"
	"strings"
	"time"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/models"
)

const (
	patience   = 30 * time.Second // with a hub that cannot be reached, unless the call is a wait
	firstPause = 500 * time.Millisecond
	longPause  = 20 * time.Second
	longest    = 25 * time.Minute // that a wait lasts
	reminder   = 15 * time.Second // so often a client that waits hears that we still try
)

var (
	errNoAnswer = errors.New("the hub ended its answer early")
	errDeleted  = errors.New("the hub does not know the session")
	errRestarts = errors.New("the hub restarts")
)

// refusal is an answer of the hub that asking again will not change.
type refusal struct {
	status int
	text   string
}

func (e refusal) Error() string { return e.text }

// call passes a request on until it is answered, and its answer back.
func (r *relay) call(ctx context.Context, m *message, line []byte) {
	c := newCall(m, line)
	var tool called
	if r.live != nil {
		tool = calledBy(m)
		if a, ours, err := r.live.answer(ctx, tool); ours {
			r.result(m.ID, a, err)
			return
		}
	}
	var restarts bool
	deliver := func(answer *message, raw []byte) bool {
		mine := answer.Method == "" && string(answer.ID) == string(m.ID)
		if restarts = mine && c.wait != "" && isRestarting(answer); restarts {
			return true
		}
		if mine && r.live != nil {
			raw = r.live.amend(ctx, m, tool, answer, raw)
		}
		_ = r.write(raw)
		return mine
	}
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		restarts = false
		err := r.post(ctx, c.line(), deliver)
		if restarts {
			err = errRestarts
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		if no, is := errors.AsType[refusal](err); is {
			r.fail(m.ID, -32603, no.text)
			return
		}
		if errors.Is(err, errDeleted) && m.Method != "initialize" {
			if err = r.again(ctx); err == nil {
				continue
			}
		}
		if c.over(r.try) {
			r.unreachable(m, err)
			return
		}
		r.opt.Log.Info("hub cannot be reached, trying again", "error", err)
		if !r.rest(ctx, c, mathrand.N(pause)+pause/4) {
			return
		}
	}
}

// isRestarting says that a wait was answered because the hub goes. What is from others never stands at the begin of an answer.
func isRestarting(answer *message) bool {
	var result struct {
		Content []struct{ Text string }
	}
	return json.Unmarshal(answer.Result, &result) == nil && len(result.Content) > 0 && strings.HasPrefix(result.Content[0].Text, catalog.Restarting)
}

// unreachable tells a model what it can do about it.
func (r *relay) unreachable(m *message, cause error) {
	text := fmt.Sprintf("The hub at %s cannot be reached (%v). Nothing was lost: try the same call again in a minute, or tell your user.", r.opt.URL, cause)
	if m.Method != "tools/call" {
		r.fail(m.ID, -32603, text)
		return
	}
	r.result(m.ID, nil, models.Errorf(models.Unavailable, "%s", text))
}

// result answers the call of a tool.
func (r *relay) result(id json.RawMessage, a *fence.Answer, failed error) {
	result := map[string]any{}
	text := ""
	if failed != nil {
		result["isError"], text = true, models.Text(failed)
	} else {
		text = a.String()
	}
	result["content"] = []any{map[string]string{"type": "text", "text": text}}
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "result": result})
	if err != nil {
		r.opt.Log.Error("answer cannot be written", "error", err)
		return
	}
	_ = r.write(b)
}

// rest pauses before the next try. A client that waits hears of it.
func (r *relay) rest(ctx context.Context, c *call, pause time.Duration) bool {
	if c.token != nil && time.Since(c.reminded) > reminder {
		c.reminded = time.Now()
		c.progress += 0.001 // it must grow, and be less than what the hub says next
		b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": "notifications/progress", "params": map[string]any{
			"progressToken": c.token, "progress": c.progress, "message": "the hub cannot be reached, trying again",
		}})
		if err == nil {
			_ = r.write(b)
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// again opens a new session in the place of one that the hub has deleted.
func (r *relay) again(ctx context.Context) error {
	r.mu.Lock()
	hello := r.hello
	r.session, r.version = "", ""
	r.mu.Unlock()
	if hello == nil {
		return refusal{http.StatusNotFound, "the session has ended: initialize again"}
	}
	err := r.post(ctx, hello, func(answer *message, _ []byte) bool { return answer.Method == "" })
	if err != nil {
		return err
	}
	r.tell(ctx, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	return nil
}

// post sends one message and gives deliver what comes back, until that says it was the answer.
func (r *relay) post(ctx context.Context, line []byte, deliver func(*message, []byte) bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.to, bytes.NewReader(line))
	if err != nil {
		return err
	}
	r.head(req)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := verdict(resp); err != nil {
		return err
	}
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
		r.mu.Lock()
		r.session = id
		r.mu.Unlock()
	}
	answered := false
	take := func(raw []byte) bool {
		var m message
		if json.Unmarshal(raw, &m) != nil {
			return false
		}
		r.agree(&m)
		answered = deliver(&m, bytes.TrimSpace(raw))
		return answered
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == "text/event-stream" {
		err = events(resp.Body, take)
	} else {
		var body []byte
		if body, err = io.ReadAll(io.LimitReader(resp.Body, maxLine)); err == nil && len(bytes.TrimSpace(body)) > 0 {
			take(body)
		}
	}
	if err == nil && !answered {
		err = errNoAnswer
	}
	if answered {
		err = nil
	}
	return err
}

// head sets what every request to the hub carries.
func (r *relay) head(req *http.Request) {
	if r.opt.Key != "" {
		req.Header.Set("Authorization", "Bearer "+r.opt.Key)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != "" {
		req.Header.Set("Mcp-Session-Id", r.session)
	}
	if r.version != "" {
		req.Header.Set("MCP-Protocol-Version", r.version)
	}
}

// agree notes the protocol version of the hub's answer to initialize.
func (r *relay) agree(m *message) {
	var result struct {
		ProtocolVersion string `json:"protocolVersion"`
	}
	if m.Method != "" || len(m.Result) == 0 || json.Unmarshal(m.Result, &result) != nil || result.ProtocolVersion == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version = result.ProtocolVersion
}

// verdict sorts the hub's refusals by what helps.
func verdict(resp *http.Response) error {
	if resp.StatusCode < 300 {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	text := fmt.Sprintf("the hub answered %s: %s", resp.Status, strings.TrimSpace(string(body)))
	switch resp.StatusCode {
	case http.StatusNotFound:
		return errDeleted
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return errors.New(text)
	case http.StatusUnauthorized:
		text = "the hub wants a key, or refuses this one: give it as --key or CROSSTALK_KEY"
	}
	if resp.StatusCode >= 500 {
		return errors.New(text)
	}
	return refusal{resp.StatusCode, text}
}

// events passes on the data of server-sent events until take has what it wants.
func events(body io.Reader, take func([]byte) bool) error {
	scan := bufio.NewScanner(body)
	scan.Buffer(make([]byte, 64<<10), maxLine)
	var data []byte
	for scan.Scan() {
		line := scan.Bytes()
		if value, is := bytes.CutPrefix(line, []byte("data:")); is {
			if len(data) > 0 {
				data = append(data, '\n')
			}
			data = append(data, bytes.TrimPrefix(value, []byte(" "))...)
		} else if len(line) == 0 && len(data) > 0 {
			if take(data) {
				return nil
			}
			data = data[:0]
		}
	}
	return scan.Err()
}

// call is a request as it is asked, perhaps several times.
type call struct {
	whole     map[string]json.RawMessage // the message; nil: it is passed on as it came
	params    map[string]json.RawMessage
	arguments map[string]json.RawMessage
	raw       []byte
	wait      string // the argument that says how long a wait lasts; empty for other calls
	unit      time.Duration
	lasts     time.Duration

	began    time.Time
	token    json.RawMessage
	reminded time.Time
	progress float64
}

// newCall looks at what must differ between one try and the next: a send gets an idempotency key, a
// wait shrinks.
func newCall(m *message, line []byte) *call {
	c := &call{raw: line, began: time.Now(), reminded: time.Now()}
	if m.Method != "tools/call" || json.Unmarshal(line, &c.whole) != nil || json.Unmarshal(m.Params, &c.params) != nil {
		c.whole = nil
		return c
	}
	var name string
	var meta struct {
		ProgressToken json.RawMessage `json:"progressToken"`
	}
	_ = json.Unmarshal(c.params["_meta"], &meta) // absent more often than not
	c.token = meta.ProgressToken
	if json.Unmarshal(c.params["name"], &name) != nil || json.Unmarshal(c.params["arguments"], &c.arguments) != nil || c.arguments == nil {
		c.whole = nil
		return c
	}
	switch name {
	case "send_message":
		if key := c.arguments["idempotency_key"]; len(key) == 0 || string(key) == "null" {
			c.arguments["idempotency_key"] = json.RawMessage(`"` + rand.Text() + `"`)
		}
	case "wait_for_reply":
		c.wait, c.unit, c.lasts = "max_wait_minutes", time.Minute, longest
		if string(c.arguments["persistent"]) == "false" {
			c.wait, c.unit, c.lasts = "timeout_seconds", time.Second, 90*time.Second
		}
		var n float64
		if json.Unmarshal(c.arguments[c.wait], &n) == nil && n > 0 && n < longest.Seconds() {
			c.lasts = min(longest, time.Duration(n*float64(c.unit)))
		}
	default:
		c.whole = nil
	}
	return c
}

// line is the message for the next try.
func (c *call) line() []byte {
	if c.whole == nil {
		return c.raw
	}
	if gone := time.Since(c.began); c.wait != "" {
		if gone < time.Second {
			return c.raw
		}
		left := max(0, c.lasts-gone).Seconds() / c.unit.Seconds()
		c.arguments[c.wait] = json.RawMessage(fmt.Sprintf("%.3f", left))
	}
	arguments, err := json.Marshal(c.arguments)
	if err != nil {
		return c.raw
	}
	c.params["arguments"] = arguments
	params, err := json.Marshal(c.params)
	if err != nil {
		return c.raw
	}
	c.whole["params"] = params
	line, err := json.Marshal(c.whole)
	if err != nil {
		return c.raw
	}
	return line
}

// over says that it makes no sense to ask again.
func (c *call) over(try time.Duration) bool { return time.Since(c.began) > max(try, c.lasts) }
