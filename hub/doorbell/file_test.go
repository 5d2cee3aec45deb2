package doorbell

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"crosstalk/models"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *File {
	t.Helper()
	b, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// heard waits for a ring as long as a machine can be slow.
func heard(t *testing.T, b *File) {
	t.Helper()
	select {
	case <-b.Rung():
	case <-time.After(30 * time.Second):
		t.Fatal("the bell rang and was not heard")
	}
}

func TestIsHeardByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crosstalk.db.bell")
	a, b := open(t, path), open(t, path)
	for range 3 {
		a.Ring()
		heard(t, b)
	}
	b.Ring()
	heard(t, a)
}

func TestManyRingsAreOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crosstalk.db.bell")
	a, b := open(t, path), open(t, path)
	for range 1000 {
		a.Ring() // nobody takes them: the ringer must not block
	}
	heard(t, b)
}

func TestSaysWhatIsWrong(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "no", "such", "folder"), nil); err == nil {
		t.Fatal("a bell in a folder that is not there was opened")
	}
}

// hangs says whether the bell is the one that is found at its place.
func hangs(b *File) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	own, err := b.file.Stat()
	there, terr := os.Stat(b.path)
	return err == nil && terr == nil && os.SameFile(own, there)
}

// TestIsHungUpAnew removes the bell under two that share it. Where it cannot be hung up, for a folder is in its place, that is told.
func TestIsHungUpAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crosstalk.db.bell")
	a, b := open(t, path), open(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both have hung up the same", func() bool { return hangs(a) && hangs(b) })
	heard(t, a) // each must look: it may have missed a ring
	heard(t, b)
	eventually(t, "they are quiet", func() bool {
		select {
		case <-a.Rung():
			return false
		default:
			return true
		}
	})
	b.Ring()
	heard(t, a)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "trouble is told", func() bool { return a.Trouble() != nil && b.Trouble() != nil })
	if text := models.Text(a.Trouble()); strings.Contains(text, path) {
		t.Errorf("everybody is told %q", text)
	}
	a.Ring() // into the void
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is well again", func() bool { return a.Trouble() == nil && b.Trouble() == nil })
	for range 3 { // one ring may be of the hanging up
		a.Ring()
		heard(t, b)
	}
}
