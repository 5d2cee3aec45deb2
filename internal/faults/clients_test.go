package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestClientsSeeEachMessageOnce kills the server, restarts it on its port, and cuts the line between it and the clients that
// come with it, while others publish. The clients see all that is stored, once and in order, and what they publish
// themselves is stored once.
func TestClientsSeeEachMessageOnce(t *testing.T) {
	random, seed := chance(t)
	s := newServer(t, crosstalk(t), filepath.Join(memoryFolder(t), "bus.db"))
	s.args[slices.Index(s.args, "127.0.0.1:0")] = freeAddress(t)
	s.start(t)
	line := newLine(t, s)
	var clients []*client
	for name, command := range clientCommands(t) {
		clients = append(clients, startClient(t, name, append(command[:2:2], append([]string{"http://" + line.addr, name}, command[2:]...)...)))
	}
	l := newLoad(t, seed, 2, s)
	l.start()
	for _, c := range clients {
		eventually(t, 20*time.Second, c.name+" is live", func() bool { return c.count("live") > 0 || c.failed() != nil })
	}
	for round := range 9 {
		<-time.After(time.Duration(100+random.IntN(400)) * time.Millisecond)
		if round%3 != 0 {
			line.cut()
			continue
		}
		s.kill()
		<-time.After(time.Duration(random.IntN(200)) * time.Millisecond)
		s.launch(t)
	}
	eventually(t, 20*time.Second, "the server is up again", func() bool { return s.at() != "" })
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	stored := overREST(t, s)
	for _, c := range clients {
		c.saw(t, stored)
		c.published(t, s)
		if c.count("waiting") < 2 {
			t.Errorf("%s was cut off %d times: the faults did not meet it", c.name, c.count("waiting"))
		}
	}
	s.lacksTrace(t)
}

// clientCommands are programs that use our clients: what runs them, the program, and its arguments after URL and name.
func clientCommands(t *testing.T) map[string][]string {
	t.Helper()
	readsSources(t)
	node, ws := nodes(t)
	return map[string][]string{
		"node":    {node, "testdata/client.mjs"},
		"python":  {python(t), "testdata/client.py"},
		"node-ws": {node, "testdata/client.mjs", ws},
	}
}

// nodes returns Node 22 and the package ws, by which Node 20 has WebSockets.
func nodes(t *testing.T) (node, ws string) {
	t.Helper()
	out, err := exec.Command("../../scripts/mcp-clients").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = errors.New(string(exit.Stderr))
		}
		t.Fatal(err)
	}
	npm := strings.TrimSpace(string(out))
	return filepath.Join(npm, "node"), filepath.Join(npm, "node_modules", "ws", "wrapper.mjs")
}

// python returns one that has the package websockets: Debian's own, where another may come first in PATH.
func python(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(path, "-c", "import websockets").Run() == nil {
			return path
		}
	}
	t.Fatal("no python3 has the package websockets: scripts/tools installs it")
	return ""
}

// freeAddress returns an address where nobody listens, below the ports that the system gives away by itself.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(20_000+rand.IntN(10_000)))
		if err == nil {
			defer func() { _ = l.Close() }()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// client is a program that follows the publishers' channels and publishes to its own.
type client struct {
	// Set by startClient, then constant.
	name  string
	stdin io.Closer
	gone  chan struct{}

	firstOf
	mu sync.Mutex
	// Guarded by mu.
	seen     []row
	receipts []receipt
	states   map[string]int
}

type receipt struct {
	MessageID int64 `json:"message_id"`
	Seq       int64
	Duplicate bool
}

func startClient(t *testing.T, name string, command []string) *client {
	t.Helper()
	c := &client{name: name, gone: make(chan struct{}), states: map[string]int{}}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.SysProcAttr = dieWithUs()
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.stdin = stdin
	go func() {
		defer close(c.gone)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			c.take(lines.Bytes())
		}
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			c.failf("%s: %v\n%s", name, err, stderr.String())
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close() // may have been closed
		select {
		case <-c.gone:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-c.gone
		}
	})
	return c
}

