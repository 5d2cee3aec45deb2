package faults

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "what the random choices follow from; 0 takes another one each time")

// builds is where programs are put that more than one test runs.
var builds struct {
	dir  string
	real program
	lazy program // does not wait for the disk
}

func TestMain(m *testing.M) { os.Exit(inFolder(m)) }

func inFolder(m *testing.M) int {
	dir, err := os.MkdirTemp("", "crosstalk-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	builds.dir = dir
	return m.Run()
}

// program is built once, when the first test asks for it.
type program struct {
	once sync.Once
	path string
	err  error
}

// crosstalk builds the program as it is and returns its path.
func crosstalk(t *testing.T) string {
	t.Helper()
	return builds.real.build(t, "crosstalk")
}

func (p *program) build(t *testing.T, name string, flags ...string) string {
	t.Helper()
	p.once.Do(func() {
		p.path = filepath.Join(builds.dir, name)
		args := append([]string{"build", "-o", p.path}, flags...)
		if out, err := exec.Command("go", append(args, "crosstalk/cmd/crosstalk")...).CombinedOutput(); err != nil {
			p.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.path
}

// chance returns the test's random choices, and says how to have them again.
func chance(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("the choices of this run again: go test ./internal/faults -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0)), seed
}

// memoryFolder is a folder for databases of tests that the disk is no part of: in memory where there is such a place.
func memoryFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "crosstalk-faults-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// eventually waits for what another process does.
func eventually(t *testing.T, within time.Duration, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}

// run runs a command of the system.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// firstOf keeps the first thing that went wrong somewhere; what follows is mostly its consequence.
type firstOf struct {
	mu  sync.Mutex
	err error
}

func (f *firstOf) failf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

func (f *firstOf) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

var errNotUp = errors.New("the server is not up")
