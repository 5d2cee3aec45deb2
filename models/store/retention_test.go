package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"crosstalk/internal/eventually"
	"crosstalk/models"
)

func retentionPromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"the newest of the bus are kept":                  newestOfTheBus,
		"a channel keeps its newest":                      newestOfAChannel,
		"a channel's own retention goes before":           ownRetention,
		"retention changes at once":                       retentionChanges,
		"replies are counted that are left":               repliesLeft,
		"many channels keep what each is to keep":         manyChannels,
		"senders go on while retention removes":           sendersGoOn,
		"retention that is cut short leaves all in order": cutShort,
		"large messages go in small batches":              largeMessages,
	}
}

// keeps sets what a channel keeps.
func keeps(t testing.TB, s *Store, ch string, days, messages int64) {
	t.Helper()
	if err := s.Retain(t.Context(), ch, models.Retention{Days: &days, Messages: &messages}); err != nil {
		t.Fatal(err)
	}
}

// left wants the messages that a prune leaves.
func left(t testing.TB, s *Store, want ...int64) {
	t.Helper()
	prune(t, s)
	if got := idsOf(everything(t, s)); !slices.Equal(got, want) {
		t.Errorf("left: %v, want %v", got, want)
	}
}

func newestOfTheBus(t *testing.T, db database) {
	s := db.open(t, Options{KeepMessages: 8})
	batch(t, s, numbered("room", 5)...)
	batch(t, s, numbered("elsewhere", 5)...)
	left(t, s, sequence(3, 10)...)
	batch(t, s, numbered("room", 2)...)
	left(t, s, sequence(5, 12)...)
	left(t, s, sequence(5, 12)...)
}

func newestOfAChannel(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("busy", 10)...) // 1 to 10
	batch(t, s, numbered("quiet", 5)...) // 11 to 15
	batch(t, s, numbered("busy", 10)...) // 16 to 25
	batch(t, s, numbered("empty", 1)...) // 26
	keeps(t, s, "busy", 0, 4)
	keeps(t, s, "quiet", 0, 5)
	left(t, s, append(sequence(11, 15), sequence(22, 26)...)...)
	// Who had read less is told, in the channel and on the bus; who had not, is not.
	check(t, s, "a gap", models.Query{Channel: "busy", After: ptr[int64](20)}, want{sequence(22, 25), 26, false, false})
	check(t, s, "no gap", models.Query{Channel: "busy", After: ptr[int64](21)}, want{sequence(22, 25), 26, false, true})
	check(t, s, "no gap elsewhere", models.Query{Channel: "quiet", After: ptr[int64](0)}, want{sequence(11, 15), 26, false, true})
	if pruned, err := s.Pruned(t.Context(), models.Every); err != nil || pruned != 21 {
		t.Errorf("of the bus: %d, %v", pruned, err)
	}
	// What is new to an instance, and what is found.
	register(t, s, models.Registration{ID: "late"})
	exec(t, s, "UPDATE instances SET registered_id = 0 WHERE id = 'late'")
	list, err := s.Channels(t.Context(), "busy", 10)
	if err == nil {
		err = s.Unread(t.Context(), list, "late")
	}
	if err != nil || len(list) != 1 || *list[0].Unread != 4 || list[0].MessageCount != 4 || *list[0].KeepMessages != 4 || *list[0].KeepDays != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	s.young = 0 // by the index alone, which may know what is gone, and newer
	for _, ch := range []string{"", "busy"} {
		found, err := s.Search(t.Context(), models.Search{Text: "5", Channel: ch, Limit: 1})
		if want := map[string][]int64{"": {15}, "busy": nil}[ch]; err != nil || !slices.Equal(idsOf(found), want) {
			t.Errorf("in %q found: %v, %v", ch, idsOf(found), err)
		}
	}
	batch(t, s, numbered("busy", 1)...)
	left(t, s, append(sequence(11, 15), sequence(23, 27)...)...)
}

func ownRetention(t *testing.T, db database) {
	s := db.open(t, Options{Keep: 50 * time.Hour, KeepMessages: 9})
	const day = 24 * time.Hour
	for _, ch := range []string{"hubs", "forever", "short", "both"} {
		batch(t, s, numbered(ch, 6)...)
	}
	age(t, s, 23, 49*time.Hour) // more than two days, and less than the hub keeps
	age(t, s, 21, 2*day)        // more than four
	keeps(t, s, "forever", 0, 0)
	keeps(t, s, "short", 2, 0)
	keeps(t, s, "both", 3, 2)
	// both: 19 to 21 are too old, 22 is one too many.
	left(t, s, append(sequence(7, 12), 23, 24)...)
	// Without a setting of its own the hub's holds again.
	if err := s.Retain(t.Context(), "forever", models.Retention{}); err != nil {
		t.Fatal(err)
	}
	left(t, s, 23, 24)
	wantCode(t, s.Retain(t.Context(), "nowhere", models.Retention{}), models.NotFound)
}

