package turns

import (
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/goleak"

	"crosstalk/internal/eventually"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// taken says whether somebody holds a lock file.
func taken(path string) bool {
	lock := flock.New(path)
	ok, _ := lock.TryLock()
	_ = lock.Unlock()
	return !ok
}

func TestOneTurnAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	var inside, most atomic.Int64
	var wg sync.WaitGroup
	for range 3 { // processes
		turn := New(path)
		for range 3 { // their goroutines
			wg.Go(func() {
				for range 50 {
					done := turn.Take()
					if n := inside.Add(1); n > most.Load() {
						most.Store(n)
					}
					inside.Add(-1)
					done()
				}
			})
		}
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d had their turn at once", most.Load())
	}
}

func TestWhoHasWrittenStandsBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	mine, theirs := New(path), New(path)
	for range 20 {
		done := mine.Take()
		var had atomic.Bool
		over := make(chan struct{})
		go func() {
			defer close(over)
			theirs.lock() // Take looks first whether the turn is free, and is not in line then
			had.Store(true)
			theirs.turn.unlock()
		}()
		eventually.True(t, "the other stands in line", func() bool { return taken(path + ".next") })
		done()
		again := mine.Take()
		if !had.Load() {
			t.Error("who had the turn took it again before the one who waited")
		}
		again()
		<-over
	}
}

func TestAStuckProcessIsNotWaitedForLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	stuck := flock.New(path + ".turn")
	if err := stuck.Lock(); err != nil {
		t.Fatal(err)
	}
	turn := New(path)
	turn.patience = 20 * time.Millisecond
	begin := time.Now()
	turn.Take()()
	if waited := time.Since(begin); waited < turn.patience || waited > 10*time.Second {
		t.Errorf("it went ahead after %v", waited)
	}
	// From now on it does not wait at all.
	turn.patience = time.Hour
	for range 3 {
		turn.Take()()
	}
	// When the other is gone, turns are taken as before, and nobody is left in line.
	if err := stuck.Unlock(); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "nobody is left in line", func() bool { return !taken(path+".next") && !taken(path+".turn") })
	eventually.True(t, "turns are taken again", func() bool {
		done := turn.Take()
		defer done()
		return taken(path + ".turn")
	})
	if turn.stuck != nil {
		t.Error("it still thinks that somebody is stuck")
	}
}

func TestWhereNothingCanBeLockedThereAreNoTurns(t *testing.T) {
	turn := New(filepath.Join(t.TempDir(), "no", "such", "folder", "bus.db"))
	turn.patience = time.Hour
	for range 3 {
		turn.Take()()
	}
}

func BenchmarkTurn(b *testing.B) {
	turn := New(filepath.Join(b.TempDir(), "bus.db"))
	b.ReportAllocs()
	for b.Loop() {
		turn.Take()()
	}
}

// TestWritersOfAProcessComeInTheirOrder is why retention, batch after batch, keeps no sender waiting for more than one.
func TestWritersOfAProcessComeInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := New(filepath.Join(t.TempDir(), "bus.db"))
		var order []int // owned by who has the turn
		done := turn.Take()
		for i := range 5 {
			go func() {
				defer turn.Take()()
				order = append(order, i)
			}()
			synctest.Wait() // it stands in line
		}
		done()
		done = turn.Take()
		if order = append(order, 5); !slices.Equal(order, []int{0, 1, 2, 3, 4, 5}) {
			t.Errorf("they came in the order %v", order)
		}
		done()
	})
}
