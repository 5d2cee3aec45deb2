package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"crosstalk/bridge/push"
)

// Options are the settings of a relay.
type Options struct {
	URL string // of the hub, such as https://bus.example.com
	Key string // may be empty
	In  io.Reader
	Out io.Writer
	Log *slog.Logger

	// Follow has messages pushed to the client, which then has the tools for it; nil: it cannot be woken.
	Follow push.Follow
}

// maxLine bounds a message of the client: the hub's own bound on shared data, escaped, and its frame.
const maxLine = 34 << 20

// relay is one client's conversation with one hub.
type relay struct {
	// Set by Run, then constant.
	opt  Options
	to   string        // the hub's MCP door
	try  time.Duration // how long, with a hub that cannot be reached, for a call that is no wait
	http *http.Client
	live *live // nil without push

	ready sync.Once // the client takes notifications

	out sync.Mutex // held while a message is written to the client

	// Guarded by mu.
	mu       sync.Mutex
	session  string // the hub's id for the conversation
	version  string // the protocol that was agreed on
	hello    []byte // the client's initialize, for a hub that has deleted the session
	inFlight map[string]context.CancelFunc
}

// message is what the relay must know of a JSON-RPC message.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func (m *message) request() bool { return m.Method != "" && len(m.ID) > 0 }

// Run relays until In ends or ctx does.
func Run(ctx context.Context, o Options) error { return run(ctx, o, patience) }

func run(ctx context.Context, o Options, try time.Duration) error {
	hub, err := url.Parse(strings.TrimSuffix(o.URL, "/"))
	if err != nil || hub.Scheme != "http" && hub.Scheme != "https" || hub.Host == "" {
		return fmt.Errorf("the hub's address must be a URL such as https://bus.example.com, not %q", o.URL)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.ResponseHeaderTimeout = 0 // a wait may be silent for a while
	r := &relay{
		opt: o, to: hub.JoinPath("mcp").String(), try: try, http: &http.Client{Transport: transport},
		live: newLive(o), inFlight: map[string]context.CancelFunc{},
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancel(ctx)
	var calls sync.WaitGroup
	lines := make(chan []byte)
	ended := make(chan error, 1)
	go func() { ended <- read(ctx, o.In, lines) }()
	for {
		select {
		case line := <-lines:
			r.take(ctx, &calls, line)
			continue
		case err = <-ended:
		case <-ctx.Done():
		}
		break
	}
	cancel()
	calls.Wait()
	r.leave()
	return err
}

// read passes the lines of in on. It may outlast Run by a read that nothing can interrupt.
func read(ctx context.Context, in io.Reader, lines chan<- []byte) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 64<<10), maxLine)
	for scan.Scan() {
		line := append([]byte(nil), scan.Bytes()...)
		select {
		case lines <- line:
		case <-ctx.Done():
			return nil
		}
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("read from the client: %w", err)
	}
	return nil
}

// take begins what a message of the client asks for.
func (r *relay) take(ctx context.Context, calls *sync.WaitGroup, line []byte) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		if len(strings.TrimSpace(string(line))) > 0 {
			r.fail(json.RawMessage("null"), -32700, "the message is not a JSON-RPC object on one line")
		}
		return
	}
	switch {
	case m.Method == "server/discover":
		// The conversation has a session, which newer revisions do not know: the client takes an older one.
		r.fail(m.ID, -32601, "Method not found: server/discover")
	case m.Method == "notifications/cancelled":
		r.cancelled(m.Params)
		r.pass(ctx, calls, "", func(ctx context.Context) { r.tell(ctx, line) })
	case !m.request():
		// Order matters: what follows "initialized" must find it done.
		r.tell(ctx, line)
		if m.Method == "notifications/initialized" && r.live != nil {
			r.ready.Do(func() { calls.Go(func() { _ = r.live.Run(ctx, r.notify) }) })
		}
	case m.Method == "initialize":
		r.mu.Lock()
		r.hello, r.session, r.version = line, "", ""
		r.mu.Unlock()
		r.call(ctx, &m, line)
	default:
		r.pass(ctx, calls, string(m.ID), func(ctx context.Context) { r.call(ctx, &m, line) })
	}
}

// pass runs fn beside what comes next; a message that cancels id ends its context.
func (r *relay) pass(ctx context.Context, calls *sync.WaitGroup, id string, fn func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	if id != "" {
		r.mu.Lock()
		r.inFlight[id] = cancel
		r.mu.Unlock()
	}
	calls.Go(func() {
		defer cancel()
		fn(ctx)
		if id != "" {
			r.mu.Lock()
			delete(r.inFlight, id)
			r.mu.Unlock()
		}
	})
}

func (r *relay) cancelled(params json.RawMessage) {
	var p struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return // nothing can be cancelled by what cannot be read
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.inFlight[string(p.RequestID)]; cancel != nil {
		cancel()
	}
}

// notify pushes to the client.
func (r *relay) notify(_ context.Context, method string, params map[string]any) error {
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": method, "params": params})
	if err != nil {
		return err
	}
	return r.write(b)
}

// tell passes on what has no answer. The hub may miss it, as it may miss any notification.
func (r *relay) tell(ctx context.Context, line []byte) {
	ctx, cancel := context.WithTimeout(ctx, r.try)
	defer cancel()
	if err := r.post(ctx, line, func(*message, []byte) bool { return false }); err != nil && !errors.Is(err, errNoAnswer) {
		r.opt.Log.Debug("notification not passed on", "error", err)
	}
}

// leave says goodbye to the hub, which then knows that nobody is here any more.
func (r *relay) leave() {
	r.mu.Lock()
	session := r.session
	r.mu.Unlock()
	if session == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, r.to, nil)
	if err != nil {
		return
	}
	r.head(req)
	if resp, err := r.http.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// write sends one message to the client.
func (r *relay) write(b []byte) error {
	r.out.Lock()
	defer r.out.Unlock()
	if _, err := r.opt.Out.Write(append(b, '\n')); err != nil {
		r.opt.Log.Debug("client is gone", "error", err)
		return err
	}
	return nil
}

func (r *relay) fail(id json.RawMessage, code int, text string) {
	if len(id) == 0 {
		return
	}
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": code, "message": text}})
	if err != nil {
		r.opt.Log.Error("error cannot be told", "error", err)
		return
	}
	_ = r.write(b)
}
