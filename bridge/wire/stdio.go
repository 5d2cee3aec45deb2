package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"crosstalk/bridge/wire/rpc"
	"crosstalk/models"
)

// At the end, requests that run have lastCalls to be answered before they are cancelled: a script may send a few and close
// its end, and waits are answered when the hub drains. Those that do not end within lastWrites after that hang on an output
// that nobody reads.
const (
	lastCalls  = 300 * time.Millisecond
	lastWrites = time.Second
)

// Stdio serves one client, line by line, until ctx or the input ends. It returns when all requests have ended. Reading
// cannot be interrupted: after ctx has ended, the goroutine that reads stays until in gives a line or ends.
func Stdio(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	name := rand.Text()
	who := models.Principal{Name: models.SharedPrincipal, Session: name}
	live, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	p := &peer{o: &o, session: newSession(who, name), ctx: live, push: o.Push, old: o.Push}
	p.write = func(b []byte) error {
		_, err := out.Write(append(b, '\n'))
		return err
	}
	defer o.Bridge.Left(name, who)
	gone := o.Bridge.Connected(name)
	defer gone()

	read := make(chan error, 1)
	go func() { read <- p.lines(in) }()
	var err error
	select {
	case err = <-read:
	case <-ctx.Done():
	}
	return errors.Join(err, p.end(cancel))
}

// lines takes what comes until the input ends.
func (p *peer) lines(in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := readLine(r, maxMessage)
		if tooLong, ok := errors.AsType[*longLine](err); ok {
			p.refuse(tooLong.id, rpc.Errorf(mcp.INVALID_REQUEST, "a message may have at most %d MiB", maxMessage>>20))
			continue
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			p.take(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading from the client: %w", err)
		}
	}
}

// longLine is a line that was skipped, and the id of the request that it probably was.
type longLine struct{ id json.RawMessage }

func (e *longLine) Error() string { return "the line is too long" }

// readLine reads one line of at most so many bytes. It may be the last and have no end.
func readLine(r *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > most {
			return nil, skipLine(r, append(line, part...), err)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// skipLine reads what remains of a line that began with begin. Its request has an id at the front or at the end, else the
// client could not learn which of its requests failed.
func skipLine(r *bufio.Reader, begin []byte, err error) error {
	front := regexp.MustCompile(`^\s*\{(?:\s*"jsonrpc"\s*:\s*"2.0"\s*,)?\s*"id"\s*:\s*("[^"\\]*"|\d+)\s*,`)
	end := regexp.MustCompile(`,\s*"id"\s*:\s*("[^"\\]*"|\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"2.0"\s*)?\}\s*$`)
	const enough = 512
	first, last := bytes.Clone(begin[:min(len(begin), enough)]), bytes.Clone(begin[max(0, len(begin)-enough):])
	for errors.Is(err, bufio.ErrBufferFull) {
		var part []byte
		part, err = r.ReadSlice('\n')
		last = append(last, part...)
		last = bytes.Clone(last[max(0, len(last)-enough):])
	}
	if err != nil {
		return err
	}
	for _, found := range [][][]byte{front.FindSubmatch(first), end.FindSubmatch(last)} {
		if found != nil {
			return &longLine{json.RawMessage(found[1])}
		}
	}
	return &longLine{}
}

// peer is a client at the other end of one connection for both ways.
type peer struct {
	// Set before it is used, then constant.
	o       *Options
	session *session
	ctx     context.Context // of the connection
	push    bool            // to the client, once it is ready
	old     bool            // it is to stay with the revisions that begin with initialize

	running sync.WaitGroup
	pushing sync.Once

	writing sync.Mutex
	write   func([]byte) error // guarded by writing, under which it may block

	mu    sync.Mutex
	ended bool // nothing more is begun; guarded by mu
	under int  // so much is under way; guarded by mu
}

// maxUnderWay bounds what a client has under way over one connection for both ways. Half as much again may be refusals:
// who sends on and reads none of these is told no more.
const maxUnderWay = 1024

// begin runs work that end waits for, unless it is too late for that, or so much is under way already.
func (p *peer) begin(most int, work func()) (begun, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.under >= most {
		return false, !p.ended
	}
	p.under++
	p.running.Go(func() {
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.under--
		}()
		work()
	})
	return true, false
}

// take serves one line.
func (p *peer) take(line []byte) {
	m, wrong := rpc.Parse(line)
	if wrong != nil {
		p.refuse(m.ID, wrong)
		return
	}
	p.serve(message{Message: m})
}

// serve does not wait for the answer: what takes time has a goroutine of its own.
func (p *peer) serve(m message) {
	switch {
	case m.Kind == rpc.Response:
		p.session.answered(m.Message)
	case m.Kind == rpc.Notification && m.Method == mcp.MethodNotificationCancelled:
		p.session.cancel(m.Cancels)
	case m.Kind == rpc.Notification:
		if m.Method == mcp.MethodNotificationInitialized && p.push {
			p.pushing.Do(func() { p.begin(2*maxUnderWay, p.pushes) })
		}
		p.o.ask(p.ctx, m)
	case p.old && m.Method == mcp.MethodServerDiscover:
		p.refuse(m.ID, rpc.Errorf(mcp.METHOD_NOT_FOUND, "Method %s not found: begin with initialize", m.Method))
	default:
		f := p.session.begin(p.ctx, m)
		begun, full := p.begin(maxUnderWay, func() {
			defer m.end()
			p.o.serve(f, p)
		})
		if begun {
			return
		}
		f.end()
		if full {
			p.refuse(m.ID, rpc.Errorf(codeRefused, "%d requests are under way on this connection: wait for answers to some, or cancel some", maxUnderWay))
		}
	}
	m.end()
}

// refuse answers what does not come to the bridge.
func (p *peer) refuse(id json.RawMessage, e *rpc.Error) {
	p.begin(maxUnderWay+maxUnderWay/2, func() { _ = p.event(failure(id, e)) })
}

func (p *peer) pushes() {
	err := p.o.Bridge.Push(p.ctx, func(_ context.Context, method string, params map[string]any) error {
		b, err := json.Marshal(notification{mcp.JSONRPC_VERSION, method, params})
		if err != nil {
			return err
		}
		return p.event(b)
	})
	if err != nil && p.ctx.Err() == nil {
		p.o.Log.Error("live push ended", "error", err)
	}
}

func (p *peer) event(message []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	return p.write(message)
}

// try does nothing: others write here, too, and it cannot be known whether the client reads.
func (p *peer) try([]byte) bool { return false }

func (p *peer) answer(message []byte, _ int) error { return p.event(message) }

// end begins nothing more, lets what runs come to its end or else cancels it, and waits for it.
func (p *peer) end(cancel context.CancelFunc) error {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.running.Wait()
		close(done)
	}()
	patience := time.NewTimer(lastCalls)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
	cancel()
	patience.Reset(lastWrites)
	select {
	case <-done:
		return nil
	case <-patience.C:
		return errors.New("the client does not read its answers")
	}
}
