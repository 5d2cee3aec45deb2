package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crosstalk/internal/eventually"
	"crosstalk/models"
)

func appendPromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"a busy sender is noted once a minute":              busySendersAreNotedOnce,
		"what is acknowledged is there for every process":   acknowledgedIsThere,
		"ids are dense and readers never skip one":          readersNeverSkip,
		"commits are told in order, all, before the sender": commitsAreTold,
		"a key makes a second send harmless":                keysMakeSendsHarmless,
		"a key is remembered for a day":                     keysAreRememberedADay,
		"a refused append spoils no other":                  aRefusedAppendSpoilsNoOther,
		"replies are counted":                               repliesAreCounted,
		"times never go back":                               timesNeverGoBack,
		"batches of any size keep their order":              batchesKeepOrder,
		"the largest content comes back as it was":          contentsComeBack,
		"a channel names who was lately active":             channelsNameTheActive,
	}
}

func acknowledgedIsThere(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	var wg sync.WaitGroup
	for sender := range 8 {
		wg.Go(func() {
			for i := range 20 {
				a := say(fmt.Sprint("room-", i%3), fmt.Sprint("agent-", sender), fmt.Sprint(i)).with(func(a *Append) {
					a.Kind, a.Type, a.Verified = models.KindHuman, models.TypeRequest, true
				})
				r, err := s.Append(t.Context(), a)
				if err != nil {
					t.Error(err)
					return
				}
				m, err := other.Message(t.Context(), a.Channel, r.ID)
				want := models.Message{
					ID: r.ID, Seq: r.Seq, Channel: a.Channel, Sender: a.Sender, Kind: models.KindHuman, Verified: true,
					Content: a.Content, Type: models.TypeRequest, CreatedAt: m.CreatedAt,
				}
				if diff := cmp.Diff(want, m); err != nil || diff != "" {
					t.Errorf("acknowledged -, there for another process + (%v)\n%s", err, diff)
				}
				if want := (models.Receipt{ID: m.ID, Seq: m.Seq, Channel: a.Channel, Type: models.TypeRequest}); r != want {
					t.Errorf("receipt %+v, want %+v", r, want)
				}
			}
		})
	}
	wg.Wait()
}

