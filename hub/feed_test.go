package hub

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
	"crosstalk/models/store"
)

// echo is a bell that cannot tell who rings: everyone who has it hears all.
type echo struct{ others []chan struct{} }

func (e *echo) Ring() {
	for _, c := range e.others {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// at is one hub's end of it.
type at struct {
	*echo
	rung chan struct{}
}

func (a at) Rung() <-chan struct{} { return a.rung }

func (a at) Trouble() error { return nil }

func (e *echo) join() at {
	a := at{e, make(chan struct{}, 1)}
	e.others = append(e.others, a.rung)
	return a
}

// TestItsOwnEchoCostsAHubLittle has one hub write 300 times with another silent beside it.
func TestItsOwnEchoCostsAHubLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bell := &echo{}
		a := open(t, filepath.Join(t.TempDir(), "bus.db"), bell.join())
		synctest.Wait()
		var looks atomic.Int64
		a.feed.onRing = func() { looks.Add(1) }
		for range 300 {
			say(t, a, "room", "alice", "hi")
			time.Sleep(time.Millisecond)
		}
		if n := looks.Load(); n > 60 {
			t.Errorf("it looked %d times in 300 ms for what it had written itself", n)
		}
	})
}

// TestAnEchoHidesNobody has both write, so that one's rings are hidden among the other's.
func TestAnEchoHidesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, bell := filepath.Join(t.TempDir(), "bus.db"), &echo{}
		a, b := open(t, path, bell.join()), open(t, path, bell.join())
		s := follow(t, a, Subscription{Channels: []string{models.Every}})
		defer s.Close()
		for n := range 24 {
			for range 1 + n%12 {
				say(t, a, "room", "alice", "of its own")
				time.Sleep(time.Millisecond)
			}
			collect(t, s, 1+n%12)
			begun := time.Now()
			say(t, b, "room", "bob", "of another")
			got := collect(t, s, 1)
			if took := time.Since(begun); took > mostRest || got[0].Sender != "bob" {
				t.Fatalf("%s's message was there after %v", got[0].Sender, took)
			}
		}
	})
}

// TestADatabaseThatIsGoneEndsTheHub takes the file away, or puts another one in its place, under a hub that runs.
func TestADatabaseThatIsGoneEndsTheHub(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files that are open are not moved there")
	}
	for name, put := range map[string]bool{"removed": false, "replaced": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "bus.db")
				st, err := store.Open(t.Context(), store.Options{Path: path})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = st.Close() }()
				h, err := New(st, Options{})
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- h.Run(t.Context()) }()
				say(t, h, "room", "alice", "hi")
				time.Sleep(time.Minute)
				if err := os.Rename(path, path+".away"); err != nil {
					t.Fatal(err)
				}
				if put {
					if err := os.WriteFile(path, []byte("another"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				begun := time.Now()
				if err := <-done; !errors.Is(err, errGone) || !strings.Contains(err.Error(), path) || time.Since(begun) > 2*lookEvery {
					t.Errorf("after %v it ended with %v", time.Since(begun), err)
				}
			})
		})
	}
}

// TestALogThatWasSetBackEndsTheHub takes back what was written, as a restored backup does.
func TestALogThatWasSetBackEndsTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		h, err := New(st, Options{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- h.Run(t.Context()) }()
		for range 5 {
			say(t, h, "room", "alice", "hi")
		}
		back := func(by int) {
			if err := st.Transact(t.Context(), func(tx *gorm.DB) error { return tx.Exec("UPDATE bus SET last_id = last_id - ?", by).Error }); err != nil {
				t.Fatal(err)
			}
		}
		back(2)
		time.Sleep(setBack)
		back(-2) // a look that was late
		time.Sleep(time.Minute)
		select {
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		default:
		}
		back(1)
		if err := <-done; !errors.Is(err, errSetBack) {
			t.Errorf("it ended with %v", err)
		}
	})
}
