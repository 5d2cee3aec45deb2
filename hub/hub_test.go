package hub

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"crosstalk/hub/health"
	"crosstalk/models"
	"crosstalk/models/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var anyone = models.Principal{Name: models.SharedPrincipal}

// open runs a hub on a database until the test ends.
func open(t testing.TB, path string, bell Bell) *Hub {
	t.Helper()
	h, stop := start(t, path, bell)
	t.Cleanup(stop)
	return h
}

func start(t testing.TB, path string, bell Bell) (h *Hub, stop func()) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	h, err = New(st, Options{Bell: bell})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	return h, func() {
		h.Drain()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

// fresh is a hub on an empty database.
func fresh(t testing.TB) *Hub {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
}

func say(t testing.TB, h *Hub, ch, sender, content string) models.Receipt {
	t.Helper()
	r, err := h.Publish(t.Context(), anyone, models.Draft{
		Channel: ch, Sender: sender, Content: content, Kind: models.KindAgent, Type: models.TypeMessage,
	})
	if err != nil {
		t.Error(err)
	}
	return r
}

func follow(t testing.TB, h *Hub, s Subscription) *Subscriber {
	t.Helper()
	sub, err := h.Subscribe(t.Context(), anyone, s)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// collect reads until it has n entries.
func collect(t testing.TB, s *Subscriber, n int) []*Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []*Entry
	for len(got) < n {
		var err error
		if got, err = s.Next(ctx, got, 4<<10); err != nil {
			t.Errorf("after %d of %d entries: %v", len(got), n, err)
			return got
		}
	}
	return got
}

// checkOrder fails unless got is exactly the messages of the log that keep accepts, in order.
func checkOrder(t testing.TB, h *Hub, got []*Entry, after int64, keep func(models.Message) bool) {
	t.Helper()
	head, err := h.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []int64
	for from := after; from < head; {
		rows, err := h.store.After(t.Context(), models.Every, from, head, 1000)
		if err != nil || len(rows) == 0 {
			t.Fatalf("read the log after %d: %d rows, %v", from, len(rows), err)
		}
		for _, m := range rows {
			if keep(m) {
				want = append(want, m.ID)
			}
			from = m.ID
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, e := range got {
		if e.ID != want[i] {
			t.Fatalf("entry %d has id %d, want %d", i, e.ID, want[i])
		}
	}
}

func TestDeliversEachChannelInOrder(t *testing.T) {
	h := fresh(t)
	const senders, each = 6, 60
	channels := []string{"a", "b", "c"}
	zero := int64(0)
	subs := map[string]*Subscriber{
		"one":      follow(t, h, Subscription{Channels: []string{"a"}}),
		"two":      follow(t, h, Subscription{Channels: []string{"a", "b"}}),
		"every":    follow(t, h, Subscription{Channels: []string{models.Every}}),
		"resuming": follow(t, h, Subscription{Channels: channels, After: &zero}),
		"hiding":   follow(t, h, Subscription{Channels: channels, Hide: "s1"}),
	}
	keep := map[string]func(models.Message) bool{
		"one":      func(m models.Message) bool { return m.Channel == "a" },
		"two":      func(m models.Message) bool { return m.Channel != "c" },
		"every":    func(models.Message) bool { return true },
		"resuming": func(models.Message) bool { return true },
		"hiding":   func(m models.Message) bool { return m.Sender != "s1" },
	}
	total := senders * each
	count := map[string]int{"one": total / 3, "two": 2 * total / 3, "every": total, "resuming": total, "hiding": total - each}
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				say(t, h, channels[(s+i)%len(channels)], fmt.Sprint("s", s), fmt.Sprint("message ", i))
			}
		})
	}
	got := map[string][]*Entry{}
	var mu sync.Mutex
	for name, sub := range subs {
		all.Go(func() {
			entries := collect(t, sub, count[name])
			mu.Lock()
			defer mu.Unlock()
			got[name] = entries
		})
	}
	all.Wait()
	for name, sub := range subs {
		checkOrder(t, h, got[name], 0, keep[name])
		sub.Close()
	}
	if n := len(h.feed.rooms); n != 0 || h.feed.bytes != 0 || h.feed.hot != nil || h.feed.cold != nil {
		t.Errorf("%d rooms of %d bytes are left when nobody subscribes", n, h.feed.bytes)
	}
}

