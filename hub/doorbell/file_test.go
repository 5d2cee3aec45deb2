package doorbell

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
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