func retentionChanges(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("room", 20)...)
	keeps(t, s, "room", 0, 5)
	eventually.True(t, "what is too many is gone", func() bool { return slices.Equal(idsOf(everything(t, s)), sequence(16, 20)) })
	// A run that has begun removes nothing from a channel that is to keep more by now.
	release := db.hold(t)
	defer release()
	keeps(t, s, "room", 0, 2)
	p, err := s.beginPruning(t.Context(), time.Now())
	if err != nil || len(p.due) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	keeps(t, s, "room", 0, 4)
	if n, err := s.pruneBatch(t.Context(), p); err != nil || n != 0 || len(p.due) != 0 {
		t.Errorf("%d are gone, %v", n, err)
	}
	left(t, s, sequence(17, 20)...)
}

func repliesLeft(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("asks", 2)...) // 1, 2
	for i := range 9 {                  // 3 to 11
		post(t, s, say("answers", "bob", "x").with(func(a *Append) { a.InReplyTo = 1 + int64(i%2) }))
	}
	keeps(t, s, "answers", 0, 3)
	left(t, s, 1, 2, 9, 10, 11)
	for id, want := range map[int64]int64{1: 2, 2: 1} {
		if m, err := s.Message(t.Context(), "asks", id); err != nil || m.ReplyCount != want {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

func manyChannels(t *testing.T, db database) {
	s := db.open(t, Options{KeepMessages: 300})
	const rooms, each = 300, 4
	fill(t, s, rooms*each, func(i int) models.Draft { return say(fmt.Sprint("room-", i%rooms), "alice", "x").Draft })
	exec(t, s, "UPDATE channels SET keep_days = 0, keep_messages = 3 WHERE name LIKE 'room-1%'")
	prune(t, s)
	counts := map[string]int{}
	for _, m := range everything(t, s) {
		counts[m.Channel]++
	}
	for i := range rooms {
		name, want := fmt.Sprint("room-", i), 1
		if name[:6] == "room-1" {
			want = 3
		}
		if counts[name] != want {
			t.Fatalf("%s keeps %d", name, counts[name])
		}
	}
}

func sendersGoOn(t *testing.T, db database) {
	s := db.open(t, Options{})
	const n = 2 * pruneBatch
	fill(t, s, n, func(i int) models.Draft { return say(fmt.Sprint("room-", i%3), "alice", "x").Draft })
	for i := range 3 {
		keeps(t, s, fmt.Sprint("room-", i), 0, 5)
	}
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			for range 25 {
				post(t, s, say(fmt.Sprint("room-", i%3), fmt.Sprint("agent-", i), "y"))
			}
		})
	}
	prune(t, s)
	senders.Wait()
	prune(t, s)
	if got := everything(t, s); len(got) != 15 {
		t.Errorf("%d are left", len(got))
	}
	if head, err := s.Head(t.Context()); err != nil || head != n+100 {
		t.Errorf("head %d, %v", head, err)
	}
}

func cutShort(t *testing.T, db database) {
	s := db.open(t, Options{KeepMessages: 10})
	release := db.hold(t)
	const n = 3 * pruneBatch
	fill(t, s, n, func(i int) models.Draft { return say("room", "alice", "x").Draft })
	index(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if left, err := s.prune(ctx, nil, time.Now(), time.Now().Add(time.Minute)); err != nil || left != nil {
		t.Fatalf("%v, %v", left, err)
	}
	if got := len(everything(t, s)); got != n-pruneBatch {
		t.Errorf("%d are left after the batch that was under way", got)
	}
	verify(t, s)
	release()
	other := db.open(t, Options{KeepMessages: 10})
	other.wrote.Store(true)
	eventually.True(t, "another process goes on", func() bool { return len(everything(t, s)) == 10 })
}

func largeMessages(t *testing.T, db database) {
	s := db.open(t, Options{KeepMessages: 1})
	release := db.hold(t)
	defer release()
	text := fmt.Sprintf("%0*d", 300_000, 1)
	for range 9 {
		post(t, s, say("room", "alice", text))
	}
	index(t, s)
	p, err := s.beginPruning(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{2, 2, 2, 2, 0} {
		if got, err := s.pruneBatch(t.Context(), p); err != nil || got != want {
			t.Errorf("a batch removed %d, %v; want %d", got, err, want)
		}
	}
	if len(p.due) > 0 {
		t.Errorf("still due: %+v", p.due)
	}
}

func TestABatchThatTakesLongIsFollowedByASmallerOne(t *testing.T) {
	p := &pruning{size: pruneBatch}
	for i, c := range []struct {
		took time.Duration
		want int
	}{
		{0, pruneBatch}, {pruneHold, pruneBatch}, {pruneHold + 1, pruneBatch / 2}, {time.Second, pruneBatch / 4},
		{pruneHold / 2, pruneBatch / 4}, {pruneHold/2 - 1, pruneBatch / 2},
		{time.Second, pruneBatch / 4}, {time.Second, pruneBatch / 8}, {time.Second, pruneBatch / 16}, {time.Second, pruneLeast}, {time.Second, pruneLeast},
	} {
		if p.adapt(c.took); p.size != c.want {
			t.Errorf("%d: after a batch of %v the next is %d, not %d", i, c.took, p.size, c.want)
		}
	}
}
