package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/bridge"
)

// process is a server on stdio and its client.
type process struct {
	t     testing.TB
	in    *io.PipeWriter
	out   *io.PipeReader
	lines chan string
	ended chan error
	stop  context.CancelFunc
}

// start starts a server whose output is read.
func start(t testing.TB, o Options) *process {
	p := begin(t, o)
	go func() {
		defer close(p.lines)
		for r := bufio.NewReader(p.out); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			p.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	return p
}

// begin starts a server whose output nobody reads.
func begin(t testing.TB, o Options) *process {
	o.Log = logTo(t)
	ctx, stop := context.WithCancel(t.Context())
	in, send := io.Pipe()
	out, answers := io.Pipe()
	p := &process{t: t, in: send, out: out, lines: make(chan string, 3000), ended: make(chan error, 1), stop: stop}
	go func() {
		p.ended <- Stdio(ctx, in, answers, o)
		_ = answers.Close()
		_ = in.Close()
	}()
	t.Cleanup(func() {
		stop()
		_ = send.Close()
		_ = out.Close()
	})
	return p
}

func (p *process) send(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(p.in, line+"\n"); err != nil {
			p.t.Fatal(err)
		}
	}
}

// want reads the next line, which must have the pieces.
func (p *process) want(pieces ...string) (line string) {
	p.t.Helper()
	line = hear(p.t, p.lines)
	wants(p.t, line, pieces...)
	return line
}

func TestAnswersWhatIsWrongAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, Options{Bridge: newProbe()})
		for _, tc := range []struct{ send, want string }{
			{`{"jsonrpc":"2.0","id":1,"method":`, `"id":null,"error":{"code":-32700`},
			{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", `"id":null,"error":{"code":-32700,"message":"the message is not valid UTF-8`},
			{strings.Repeat("[", 100_000), `"error":{"code":-32700`},
			{`[` + call(1, "echo", "x") + `]`, `"id":null,"error":{"code":-32600,"message":"batches`},
			{`{"jsonrpc":"1.0","id":7,"method":"ping"}`, `"id":7,"error":{"code":-32600`},
			{`{"jsonrpc":"2.0","id":7}`, `"id":7,"error":{"code":-32600`},
			{`{"jsonrpc":"2.0","id":7,"method":5}`, `"id":7,"error":{"code":-32600`},
			{`{"jsonrpc":"2.0","id":{},"method":"ping"}`, `"id":null,"error":{"code":-32600`},
			{`{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}`, `"id":7,"error":{"code":-32600`},
			{`5`, `"id":null,"error":{"code":-32600`},
			{`{"jsonrpc":"2.0","id":7,"method":"nothing/known"}`, `"id":7,"error":{"code":-32601`},
			{`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":[1]}`, `"id":7,"error":{"code":-32600`},
			{`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":5}}`, `"id":7,"error":{"code":-32600`},
			{call(7, "none", ""), `"id":7,"error":{"code":-32602,"message":"tool 'none' not found`},
			{call(7, "boom", ""), `"id":7,"error":{"code":-32603,"message":"Internal server error"`},
			{`{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"1999-01-01"}}`, `"protocolVersion":"2025-11-25"`},
			{`{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2024-11-05"}}`, `"protocolVersion":"2024-11-05"`},
			{call(`"a b"`, "echo", "hello"), `"id":"a b","result":{"content":[{"type":"text","text":"hello"}`},
			{call("12345678901234567890123", "echo", "hello"), `"id":12345678901234567890123,"result"`},
		} {
			p.send("", "  "+tc.send+" \r")
			p.want(tc.want)
		}
		p.send(`{"jsonrpc":"2.0","method":"notifications/none"}`, `{"jsonrpc":"2.0","id":99,"result":{}}`)
		synctest.Wait()
		if len(p.lines) != 0 {
			t.Errorf("something was answered that is no request: %s", <-p.lines)
		}
	})
}

func TestGiantLinesAreRefusedAndTheNextIsServed(t *testing.T) {
	p := start(t, Options{Bridge: newProbe()})
	giant := strings.Repeat("x", maxMessage)
	p.send(strings.Replace(call(5, "echo", "TEXT"), "TEXT", giant, 1))
	p.want(`"id":5,"error":{"code":-32600,"message":"a message may have at most 34 MiB"`)
	p.send(call(6, "echo", giant[:1<<20]))
	if line := p.want(`"id":6,"result"`); len(line) < 1<<20 {
		t.Errorf("of 1 MiB %d bytes came back", len(line))
	}
}