func (c *client) take(text []byte) {
	var line struct {
		Message   *row
		Published *receipt
		State     string
		Wrong     string
	}
	if err := json.Unmarshal(text, &line); err != nil || line.Wrong != "" {
		c.failf("%s said %s %v", c.name, text, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case line.Message != nil:
		c.seen = append(c.seen, *line.Message)
	case line.Published != nil:
		c.receipts = append(c.receipts, *line.Published)
	default:
		c.states[line.State]++
	}
}

func (c *client) count(state string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.states[state]
}

// saw waits until the client has seen as many messages as are stored, ends it, and compares.
func (c *client) saw(t *testing.T, stored []row) {
	t.Helper()
	eventually(t, 20*time.Second, c.name+" has seen all", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.seen) >= len(stored) || c.failed() != nil
	})
	_ = c.stdin.Close()
	eventually(t, 20*time.Second, c.name+" ends", func() bool {
		select {
		case <-c.gone:
			return true
		default:
			return false
		}
	})
	if err := c.failed(); err != nil {
		t.Error(err)
	}
	for _, stream := range [][]string{{"red", "green"}, {"blue"}} {
		of := func(all []row) (rows []row) {
			for _, m := range all {
				if slices.Contains(stream, m.Channel) {
					rows = append(rows, m)
				}
			}
			return rows
		}
		got, want := of(c.seen), of(stored)
		if len(got) != len(want) {
			t.Errorf("%s saw %d messages of %v, stored are %d", c.name, len(got), stream, len(want))
		}
		for i := range min(len(got), len(want)) {
			if g, w := got[i], want[i]; g.ID != w.ID || g.Seq != w.Seq || g.Sender != w.Sender || g.Content != w.Content {
				t.Errorf("%s saw %d %.40q where %d %.40q is stored", c.name, g.ID, g.Content, w.ID, w.Content)
				break
			}
		}
	}
}

// published checks that what the client published is stored once, in its order, as it was told. The last one may have
// been stored when the client ended without having been told.
func (c *client) published(t *testing.T, s *server) {
	t.Helper()
	var own []row
	for after := int64(0); ; {
		var page struct {
			Messages []row
			Next     int64 `json:"next_after_id"`
			More     bool
		}
		ask(t, s, "/api/messages/own-"+c.name+"?limit=200&after_id="+strconv.FormatInt(after, 10), &page)
		own, after = append(own, page.Messages...), page.Next
		if !page.More {
			break
		}
	}
	if len(own) != len(c.receipts) || len(own) < 20 {
		t.Errorf("%s was told of %d messages, stored are %d", c.name, len(c.receipts), len(own))
	}
	duplicates := 0
	for i, r := range c.receipts[:min(len(own), len(c.receipts))] {
		if m := own[i]; m.ID != r.MessageID || m.Seq != r.Seq || m.Content != strconv.Itoa(i) || m.Sender != c.name {
			t.Fatalf("%s was told %+v of its message %d, stored is %+v", c.name, r, i, m)
		}
		if r.Duplicate {
			duplicates++
		}
	}
	t.Logf("%s saw %d messages and published %d, of which %d had been stored when they were sent again; %d reconnects",
		c.name, len(c.seen), len(own), duplicates, c.count("live")-1)
}

// line passes bytes between an address of its own and a server, until it is cut.
type line struct {
	addr string
	mu   sync.Mutex
	ends []net.Conn // guarded by mu
}

func newLine(t *testing.T, s *server) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{addr: listener.Addr().String()}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", s.at())
			if err != nil {
				_ = near.Close()
				continue
			}
			l.mu.Lock()
			l.ends = append(l.ends, near, far)
			l.mu.Unlock()
			work.Go(func() { pass(near, far) })
			work.Go(func() { pass(far, near) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut()
		work.Wait()
	})
	return l
}

func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // the line was cut
	_, _ = to.Close(), from.Close()
}

// cut closes all connections, each end with a reset.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.ends {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	l.ends = nil
}
