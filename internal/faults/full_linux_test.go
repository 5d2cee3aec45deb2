package faults

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDiskFull fills the disk under load and empties it again. On tmpfs a write fails as it is made, on ext4 as room for
// it is reserved.
func TestDiskFull(t *testing.T) {
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			var dir string
			if kind == "tmpfs" {
				dir = mount(t, "-t", "tmpfs", "-o", "size=24m", "crosstalk-faults")
			} else {
				dir = newDisk(t, newImage(t, 32<<20), "loop").dir
			}
			ballast := filepath.Join(dir, "ballast")
			cannotWrite(t, filepath.Join(dir, "bus.db"),
				func() { fill(t, ballast) },
				func() {
					if err := os.Remove(ballast); err != nil {
						t.Fatal(err)
					}
				})
		})
	}
}

// fill writes a file until not one byte more fits on its disk. Meanwhile others may find room where some was freed.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadOnlyDatabase makes the files of a running server immutable, which on ext4 fails every write to them, also of
// who has them open. A file system with such files open cannot be remounted read-only.
func TestReadOnlyDatabase(t *testing.T) {
	dir := newDisk(t, newImage(t, imageSize), "loop").dir
	db := filepath.Join(dir, "bus.db")
	immutable := func(flag string) func() {
		return func() {
			if err := run("chattr", flag, db, db+"-wal"); err != nil {
				t.Fatalf("this test needs chattr, of the package e2fsprogs: %v", err)
			}
		}
	}
	t.Cleanup(func() { _ = run("chattr", "-i", db, db+"-wal") })
	cannotWrite(t, db, immutable("+i"), immutable("-i"))
}

// cannotWrite runs publishers and readers against a server that for a while cannot write its database.
func cannotWrite(t *testing.T, db string, begin, end func()) {
	t.Helper()
	_, seed := chance(t)
	s := newServer(t, crosstalk(t), db)
	s.start(t)
	r := follow(t, s, every)
	l := newLoad(t, seed, 8, s)
	l.start()
	eventually(t, 20*time.Second, "publishers publish", func() bool { return l.count() >= 300 || l.failed() != nil })

	begin()
	eventually(t, 60*time.Second, "publishers are refused", func() bool { return l.refused.Load() >= 200 || l.failed() != nil })
	if err := l.failed(); err != nil {
		t.Fatal(err)
	}
	refusal(t, l)
	var answer struct{ Error, Code string }
	// Where a large write failed, a small one may still find room, for a while.
	eventually(t, 20*time.Second, "/readyz says that nothing can be written", func() bool {
		return ask(t, s, "/readyz", &answer) == http.StatusServiceUnavailable
	})
	if answer.Code != "unavailable" || !strings.HasPrefix(answer.Error, "writer: ") {
		t.Errorf("/readyz says %+v", answer)
	}
	for _, path := range []string{"/livez", "/health", "/api/channels", "/api/search?q=so"} {
		if status := ask(t, s, path, new(any)); status != http.StatusOK {
			t.Errorf("%s answered %d", path, status)
		}
	}
	acks := l.acks()
	whole(t, l, overREST(t, s), acks)

	end()
	more := l.count() + 300
	eventually(t, 30*time.Second, "publishers go on", func() bool { return l.count() >= more || l.failed() != nil })
	eventually(t, 10*time.Second, "/readyz says that all is well", func() bool { return ready(s) })
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	acks = l.acks()
	stored := overREST(t, s)
	whole(t, l, stored, acks)
	only(t, stored, acks)
	r.saw(t, stored)
	if n := r.resumed.Load(); n != 1 {
		t.Errorf("the reader was cut off %d times", n-1)
	}
	s.lacksTrace(t)
	s.kill()
	whole(t, l, inFile(t, db), acks)
	t.Logf("%d acknowledged, %d refused", len(acks), l.refused.Load())
}

// refusal looks at what publishers were told.
func refusal(t *testing.T, l *load) {
	t.Helper()
	text := l.refusal.Load()
	if text == nil {
		t.Fatal("nobody was refused")
	}
	var told struct{ Error, Code string }
	if err := json.Unmarshal([]byte(*text), &told); err != nil || told.Code != "unavailable" {
		t.Errorf("refused with %s: %v", *text, err)
	}
	if !strings.Contains(told.Error, "nothing was stored") {
		t.Errorf("refused with %q, which does not say that nothing was stored", told.Error)
	}
}

// TestReadOnlyFileSystem starts on one: after an orderly end, and after a death that left a log to write back.
func TestReadOnlyFileSystem(t *testing.T) {
	for _, end := range []string{"stopped", "killed"} {
		t.Run(end, func(t *testing.T) {
			_, seed := chance(t)
			image := newImage(t, imageSize)
			d := newDisk(t, image, "loop")
			s := newServer(t, crosstalk(t), filepath.Join(d.dir, "bus.db"))
			s.start(t)
			l := newLoad(t, seed, 2, s)
			l.start()
			eventually(t, 20*time.Second, "publishers publish", func() bool { return l.count() >= 100 || l.failed() != nil })
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
			if end == "stopped" {
				s.stop(t)
			} else {
				s.kill()
			}
			unmount(t, d.dir)

			s = newServer(t, crosstalk(t), filepath.Join(newDisk(t, image, "loop,ro").dir, "bus.db"))
			c := s.launch(t)
			select {
			case <-c.gone:
			case <-time.After(20 * time.Second):
				t.Fatal("the server runs on a file system that cannot be written")
			}
			if code := c.cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			s.lacksTrace(t)
			if text := s.tail(); !strings.Contains(strings.ReplaceAll(text, "readonly", "read-only"), "read-only") || !strings.Contains(text, "bus.db") {
				t.Errorf("the server does not say what is wrong with what:\n%s", text)
			}
		})
	}
}
