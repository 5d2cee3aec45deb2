package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crosstalk/models"
)

// frail is a connection that ends after so many bytes from the hub.
type frail struct {
	net.Conn
	left int
}

func (f *frail) Read(p []byte) (int, error) {
	if f.left <= 0 {
		_ = f.Conn.Close()
		return 0, errors.New("the line was cut")
	}
	n, err := f.Conn.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// TestHandsOutEachMessageOnceWhereverTheLineIsCut cuts every connection, each a few bytes later than the one before,
// while messages of two channels and of one that is not followed are published.
func TestHandsOutEachMessageOnceWhereverTheLineIsCut(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.start()
		cuts := 0
		h.wrap = func(nc net.Conn) net.Conn {
			cuts++
			return &frail{nc, 13 * (7 + cuts) % 1500}
		}
		after := h.publish("a", "alice", "seen before")
		c := h.client(Options{Channels: []string{"#A ", "b"}, After: &after})
		var want, got []string
		for i := range 70 {
			for range 3 {
				text := fmt.Sprintf("%d of %d", len(want), i)
				h.publish([]string{"a", "b"}[len(want)%2], "alice", text)
				want = append(want, text)
			}
			h.publish("c", "alice", "elsewhere")
			for len(got) < len(want) {
				got = append(got, h.content(c))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("messages (-published +handed out):\n%s", diff)
		}
		if cuts < 70 {
			t.Errorf("the line was cut %d times only", cuts)
		}
	})
}

func TestResumesAfterTheHubStoppedOrWasKilled(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.start()
		var trouble []bool
		stood := 0
		c := h.client(Options{
			Channels: []string{models.Every},
			Trouble:  func(err error) { trouble = append(trouble, err != nil) },
			Standing: func() { stood++ },
		})
		c.after = new(int64)
		h.publish("a", "alice", "1")
		if got := h.content(c); got != "1" {
			t.Fatalf("got %q", got)
		}
		for i, drain := range []bool{true, false} {
			h.publish("b", "alice", "before the end")
			h.stop(drain)
			h.start()
			h.publish("c", "alice", "after it")
			for _, want := range []string{"before the end", "after it"} {
				if got := h.content(c); got != want {
					t.Errorf("end %d: got %q, want %q", i, got, want)
				}
			}
		}
		if want := []bool{true, false, true, false}; !cmp.Equal(want, trouble) {
			t.Errorf("trouble was told as %v, want %v", trouble, want)
		}
		if stood != 3 {
			t.Errorf("it stood %d times, want 3", stood)
		}
	})
}

func TestWithoutACursorBeginsAtWhatComesThen(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.start()
		h.publish("a", "alice", "old")
		c := h.client(Options{Channels: []string{"a"}})
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if event, err := c.Next(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %+v, %v", event, err)
		}
		h.publish("a", "alice", "while nobody listened")
		if got := h.content(c); got != "while nobody listened" {
			t.Errorf("got %q", got)
		}
		if after, bus := c.Cursor(); after == nil || *after != 2 || bus != h.hub.BusID() {
			t.Errorf("stands at %v of %q", after, bus)
		}
	})
}

// mute is a connection that from some moment on carries nothing, not even that it has ended.
type mute struct {
	net.Conn
	silent   *atomic.Bool
	deadline time.Time
	closed   chan struct{}
	once     sync.Once
}

func (m *mute) SetReadDeadline(t time.Time) error {
	m.deadline = t
	return m.Conn.SetReadDeadline(t)
}

func (m *mute) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if !m.silent.Load() {
		return n, err
	}
	var over <-chan time.Time
	if !m.deadline.IsZero() {
		over = time.After(time.Until(m.deadline))
	}
	select {
	case <-over:
		return 0, os.ErrDeadlineExceeded
	case <-m.closed:
		return 0, net.ErrClosed
	}
}

func (m *mute) Close() error {
	m.once.Do(func() { close(m.closed) })
	return m.Conn.Close()
}