func TestSkippedLinesAreKnownByTheirID(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for line, want := range map[string]string{
		`{"jsonrpc":"2.0","id":5,"method":"` + long + `"}`:                  "5",
		` { "id" : "a b" , "method":"` + long + `"}`:                        `"a b"`,
		`{"method":"m","params":{"id":3,"x":"` + long + `"},"id":7}`:        "7",
		`{"method":"` + long + `", "id" : "é" , "jsonrpc" : "2.0" }` + "\r": `"é"`,
		`{"method":"` + long + `"}`:                                         "",
		`{"params":{"id":3,"x":"` + long + `","id":4}}`:                     "",
		`{"id":-1.5,"x":"` + long + `"}`:                                    "",
	} {
		r := bufio.NewReaderSize(strings.NewReader(line+"\nnext\n"), 64)
		_, err := readLine(r, 1000)
		skipped, ok := errors.AsType[*longLine](err)
		if !ok || string(skipped.id) != want {
			t.Errorf("%.60s...: got %v with %+v, want %q", line, err, skipped, want)
		}
		if next, err := readLine(r, 1000); string(next) != "next\n" || err != nil {
			t.Errorf("then came %.60q, %v", next, err)
		}
	}
	if _, err := readLine(bufio.NewReader(strings.NewReader(long)), 1000); !errors.Is(err, io.EOF) {
		t.Errorf("a long line without an end: %v", err)
	}
}

func TestCancelledRequestsAreNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newProbe()
		p := start(t, Options{Bridge: b})
		p.send(call(1, "wait", "a"), call(2, "wait", "b"), call(`"1"`, "wait", "c"))
		synctest.Wait()
		p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}`)
		if got := hear(t, b.cancelled); got != "a" {
			t.Errorf("cancelled was %s", got)
		}
		close(b.release)
		got := p.want() + p.want()
		wants(t, got, `"id":2,"result"`, `"id":"1","result"`)
		synctest.Wait()
		if len(p.lines)+len(b.cancelled) != 0 {
			t.Error("more was answered or cancelled")
		}
	})
}

func TestCancelIsHeardThatComesRightBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newProbe()
		p := start(t, Options{Bridge: b})
		for i := range 100 {
			p.send(call(i, "wait", ""), fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, i))
		}
		synctest.Wait()
		if len(b.cancelled) != len(b.started) || len(p.lines) != 0 {
			t.Errorf("%d were cancelled of %d, %d answered", len(b.cancelled), len(b.started), len(p.lines))
		}
	})
}

func TestManyWaitsHoldNothingUp(t *testing.T) {
	b := newProbe()
	p := start(t, Options{Bridge: b})
	for i := range 1000 {
		p.send(call(i, "wait", ""))
	}
	for range 1000 {
		hear(t, b.started)
	}
	began := time.Now()
	p.send(call(5000, "echo", "quick"))
	p.want(`"id":5000,"result"`)
	if took := time.Since(began); took > time.Second {
		t.Errorf("beside 1,000 waits a call took %s", took)
	}
	close(b.release)
	for range 1000 {
		p.want(`"result"`)
	}
}

func TestProgressComesBeforeItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newProbe()
		p := start(t, Options{Bridge: b})
		p.send(call(1, "beat", "a", `,"_meta":{"progressToken":"ta"}`))
		p.want(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"ta","progress":1,"message":"a"}}`)
		p.send(call(2, "beat", "b", `,"_meta":{"progressToken":7}`))
		p.want(`"progressToken":7,"progress":1`)
		close(b.release)
		last := map[string]string{}
		for range 6 {
			line := p.want()
			for id, token := range map[string]string{`"id":1,`: `"ta"`, `"id":2,`: `7`} {
				if strings.Contains(line, `"progressToken":`+token) {
					last[id] = line
				}
				if strings.Contains(line, id) {
					wants(t, last[id], `"progress":3`)
				}
			}
		}
	})
}

func TestEndOfInputEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newProbe()
		p := start(t, Options{Bridge: b})
		p.send(call(1, "wait", "a"), call(2, "echo", "last, without an end of line"))
		_, _ = io.WriteString(p.in, call(3, "echo", "last"))
		began := time.Now()
		_ = p.in.Close()
		if err := <-p.ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != lastCalls {
			t.Errorf("it took %s", took)
		}
		if got := p.want() + p.want(); len(p.lines) != 0 || strings.Contains(got, `"id":1`) {
			t.Errorf("answered: %s", got)
		}
		if open, left := b.connections(); hear(t, b.cancelled) != "a" || open != 0 || left != 1 {
			t.Errorf("%d connections are open, %d were left", open, left)
		}
	})
}

