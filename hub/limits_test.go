package hub

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crosstalk/hub/limits"
	"crosstalk/hub/loops"
	"crosstalk/models"
	"crosstalk/models/store"
)

// bounded is a hub with limits and a guard against loops, on an empty database.
func bounded(t *testing.T, c limits.Config) *Hub {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
	if err != nil {
		t.Fatal(err)
	}
	l := limits.New(c)
	l.Enforce()
	h, err := New(st, Options{Limits: l, LoopGuard: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func wantLimited(t *testing.T, what string, err error) {
	t.Helper()
	if models.CodeOf(err) != models.RateLimited || models.RetryAfter(err) < 1 {
		t.Errorf("%s: %v", what, err)
	}
}

func TestCallersAreHeldToTheirLimits(t *testing.T) {
	h := bounded(t, limits.Config{Publishes: 1, Subscriptions: 2, Waits: 1, Bytes: 400, Channels: 2})
	for range 5 {
		say(t, h, "room", "ada", "x")
	}
	_, err := h.Publish(t.Context(), anyone, models.Draft{Channel: "room", Sender: "ada", Content: "x", Type: models.TypeMessage})
	wantLimited(t, "a sixth message", err)
	if head, err := h.Head(t.Context()); err != nil || head != 5 {
		t.Errorf("%d are stored, %v", head, err)
	}
	first := follow(t, h, Subscription{Channels: []string{"a", "b"}})
	_, err = h.Subscribe(t.Context(), anyone, Subscription{Channels: []string{"c"}})
	wantLimited(t, "a third subscription", err)
	first.Close()

	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		_, err := h.Wait(ctx, anyone, Ask{Channel: "a", Instance: "ada"}, models.RoleActive, time.Minute)
		waiting <- err
	}()
	for open := 0; open == 0; {
		list, err := h.Waits(t.Context(), anyone, models.Every)
		if err != nil {
			t.Fatal(err)
		}
		open = len(list)
	}
	_, err = h.Wait(t.Context(), anyone, Ask{Channel: "b", Instance: "bob"}, models.RoleActive, time.Minute)
	wantLimited(t, "a second wait", err)
	cancel()
	<-waiting
	if _, err = h.Wait(t.Context(), anyone, Ask{Channel: "b", Instance: "bob"}, models.RoleActive, time.Millisecond); err != nil {
		t.Errorf("when the first has ended: %v", err)
	}
	_, err = h.ShareData(t.Context(), anyone, models.DataDraft{Key: "k", Sender: "ada", Content: strings.Repeat("x", 401)})
	wantLimited(t, "more data than may be stored", err)
}

func TestALoopIsToldAndStopped(t *testing.T) {
	h := bounded(t, limits.Config{})
	keyed := func(sender, key, content string) (models.Receipt, error) {
		return h.Publish(t.Context(), anyone, models.Draft{Channel: "room", Sender: sender, Content: content, Type: models.TypeMessage, IdempotencyKey: key})
	}
	send := func(who models.Principal, sender string) (models.Receipt, error) {
		return h.Publish(t.Context(), who, models.Draft{Channel: "room", Sender: sender, Content: "x", Type: models.TypeMessage})
	}
	for i := range loops.Most - 1 {
		r, err := send(anyone, []string{"ada", "bob"}[i%2])
		told := strings.Contains(r.Notice, "message_type done")
		if err != nil || told != (i+1 >= loops.Said) {
			t.Fatalf("message %d: %q, %v", i+1, r.Notice, err)
		}
	}
	last, err := keyed("bob", "k", "the last")
	if err != nil {
		t.Fatal(err)
	}
	_, err = send(anyone, "ada")
	wantLimited(t, "a loop", err)
	if r, err := keyed("bob", "k", "the last"); err != nil || r.ID != last.ID || r.Seq != last.Seq || !r.Duplicate {
		t.Errorf("who asks again for what was stored is told %+v, %v", r, err)
	}
	_, err = keyed("bob", "k", "another")
	wantLimited(t, "the same key for another message", err)
	_, err = keyed("ada", "k", "the last")
	wantLimited(t, "the same key of another sender", err)
	if _, err := send(models.Principal{Name: models.SharedPrincipal, Person: "Eve"}, "Eve"); err != nil {
		t.Errorf("a person: %v", err)
	}
	if r, err := send(anyone, "ada"); err != nil || r.Notice != "" {
		t.Errorf("then: %q, %v", r.Notice, err)
	}
}

func TestWhatIsRefusedTakesNothing(t *testing.T) {
	h := bounded(t, limits.Config{Bytes: 1000, OwnChannels: 1})
	alice := holder("alice", "")
	send := func(ch string, parent int64, bytes int) error {
		_, err := h.Publish(t.Context(), alice, models.Draft{Channel: ch, Sender: "alice", Content: strings.Repeat("x", bytes), Type: models.TypeMessage, InReplyTo: parent})
		return err
	}
	for range 3 { // there is no message 99
		if err := send("never", 99, 900); models.CodeOf(err) != models.Invalid {
			t.Fatal(err)
		}
	}
	if err := send("first", 0, 900); err != nil {
		t.Errorf("what was refused counts: %v", err)
	}
	wantLimited(t, "a channel that is not there, once refused", send("never", 0, 1))
	if err := send("first", 0, 1); err != nil {
		t.Errorf("in the channel that is there: %v", err)
	}
	d := models.Draft{Channel: "first", Sender: "alice", Content: strings.Repeat("x", 99), Type: models.TypeMessage, IdempotencyKey: "k"}
	for i := range 3 { // the hub is full after the first
		if r, err := h.Publish(t.Context(), alice, d); err != nil || r.Duplicate != (i > 0) {
			t.Errorf("the same for the %d. time: %+v, %v", i+1, r, err)
		}
	}
}

// TestSubscriptionsOfAllAreBounded holds with and without limits of callers.
func TestSubscriptionsOfAllAreBounded(t *testing.T) {
	h := fresh(t)
	h.feed.mostSeats = 3
	two := follow(t, h, Subscription{Channels: []string{"a", "b"}})
	if _, err := h.Subscribe(t.Context(), anyone, Subscription{Channels: []string{"c", "d"}}); models.CodeOf(err) != models.RateLimited {
		t.Errorf("a fourth: %v", err)
	}
	one := follow(t, h, Subscription{Channels: []string{"c"}})
	two.Close()
	follow(t, h, Subscription{Channels: []string{"a", "d"}}).Close()
	one.Close()
	if h.feed.taken != 0 || len(h.feed.rooms) != 0 {
		t.Errorf("%d seats and %d rooms are left", h.feed.taken, len(h.feed.rooms))
	}
}