func TestNoticesAHubThatIsGoneWithoutAWord(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.start()
		var silent atomic.Bool
		h.wrap = func(nc net.Conn) net.Conn { return &mute{Conn: nc, silent: &silent, closed: make(chan struct{})} }
		c := h.client(Options{Channels: []string{"a"}})
		h.publish("a", "alice", "1")
		after := int64(0)
		c.after = &after
		if got := h.content(c); got != "1" {
			t.Fatalf("got %q", got)
		}
		silent.Store(true)
		h.mu.Lock()
		h.wrap = nil // the next connection carries
		h.mu.Unlock()
		h.publish("a", "alice", "2")
		begin := time.Now()
		if got := h.content(c); got != "2" {
			t.Errorf("got %q", got)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("noticed after %s", took)
		}
	})
}

func TestAQuietHubIsNotTakenForGone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.start()
		c := h.client(Options{Channels: []string{"a"}, Trouble: func(err error) { t.Errorf("trouble: %v", err) }})
		long, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if _, err := c.Next(long); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		if len(h.dials) != 1 {
			t.Errorf("connected %d times", len(h.dials))
		}
	})
}

func TestWhatWasHiddenIsPassedToo(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.start()
		c := h.client(Options{Channels: []string{"a"}, Instance: "bob"})
		c.after = new(int64)
		h.publish("a", "bob", "mine")
		h.publish("a", "alice", "hers")
		if got := h.content(c); got != "hers" {
			t.Errorf("got %q", got)
		}
		h.publish("a", "bob", "mine again")
		pinged, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if event, err := c.Next(pinged); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v, %v", event, err)
		}
		if after, _ := c.Cursor(); *after != 3 {
			t.Errorf("stands at %d, want 3", *after)
		}
	})
}

func TestTellsOfWhatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.keep = time.Minute
		h.start()
		after := h.publish("a", "alice", "seen")
		h.publish("a", "alice", "missed")
		time.Sleep(25 * time.Minute)
		h.publish("a", "alice", "new")
		c := h.client(Options{Channels: []string{"a"}, After: &after, BusID: h.hub.BusID()})
		if event, err := c.Next(t.Context()); err != nil || event != (Event{Lost: "a"}) {
			t.Errorf("got %+v, %v", event, err)
		}
		if got := h.content(c); got != "new" {
			t.Errorf("got %q", got)
		}
		// A cursor from the future, as after an old copy of the database was put back.
		after = 1000
		c = h.client(Options{Channels: []string{"a"}, After: &after})
		if event, err := c.Next(t.Context()); err != nil || event.Lost != "a" {
			t.Errorf("got %+v, %v", event, err)
		}
		h.publish("a", "alice", "newer")
		if got := h.content(c); got != "newer" {
			t.Errorf("got %q", got)
		}
	})
}

func TestAnotherDatabaseIsReadFromItsBeginning(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.start()
		for range 3 {
			h.publish("a", "alice", "of the old one")
		}
		c := h.client(Options{Channels: []string{"a"}})
		c.after = new(int64)
		for range 3 {
			h.content(c)
		}
		h.stop(false)
		h.db = filepath.Join(h.t.TempDir(), "other.db")
		h.start()
		for _, text := range []string{"1", "2", "3", "4", "5"} {
			h.publish("a", "alice", text)
		}
		if event, err := c.Next(t.Context()); err != nil || event != (Event{Replaced: true}) {
			t.Errorf("got %+v, %v", event, err)
		}
		for _, want := range []string{"1", "2", "3", "4", "5"} {
			if got := h.content(c); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		// One who comes later with the old database's name is told as well.
		after := int64(4)
		late := h.client(Options{Channels: []string{"a"}, After: &after, BusID: "another"})
		if event, err := late.Next(t.Context()); err != nil || event != (Event{Replaced: true}) {
			t.Errorf("got %+v, %v", event, err)
		}
		if got := h.content(late); got != "1" {
			t.Errorf("got %q", got)
		}
	})
}

func TestACancelledNextLosesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.start()
		c := h.client(Options{Channels: []string{"a"}})
		c.after = new(int64)
		for i := range 50 {
			text := fmt.Sprint(i)
			h.publish("a", "alice", text)
			over, cancel := context.WithCancel(t.Context())
			if i%2 == 0 {
				cancel()
			}
			event, err := c.Next(over)
			if i%2 == 0 {
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("got %+v, %v", event, err)
				}
				event, err = c.Next(t.Context())
			}
			cancel()
			if err != nil || event.Message.Content != text {
				t.Fatalf("got %+v, %v, want %s", event, err, text)
			}
		}
	})
}