func TestAtTheEndOfItsContextWaitsCanStillBeAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newProbe()
		p := start(t, Options{Bridge: b})
		p.send(call(1, "wait", "a"))
		synctest.Wait()
		p.stop()
		synctest.Wait()
		p.send(call(2, "echo", "too late"))
		close(b.release) // as the hub does when it drains
		p.want(`"id":1,"result"`)
		if err := <-p.ended; err != nil || len(p.lines) != 0 {
			t.Error(err, len(p.lines))
		}
	})
}

func TestAnOutputThatNobodyReadsDoesNotHoldUpTheEnd(t *testing.T) {
	p := begin(t, Options{Bridge: newProbe()})
	p.send(call(1, "echo", "a"), call(2, "echo", "b"))
	_ = p.in.Close()
	if err := hear(t, p.ended); err == nil || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("got %v", err)
	}
}

func TestLivePushBeginsWhenTheClientIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newProbe()
		pushes := 0
		b.push = func(ctx context.Context, notify bridge.Notify) error {
			pushes++
			if err := notify(ctx, "notifications/claude/channel", map[string]any{"content": "hi"}); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}
		p := start(t, Options{Bridge: b, Push: true})
		p.send(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
		p.want(`"id":1,"error":{"code":-32601,`)
		p.send(initialize)
		p.want(`"protocolVersion":"2025-11-25"`)
		synctest.Wait()
		if pushes != 0 {
			t.Error("pushes began before the client was ready")
		}
		p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		p.want(`{"jsonrpc":"2.0","method":"notifications/claude/channel","params":{"content":"hi"}}`)
		_ = p.in.Close()
		if err := <-p.ended; err != nil || pushes != 1 {
			t.Errorf("%d pushers ran: %v", pushes, err)
		}
	})
}

func TestWithoutLivePushBothErasAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, Options{Bridge: newProbe()})
		p.send(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
		p.want(`"supportedVersions":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]`)
		p.send(initialize)
		p.want(`"protocolVersion":"2025-11-25"`)
	})
}

func TestLinesAreNotMixed(t *testing.T) {
	var lines []string
	for i := range 100 {
		lines = append(lines, call(i, "echo", "x"), "{")
	}
	out := &single{}
	if err := Stdio(t.Context(), strings.NewReader(strings.Join(lines, "\n")), out, Options{Bridge: newProbe(), Log: logTo(t)}); err != nil {
		t.Error(err)
	}
	if out.writes != 200 || out.mixed {
		t.Errorf("%d lines were written, one within another: %t", out.writes, out.mixed)
	}
}

// single is an output that notices when two write at once.
type single struct {
	writing atomic.Bool
	writes  int
	mixed   bool
}

func (s *single) Write(b []byte) (int, error) {
	s.mixed = s.mixed || !s.writing.CompareAndSwap(false, true)
	runtime.Gosched()
	s.writes += bytes.Count(b, []byte("\n"))
	s.writing.Store(false)
	return len(b), nil
}

func TestABrokenInputIsAnError(t *testing.T) {
	broken := errors.New("broken")
	err := Stdio(t.Context(), io.MultiReader(strings.NewReader(call(1, "echo", "a")+"\n"), failing{broken}), io.Discard,
		Options{Bridge: newProbe(), Log: logTo(t)})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestWhatAClientHasUnderWayIsBounded floods a server with requests, and reads nothing until the end.
func TestWhatAClientHasUnderWayIsBounded(t *testing.T) {
	b := newProbe()
	p := start(t, Options{Bridge: b})
	for i := range maxUnderWay {
		p.send(call(i, "wait", ""))
	}
	for range maxUnderWay {
		hear(t, b.started)
	}
	p.send(call(9999, "echo", "one too many"))
	p.want(`"id":9999`, "are under way on this connection", `"error"`)
	p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
	p.send(call(8888, "echo", "there is room")) // cancel is heard first, but what it ends takes a moment
	for strings.Contains(p.want(`"id":8888`), "under way") {
		p.send(call(8888, "echo", "there is room"))
	}
	close(b.release)
	for range maxUnderWay - 1 {
		p.want(`"result"`)
	}
}