func TestPublishNeverWaitsForAReader(t *testing.T) {
	h := fresh(t)
	asleep := follow(t, h, Subscription{Channels: []string{"a"}})
	defer asleep.Close()
	text := fmt.Sprintf("%0*d", 8<<10, 1)
	const n = 3 * ringBytes / (8 << 10)
	for range n {
		say(t, h, "a", "bob", text) // returns although nobody reads
	}
	if b := h.feed.rooms["a"].bytes; b > ringBytes {
		t.Errorf("the ring holds %d bytes, at most %d are promised", b, ringBytes)
	}
	if _, behind := asleep.Ready(nil, 1<<20); !behind {
		t.Error("a reader of which the ring has evicted messages was not told to read the log")
	}
	checkOrder(t, h, collect(t, asleep, n), 0, func(models.Message) bool { return true })
}

func TestRingsTogetherAreBounded(t *testing.T) {
	h := fresh(t)
	h.feed.most = 300 << 10
	text := fmt.Sprintf("%0*d", 10<<10, 1)
	var subs []*Subscriber
	const rooms, each = 20, 3 // 600 KiB in all
	for i := range rooms {
		subs = append(subs, follow(t, h, Subscription{Channels: []string{fmt.Sprint("r", i)}}))
	}
	for range each {
		for i := range rooms {
			say(t, h, fmt.Sprint("r", i), "bob", text)
		}
	}
	if h.feed.bytes > h.feed.most || h.feed.bytes < h.feed.most/2 {
		t.Errorf("the rings hold %d bytes, %d is their bound", h.feed.bytes, h.feed.most)
	}
	for i, s := range subs {
		checkOrder(t, h, collect(t, s, each), 0, func(m models.Message) bool { return m.Channel == fmt.Sprint("r", i) })
		s.Close()
	}
}

// TestFillsGaps has two processes' worth of hubs write to one database without a bell: each finds
// what the other wrote, in order.
func TestFillsGaps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crosstalk.db")
	hubs := []*Hub{open(t, path, nil), open(t, path, nil)}
	const each = 80
	var all sync.WaitGroup
	got := make([][]*Entry, 4)
	for i, h := range hubs { // all of them, before anybody writes
		one := follow(t, h, Subscription{Channels: []string{"a"}})
		every := follow(t, h, Subscription{Channels: []string{models.Every}})
		defer one.Close()
		defer every.Close()
		all.Go(func() { got[2*i] = collect(t, one, each) })
		all.Go(func() { got[2*i+1] = collect(t, every, 2*each) })
	}
	for i, h := range hubs {
		all.Go(func() {
			for n := range each {
				say(t, h, []string{"a", "b"}[n%2], fmt.Sprint("hub", i), fmt.Sprint(n))
			}
		})
	}
	all.Wait()
	for i, h := range hubs {
		checkOrder(t, h, got[2*i], 0, func(m models.Message) bool { return m.Channel == "a" })
		checkOrder(t, h, got[2*i+1], 0, func(models.Message) bool { return true })
	}
}

func TestToldOnlyWhatIsStored(t *testing.T) {
	h := fresh(t)
	s := follow(t, h, Subscription{Channels: []string{"a"}})
	defer s.Close()
	var sender sync.WaitGroup
	sender.Go(func() {
		for i := range 50 {
			say(t, h, "a", "bob", fmt.Sprint(i))
		}
	})
	for range 50 {
		for _, e := range collect(t, s, 1) {
			if _, err := h.store.Message(t.Context(), "a", e.ID); err != nil {
				t.Errorf("message %d was delivered before others can read it: %v", e.ID, err)
			}
		}
		if s.Position() == 50 {
			break
		}
	}
	sender.Wait()
}

