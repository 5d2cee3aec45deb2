package faults

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A loss of power takes what the kernel holds in memory for the disk, and nothing else. The database lies on an ext4 in a
// file, mounted through a loop device. What a process writes there stays in the page cache of that ext4 until an fsync,
// or the kernel some seconds later, has ext4 send it to the loop device, and only then it is in the file. So a copy of
// the file is what a disk would hold after the power went: with what was synced, without what was only written.
//
// A disk loses power at one moment, and a copy takes some milliseconds. A block copied early and another copied late, with
// a journal's commit between them, would be a disk that never was. So the server is stopped for the copy (SIGSTOP: what it
// has written without fsync stays in memory, unsent), and the device's counters say whether the kernel wrote
// something of its own account meanwhile; then the copy is thrown away and another one made. A stopped thread first ends
// its system call: no copy is of the middle of an fsync, only of before and after.
//
// The acknowledgements that count are those that the publishers had before the copy began.

const (
	imageSize = 64 << 20
	cuts      = 6
)

// cut is one copy and what had been promised by then.
type cut struct {
	image string
	acks  []ack
	seed  uint64
}

// TestPowerLoss takes the power at random moments and looks at what comes up.
func TestPowerLoss(t *testing.T) {
	random, seed := chance(t)
	for i, c := range powerCuts(t, crosstalk(t), random, seed, cuts) {
		d := newDisk(t, c.image, "loop") // ext4 recovers by its journal
		db := filepath.Join(d.dir, "bus.db")
		s := newServer(t, crosstalk(t), db)
		s.start(t)
		l := &load{seed: c.seed}
		whole(t, l, overREST(t, s), c.acks)
		s.lacksTrace(t)
		s.kill()
		stored := inFile(t, db)
		whole(t, l, stored, c.acks)
		if err := run(crosstalk(t), "verify", "--db", db); err != nil { // the search index too, of which the end may have been lost
			t.Error(err)
		}
		unmount(t, d.dir)
		t.Logf("copy %d: %d acknowledged before, %d stored", i+1, len(c.acks), len(stored))
	}
}

// TestPowerLossShowsWithoutFsync is the proof of the test before: the same, with a build in which one word of the
// source is another, so that a commit does not wait for the disk. It must be seen to lose what it acknowledged.
func TestPowerLossShowsWithoutFsync(t *testing.T) {
	random, seed := chance(t)
	lost := 0
	for _, c := range powerCuts(t, lazyCrosstalk(t), random, seed, 3) {
		d := newDisk(t, c.image, "loop")
		lost += max(0, len(c.acks)-kept(t, filepath.Join(d.dir, "bus.db")))
		unmount(t, d.dir)
	}
	if lost == 0 {
		t.Error("at synchronous=NORMAL nothing was lost: copies of the image do not show what a loss of power does")
	}
	t.Logf("%d acknowledged messages were lost", lost)
}

// kept counts the messages in a database of which even the file, or the tables, may not have come to be.
func kept(t *testing.T, path string) (n int) {
	t.Helper()
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return 0
	}
	db := openFile(t, path)
	defer func() { _ = db.Close() }()
	err := db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = 'messages'").Scan(&n)
	if err == nil && n > 0 {
		err = db.QueryRow("SELECT count(*) FROM messages").Scan(&n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lazyCrosstalk builds the program at synchronous=NORMAL, which no setting of it allows.
func lazyCrosstalk(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("..", "..", "models", "store", "sqlite", "sqlite.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text)
	for from, to := range map[string]string{`onDisk = "FULL"`: `onDisk = "NORMAL"`, `sync != 2`: `sync != 1`} {
		if strings.Count(changed, from) != 1 {
			t.Fatalf("%s has not %s once: this test does not know any more how commits are made to wait for the disk", source, from)
		}
		changed = strings.Replace(changed, from, to, 1)
	}
	other, overlay := filepath.Join(builds.dir, "sqlite.go"), filepath.Join(builds.dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {source: other}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(other, []byte(changed), 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		t.Fatal(err)
	}
	return builds.lazy.build(t, "crosstalk-lazy", "-overlay", overlay)
}

// powerCuts runs a program under load on a disk and takes n copies of it.
func powerCuts(t *testing.T, program string, random *rand.Rand, seed uint64, n int) (taken []cut) {
	t.Helper()
	d := newDisk(t, newImage(t, imageSize), "loop")
	s := newServer(t, program, filepath.Join(d.dir, "bus.db"))
	s.start(t)
	l := newLoad(t, seed, 8, s)
	l.start()
	for range n {
		more := l.count() + 50
		eventually(t, 20*time.Second, "publishers go on", func() bool { return l.count() >= more || l.failed() != nil })
		<-time.After(time.Duration(random.IntN(300)) * time.Millisecond)
		c := cut{image: filepath.Join(t.TempDir(), "copy"), seed: seed}
		eventually(t, 20*time.Second, "a copy of one moment", func() bool {
			err := s.paused(t, func() error { c.acks = l.acks(); return d.snapshot(c.image) })
			if err != nil && !errors.Is(err, errMoved) {
				t.Fatal(err)
			}
			return err == nil
		})
		taken = append(taken, c)
	}
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	s.kill()
	unmount(t, d.dir)
	return taken
}

// paused stops every thread of the server while fn runs.
func (s *server) paused(t *testing.T, fn func() error) error {
	t.Helper()
	p := s.running().cmd.Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Signal(syscall.SIGCONT) }()
	eventually(t, 10*time.Second, "all threads have stopped", func() bool { return s.allStopped(t) })
	return fn()
}

func (s *server) allStopped(t *testing.T) bool {
	t.Helper()
	stats, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(s.pid()), "task", "*", "stat"))
	if err != nil || len(stats) == 0 {
		t.Fatalf("threads of %d: %v", s.pid(), err)
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // a thread that has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		_, state, _ := strings.Cut(string(b), ") ")
		if !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}
