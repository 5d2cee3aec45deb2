package faults

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// has returns how many descriptors the server has open whose names begin so: socket: or nothing for all.
func (s *server) has(t *testing.T, kind string) (n int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", s.pid())
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range list {
		if name, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && strings.HasPrefix(name, kind) {
			n++
		}
	}
	return n
}

// memory returns a line of the server's status in MiB: VmRSS is what it has, VmHWM the most it had.
func (s *server) memory(t *testing.T, line string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, behind, _ := strings.Cut(string(b), line+":")
	var kb int
	if _, err := fmt.Sscan(behind, &kb); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return kb >> 10
}

// level is what a server holds.
type level struct {
	goroutines, descriptors int
	heap, memory            int // KiB, after a collection; and MiB
}

func (l level) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d KiB on the heap, %d MiB", l.goroutines, l.descriptors, l.heap, l.memory)
}

// level looks at a server that was started with --pprof.
func (s *server) level(t *testing.T) (l level) {
	t.Helper()
	heap := s.profile(t, "heap?gc=1&debug=1")
	_, behind, _ := strings.Cut(heap, "# HeapAlloc = ")
	if _, err := fmt.Sscan(behind, &l.heap); err != nil {
		t.Fatalf("heap profile: %v", err)
	}
	l.heap >>= 10
	l.goroutines = s.goroutines(t)
	l.descriptors, l.memory = s.has(t, ""), s.memory(t, "VmRSS")
	return l
}

// goroutines counts them, but for those that wait for a next connection to serve: they leave after ten seconds.
func (s *server) goroutines(t *testing.T) (n int) {
	t.Helper()
	total, stacks, _ := strings.Cut(s.profile(t, "goroutine?debug=1"), "\n")
	if _, err := fmt.Sscanf(total, "goroutine profile: total %d", &n); err != nil {
		t.Fatalf("goroutine profile: %v", err)
	}
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		if strings.Contains(stack, "workerPool).workerFunc") && !strings.Contains(stack, "Server).serveConn") {
			var idle int
			if _, err := fmt.Sscan(stack, &idle); err != nil {
				t.Fatalf("goroutine profile: %v", err)
			}
			n -= idle
		}
	}
	return n
}

func (s *server) profile(t *testing.T, what string) string {
	t.Helper()
	log, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	const says = `"msg":"profiles","url":"`
	at := strings.LastIndex(string(log), says) // of the last start
	if at < 0 {
		t.Fatal("the server's log does not say where its profiles are")
	}
	url, _, _ := strings.Cut(string(log[at+len(says):]), `"`)
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	res, err := c.Get(url + what)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", what, res.Status, err)
	}
	return string(text)
}

// settles waits until the server holds no more goroutines and descriptors than it did, but for a few, and returns what
// it then holds.
func (s *server) settles(t *testing.T, was level, few int) (now level) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("was %v, is %v\n%s", was, now, s.profile(t, "goroutine?debug=1"))
		}
	}()
	eventually(t, 20*time.Second, "the server lets go of what it held", func() bool {
		now = s.level(t)
		return now.goroutines <= was.goroutines+few && now.descriptors <= was.descriptors+few
	})
	return now
}