func TestResumesAnywhereWithoutGapOrRepeat(t *testing.T) {
	h := fresh(t)
	var sender sync.WaitGroup
	const n = 400
	sender.Go(func() {
		for i := range n {
			say(t, h, []string{"a", "b", "c"}[i%3], "bob", fmt.Sprint(i))
		}
	})
	var got []*Entry
	at := int64(0)
	for at < n { // leaves and comes back after each page, while messages come in
		s := follow(t, h, Subscription{Channels: []string{"c", "a", "b"}, After: &at})
		got = append(got, collect(t, s, 1)...)
		at = got[len(got)-1].ID
		if !s.Recovered("a") {
			t.Fatal("a stream that lost nothing says it did")
		}
		s.Close()
	}
	sender.Wait()
	checkOrder(t, h, got, 0, func(models.Message) bool { return true })
}

func TestAfterPastTheHeadIsTheHeadAndTold(t *testing.T) {
	h := fresh(t)
	say(t, h, "a", "bob", "one")
	far := int64(1 << 40)
	s := follow(t, h, Subscription{Channels: []string{"a"}, After: &far})
	defer s.Close()
	if s.Recovered("a") {
		t.Error("a cursor past the head was taken for this bus's")
	}
	say(t, h, "a", "bob", "two")
	if got := collect(t, s, 1); got[0].Content != "two" {
		t.Errorf("got %q", got[0].Content)
	}
}

func TestPollWakesOnCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
		defer stop()
		after, began := int64(0), time.Now()
		var page models.Page
		var poll sync.WaitGroup
		poll.Go(func() {
			var err error
			page, err = h.Messages(t.Context(), anyone, models.Query{Channel: "a", After: &after, Instance: "me", Limit: 10}, 30*time.Second)
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		say(t, h, "a", "me", "my own: hidden, no answer")
		say(t, h, "b", "bob", "elsewhere")
		synctest.Wait()
		say(t, h, "a", "bob", "for you")
		poll.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("woke %v after the commit", took)
		}
		if len(page.Messages) != 1 || page.Messages[0].Content != "for you" || page.NextAfterID != 3 {
			t.Errorf("got %+v", page)
		}
	})
}

func TestPollEndsEmptyAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
		defer stop()
		say(t, h, "b", "bob", "elsewhere")
		after, began := int64(0), time.Now()
		page, err := h.Messages(t.Context(), anyone, models.Query{Channel: "a", After: &after, Limit: 10}, 30*time.Second)
		if err != nil || len(page.Messages) != 0 || page.NextAfterID != 1 || !page.Recovered {
			t.Errorf("got %+v, %v", page, err)
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestDrainAnswersThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
		defer stop()
		after, began := int64(0), time.Now()
		var waits sync.WaitGroup
		for range 100 {
			waits.Go(func() {
				if _, err := h.Messages(t.Context(), anyone, models.Query{Channel: "a", After: &after, Limit: 10}, 30*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		s := follow(t, h, Subscription{Channels: []string{"a"}})
		defer s.Close()
		waits.Go(func() {
			if _, err := s.Next(t.Context(), nil, 1); models.CodeOf(err) != models.Unavailable {
				t.Errorf("a stream ended with %v", err)
			}
		})
		synctest.Wait()
		h.Drain()
		waits.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("answered after %v", took)
		}
		if r := h.Health(); models.CodeOf(r.Error) != models.Unavailable || r.Status != health.Unready || r.Stuck != nil {
			t.Errorf("a draining hub says of itself %+v", r)
		}
	})
}

func TestTenThousandWaitersSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
		defer stop()
		var woken sync.WaitGroup
		for range 10_000 {
			s := follow(t, h, Subscription{Channels: []string{"a"}})
			woken.Go(func() {
				defer s.Close()
				if got := collect(t, s, 1); len(got) == 1 && got[0].Content != "now" {
					t.Errorf("woke for %q", got[0].Content)
				}
			})
		}
		synctest.Wait()
		say(t, h, "a", "bob", "now")
		woken.Wait()
	})
}
