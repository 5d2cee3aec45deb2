package faults

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is the program on one database, started as often as it is killed. Each start listens somewhere else.
type server struct {
	// Set by newServer, then constant.
	path string // of the program
	args []string
	env  []string // beside ours
	log  string   // file that all starts write to

	mu sync.Mutex
	// Guarded by mu.
	addr  string // empty while it does not listen
	child *child
}

// child is one start.
type child struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed once it has ended; cmd.ProcessState is set then
}

// newServer makes a server that the end of the test kills.
func newServer(t *testing.T, path, db string, args ...string) *server {
	t.Helper()
	return newProgram(t, path, append([]string{"--db", db}, args...)...)
}

// newNode makes one of several servers on a PostgreSQL database.
func newNode(t *testing.T, database string, args ...string) *server {
	t.Helper()
	return newProgram(t, crosstalk(t), append([]string{"--database-url", database}, args...)...)
}

func newProgram(t *testing.T, path string, args ...string) *server {
	t.Helper()
	s := &server{path: path, log: filepath.Join(t.TempDir(), "log")}
	s.args = append([]string{"serve", "--addr", "127.0.0.1:0", "--no-loop-guard"}, args...)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", s.tail())
		}
	})
	return s
}

// start starts it and waits until it listens.
func (s *server) start(t *testing.T) {
	t.Helper()
	c := s.launch(t)
	eventually(t, 30*time.Second, "the server listens", func() bool {
		select {
		case <-c.gone:
			t.Fatalf("the server did not start: %v\n%s", c.cmd.ProcessState, s.tail())
		default:
		}
		return s.at() != ""
	})
}

// launch starts it and does not wait.
func (s *server) launch(t *testing.T) *child {
	t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	c := &child{cmd: exec.Command(s.path, s.args...), gone: make(chan struct{})}
	c.cmd.Stderr = log
	c.cmd.Env = append(os.Environ(), s.env...)
	c.cmd.SysProcAttr = dieWithUs()
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.child = c
	s.mu.Unlock()
	go s.watch(c, stdout)
	return c
}

// watch notes where a child listens until it has ended.
func (s *server) watch(c *child, stdout io.Reader) {
	defer close(c.gone)
	line := regexp.MustCompile(`listening on port (\d+)`)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if found := line.FindStringSubmatch(lines.Text()); found != nil {
			s.listens(c, "127.0.0.1:"+found[1])
		}
	}
	_ = c.cmd.Wait() // ProcessState tells
	s.listens(c, "")
}

func (s *server) listens(c *child, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == c {
		s.addr = addr
	}
}

// at returns where it listens, nothing while it does not.
func (s *server) at() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

func (s *server) running() *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child
}

func (s *server) pid() int { return s.running().cmd.Process.Pid }

// kill is kill -9. It returns once the process is no more.
func (s *server) kill() {
	if c := s.running(); c != nil {
		_ = c.cmd.Process.Kill() // fails when it has ended
		<-c.gone
	}
}

// stop asks it to end and returns how it did and how long it took.
func (s *server) stop(t *testing.T) (code int, took time.Duration) {
	t.Helper()
	c, begun := s.running(), time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.gone:
	case <-time.After(15 * time.Second):
		t.Fatalf("the server did not end:\n%s", s.tail())
	}
	return c.cmd.ProcessState.ExitCode(), time.Since(begun)
}

// tail is the end of what it logged.
func (s *server) tail() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// logged counts how often it has logged something.
func (s *server) logged(t *testing.T, what string) int {
	t.Helper()
	b, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), what)
}

// lacksTrace fails the test if the server ever crashed.
func (s *server) lacksTrace(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"panic", "goroutine ", "SIGBUS", "SIGSEGV", "fatal error"} {
		if at := strings.Index(string(b), mark); at >= 0 {
			t.Errorf("the server's log has %q:\n%s", mark, b[at:min(len(b), at+2000)])
			return
		}
	}
}

func (s *server) String() string { return fmt.Sprintf("server at %s", s.at()) }