func readersNeverSkip(t *testing.T, db database) {
	const stores, senders, each = 3, 4, 50
	const n = stores * senders * each
	reader := db.open(t, Options{})
	var wg sync.WaitGroup
	for i := range stores {
		s := db.open(t, Options{})
		for j := range senders {
			wg.Go(func() {
				for k := range each {
					if _, err := s.Append(t.Context(), say(fmt.Sprint("room-", k%4), fmt.Sprint(i, j), fmt.Sprint(k))); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	var seen []int64
	eventually.True(t, "the reader has everything", func() bool {
		after := int64(len(seen))
		rows, err := reader.After(t.Context(), models.Every, after, math.MaxInt64, 7)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, idsOf(rows)...)
		if !slices.Equal(seen, sequence(1, int64(len(seen)))) {
			t.Fatalf("a reader at %d was given %v", after, idsOf(rows))
		}
		return len(seen) == n || t.Failed()
	})
	wg.Wait()
	// Each sender's messages stand in the order in which it sent them.
	last := map[string]string{}
	for _, m := range everything(t, reader) {
		key := m.Sender
		if before, ok := last[key]; ok && atoi(before) >= atoi(m.Content) {
			t.Errorf("%s said %s after %s", m.Sender, m.Content, before)
		}
		last[key] = m.Content
	}
}

func atoi(s string) (n int) {
	_, _ = fmt.Sscan(s, &n)
	return n
}

func commitsAreTold(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	var mu sync.Mutex
	told := map[int64]models.Message{}
	last := int64(0)
	s.OnCommit(func(batch []models.Message) {
		mu.Lock()
		defer mu.Unlock()
		if len(batch) == 0 {
			t.Error("nothing was told")
		}
		for _, m := range batch {
			if m.ID <= last {
				t.Errorf("message %d was told after %d", m.ID, last)
			}
			last = m.ID
			told[m.ID] = m
		}
	})
	var wg sync.WaitGroup
	for sender := range 8 {
		wg.Go(func() {
			for i := range 20 {
				a := say("room", fmt.Sprint(sender), fmt.Sprint(i)).with(func(a *Append) { a.IdempotencyKey = fmt.Sprint(i / 2) })
				a.Content = a.IdempotencyKey // every second one is a repetition
				if i%5 == 4 {
					a.InReplyTo = 1
				}
				r, err := s.Append(t.Context(), a)
				if err != nil {
					if models.CodeOf(err) != models.Conflict {
						t.Error(err)
					}
					continue
				}
				mu.Lock()
				if _, ok := told[r.ID]; !ok {
					t.Errorf("message %d was acknowledged before it was told", r.ID)
				}
				mu.Unlock()
				post(t, other, say("room", "other", "x"))
			}
		})
	}
	wg.Wait()
	for _, m := range everything(t, s) {
		mine := m.Sender != "other"
		was, ok := told[m.ID]
		if ok != mine {
			t.Errorf("message %d of %s: told %v", m.ID, m.Sender, ok)
		}
		m.ReplyCount = 0 // counted later
		if diff := cmp.Diff(m, was); ok && diff != "" {
			t.Errorf("stored -, told +\n%s", diff)
		}
	}
}

func keysMakeSendsHarmless(t *testing.T, db database) {
	s := db.open(t, Options{})
	post(t, s, say("room", "bob", "a first message"))
	a := say("room", "alice", "hi").with(func(a *Append) { a.IdempotencyKey, a.InReplyTo, a.Type = "k", 1, models.TypeStatus })
	first := post(t, s, a)
	if first.Duplicate {
		t.Fatalf("the first send is %+v", first)
	}
	again := first
	again.Duplicate = true
	for name, s := range map[string]*Store{"the same process": s, "another process": db.open(t, Options{})} {
		if r := post(t, s, a); r != again {
			t.Errorf("%s: %+v, want %+v", name, r, again)
		}
		for what, change := range map[string]func(*Append){
			"channel": func(a *Append) { a.Channel = "other" },
			"content": func(a *Append) { a.Content = "hi!" },
			"type":    func(a *Append) { a.Type = models.TypeDone },
			"parent":  func(a *Append) { a.InReplyTo = 0 },
		} {
			_, err := s.Append(t.Context(), a.with(change))
			if models.CodeOf(err) != models.Conflict || !strings.Contains(err.Error(), `"k"`) {
				t.Errorf("%s, another %s: %v", name, what, err)
			}
			if _, _, asked := s.Answered(t.Context(), a.with(change)); fmt.Sprint(asked) != fmt.Sprint(err) {
				t.Errorf("%s, another %s, asked only: %v", name, what, asked)
			}
		}
		if r, found, err := s.Answered(t.Context(), a); r != again || !found || err != nil {
			t.Errorf("%s, asked only: %+v, %v", name, r, err)
		}
		// What the sender did not choose may differ.
		if r := post(t, s, a.with(func(a *Append) { a.Verified = !a.Verified })); r != again {
			t.Errorf("%s: verified now, %+v", name, r)
		}
	}
	// The key is the sender's own, and its principal's.
	for what, change := range map[string]func(*Append){
		"sender":    func(a *Append) { a.Sender = "bob" },
		"principal": func(a *Append) { a.Principal = "key-2" },
		"key":       func(a *Append) { a.IdempotencyKey = "K" },
		"no key":    func(a *Append) { a.IdempotencyKey = "" },
	} {
		if r, found, err := s.Answered(t.Context(), a.with(change)); found || err != nil {
			t.Errorf("another %s was answered %+v, %v", what, r, err)
		}
		if r := post(t, s, a.with(change)); r.Duplicate || r.ID <= first.ID {
			t.Errorf("another %s: %+v", what, r)
		}
	}
	// Within one batch.
	k := a.with(func(a *Append) { a.IdempotencyKey = "fresh" })
	list := batch(t, s, k, say("room", "bob", "between"), k, k.with(func(a *Append) { a.Content = "other" }), k)
	if r := list[0].receipt; r.Duplicate || list[0].err != nil {
		t.Errorf("the first of a batch: %+v, %v", r, list[0].err)
	}
	want := list[0].receipt
	want.Duplicate = true
	for _, i := range []int{2, 4} {
		if list[i].err != nil || list[i].receipt != want {
			t.Errorf("append %d of a batch: %+v, %v; want %+v", i, list[i].receipt, list[i].err, want)
		}
	}
	wantCode(t, list[3].err, models.Conflict)
	// A batch of nothing but repetitions.
	head, _ := s.Head(t.Context())
	if list = batch(t, s, a, a); list[0].receipt != again || list[1].receipt != again {
		t.Errorf("%+v and %+v, want %+v", list[0].receipt, list[1].receipt, again)
	}
	if now, _ := s.Head(t.Context()); now != head {
		t.Errorf("repetitions moved the head from %d to %d", head, now)
	}
}

func keysAreRememberedADay(t *testing.T, db database) {
	s := db.open(t, Options{})
	a := say("room", "alice", "hi").with(func(a *Append) { a.IdempotencyKey = "k" })
	first := post(t, s, a)
	age := func(by time.Duration) {
		exec(t, s, "UPDATE idempotency SET created_at = created_at - ?", by.Milliseconds())
	}
	age(Remembered - time.Minute)
	if r := post(t, s, a); r.ID != first.ID {
		t.Errorf("a minute before the end: %+v", r)
	}
	age(time.Minute)
	second := post(t, s, a)
	if second.ID == first.ID || second.Duplicate {
		t.Errorf("after a day: %+v", second)
	}
	if r := post(t, s, a); r.ID != second.ID || !r.Duplicate {
		t.Errorf("the key now stands for the second send, not %+v", r)
	}
	// A message that retention took is still what the key stands for.
	age(Remembered / 2)
	exec(t, s, "UPDATE messages SET created_at = created_at - ?", Remembered.Milliseconds())
	if _, err := s.indexUntil(t.Context(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	keep := db.open(t, Options{Keep: time.Hour})
	if _, err := keep.prune(t.Context(), nil, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if r := post(t, s, a); r.ID != second.ID || len(everything(t, s)) != 0 {
		t.Errorf("%+v, %d messages", r, len(everything(t, s)))
	}
	// Retention forgets what holds no more.
	age(Remembered)
	if _, err := s.prune(t.Context(), nil, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	var n int
	if scan(t, s, &n, "SELECT count(*) FROM idempotency"); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func aRefusedAppendSpoilsNoOther(t *testing.T, db database) {
	s := db.open(t, Options{})
	post(t, s, say("room", "alice", "first").with(func(a *Append) { a.IdempotencyKey = "used" }))
	beyond := func(id int64) func(*Append) { return func(a *Append) { a.InReplyTo = id } }
	list := batch(t, s,
		say("room", "alice", "one"),
		say("room", "alice", "to the next").with(beyond(3)),
		say("void", "alice", "to nowhere").with(beyond(math.MaxInt64)),
		say("room", "alice", "two"),
		say("room", "alice", "other").with(func(a *Append) { a.IdempotencyKey = "used" }),
		say("room", "alice", "three").with(beyond(1)),
	)
	for i, want := range []models.Code{"", models.Invalid, models.Invalid, "", models.Conflict, ""} {
		wantCode(t, list[i].err, want)
		if want != "" && list[i].receipt != (models.Receipt{}) {
			t.Errorf("append %d is refused, with the receipt %+v", i, list[i].receipt)
		}
	}
	if got := contents(everything(t, s)); !slices.Equal(got, []string{"first", "one", "two", "three"}) {
		t.Errorf("stored: %q", got)
	}
	if list[1].err != nil && !strings.Contains(list[1].err.Error(), "the newest is 1") {
		t.Errorf("%v does not say what can be replied to", list[1].err)
	}
	// Nothing but refusals.
	if list = batch(t, s, say("void", "a", "x").with(beyond(5))); list[0].err == nil {
		t.Error("a reply to nothing was accepted")
	}
	if found, _ := s.FindChannels(t.Context(), "", "void", 10); len(found) != 0 {
		t.Error("a refused append made its channel")
	}
}

func repliesAreCounted(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("room", 3)...)
	to := func(id int64) func(*Append) { return func(a *Append) { a.InReplyTo = id } }
	batch(t, s,
		say("room", "bob", "a").with(to(1)),
		say("room", "bob", "b").with(to(1)),
		say("elsewhere", "bob", "c").with(to(1)),
		say("room", "bob", "d").with(to(2)),
		say("room", "bob", "e").with(to(0)),
	)
	post(t, db.open(t, Options{}), say("room", "eve", "f").with(to(4)))
	var counts []int64
	for _, m := range everything(t, s) {
		counts = append(counts, m.ReplyCount)
		if want := map[int64]int64{4: 1, 5: 1, 6: 1, 7: 2, 9: 4}[m.ID]; (m.InReplyTo == nil) != (want == 0) || want > 0 && *m.InReplyTo != want {
			t.Errorf("message %d replies to %v, not %d", m.ID, m.InReplyTo, want)
		}
	}
	if want := []int64{3, 1, 0, 1, 0, 0, 0, 0, 0}; !slices.Equal(counts, want) {
		t.Errorf("reply counts %v, want %v", counts, want)
	}
}

func timesNeverGoBack(t *testing.T, db database) {
	s := db.open(t, Options{})
	before := models.TimeOf(time.Now())
	first := post(t, s, say("room", "alice", "now"))
	m, err := s.Message(t.Context(), "room", first.ID)
	if now := models.TimeOf(time.Now()); err != nil || m.CreatedAt < before || m.CreatedAt > now {
		t.Fatalf("%v: sent at %v, between %v and %v", err, m.CreatedAt, before, now)
	}
	// Another machine's clock is an hour ahead, and it was the last to write.
	ahead := m.CreatedAt + models.Time(time.Hour.Milliseconds())
	exec(t, s, "UPDATE bus SET last_at = ?", ahead)
	exec(t, s, "UPDATE messages SET created_at = ?", ahead)
	exec(t, s, "UPDATE channels SET last_message_at = ? WHERE name = 'room'", ahead)
	post(t, s, say("room", "alice", "later"))
	post(t, db.open(t, Options{}), say("room", "alice", "later still"))
	for _, m := range everything(t, s) {
		if m.CreatedAt != ahead {
			t.Errorf("message %d is of %v, want %v", m.ID, m.CreatedAt, ahead)
		}
	}
}

func batchesKeepOrder(t *testing.T, db database) {
	s := db.open(t, Options{})
	total := int64(0)
	for _, n := range []int{1, chunk - 1, chunk, chunk + 1, 2 * chunk, maxBatch} {
		list := make([]Append, n)
		for i := range list {
			list[i] = say(fmt.Sprint("room-", i%5), "alice", fmt.Sprint(total+int64(i)+1))
		}
		for i, p := range batch(t, s, list...) {
			if want := total + int64(i) + 1; p.err != nil || p.receipt.ID != want {
				t.Fatalf("append %d of %d: %+v, %v; want id %d", i, n, p.receipt, p.err, want)
			}
		}
		total += int64(n)
	}
	for _, m := range everything(t, s) {
		if m.Content != fmt.Sprint(m.ID) {
			t.Fatalf("message %d says %s", m.ID, m.Content)
		}
	}
}

func contentsComeBack(t *testing.T, db database) {
	s := db.open(t, Options{})
	for _, content := range []string{
		strings.Repeat("x", models.MaxContent), strings.Repeat("😀", models.MaxContent/4), "a\x01\x1b\"\\'\n\r\t;--",
		"\ufeffbom \ufffd \uffff", "' OR 1=1; DROP TABLE messages; --", "?", "$1 :a @b", " ", "{}", "1e3", "0x10",
	} {
		r := post(t, s, say("room", `a "b" 'c'`, content))
		m, err := s.Message(context.Background(), "room", r.ID)
		if err != nil || m.Content != content || m.Sender != `a "b" 'c'` {
			t.Errorf("%.20q by %q came back, %v; sent was %.20q", m.Content, m.Sender, err, content)
		}
	}
}

func channelsNameTheActive(t *testing.T, db database) {
	s := db.open(t, Options{})
	active := func() string {
		t.Helper()
		found, err := s.FindChannels(t.Context(), "", "room", 1)
		if err != nil || len(found) != 1 {
			t.Fatalf("%d channels, %v", len(found), err)
		}
		return found[0].ActiveSenders
	}
	age := func(sender string, by time.Duration) {
		exec(t, s, "UPDATE participants SET last_at = last_at - ? WHERE sender = ?", by.Milliseconds(), sender)
	}
	post(t, s, say("room", "alice", "hi"))
	post(t, s, say("elsewhere", "carol", "hi"))
	if got := active(); got != "alice" {
		t.Errorf("active: %q", got)
	}
	age("alice", time.Second)
	post(t, s, say("room", "bob", "hi"))
	if got := active(); got != "bob, alice" {
		t.Errorf("the latest first: %q", got)
	}
	// A day later alice counts no more; her next message brings her back, sent by whichever process.
	age("alice", activeFor)
	age("bob", time.Second)
	post(t, s, say("room", "dave", "hi"))
	if got := active(); got != "dave, bob" {
		t.Errorf("a day later: %q", got)
	}
	age("dave", time.Second)
	post(t, db.open(t, Options{}), say("room", "alice", "hi"))
	if got := active(); got != "alice, dave, bob" {
		t.Errorf("back again: %q", got)
	}
	var crowd []Append
	for i := range activeSenders + 5 {
		crowd = append(crowd, say("room", fmt.Sprintf("agent-%02d", i), "hi"))
	}
	batch(t, s, crowd...)
	if got := strings.Split(active(), ", "); len(got) != activeSenders {
		t.Errorf("%d are named: %q", len(got), got)
	}
}

func busySendersAreNotedOnce(t *testing.T, db database) {
	s := db.open(t, Options{})
	noted := func() (at models.Time) {
		t.Helper()
		scan(t, s, &at, "SELECT last_at FROM participants WHERE channel = 'room' AND sender = 'alice'")
		return at
	}
	batch(t, s, say("room", "alice", "one"), say("room", "alice", "two"))
	if at := noted(); at == 0 {
		t.Fatal("the first message is not noted")
	}
	key := participant{"room", "alice"}
	minute := models.Time(noteEvery.Milliseconds())
	exec(t, s, "UPDATE participants SET last_at = 1")
	s.seen.noted[key] -= minute - 10_000
	batch(t, s, say("room", "alice", "three"))
	if at := noted(); at != 1 {
		t.Errorf("within the minute she is noted at %v", at)
	}
	s.seen.noted[key] -= 10_000
	batch(t, s, say("room", "alice", "four"))
	if at := noted(); at == 1 {
		t.Error("after a minute she is not noted")
	}
}
