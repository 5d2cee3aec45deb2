package hub

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"crosstalk/models"
	"crosstalk/models/store"
)

// check reads and, if the answer arrives, says so. It returns what it shows, "!" before what was
// shown before and "=" before all of what was read before.
func check(t testing.TB, h *Hub, ask Ask, arrives bool) []string {
	t.Helper()
	if ask.Limit == 0 {
		ask.Limit = 20
	}
	r, err := h.Check(t.Context(), anyone, ask)
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{}
	for i := range r.Messages {
		mark := ""
		if r.Old {
			mark = "="
		} else if r.ShownBefore(&r.Messages[i]) {
			mark = "!"
		}
		shown = append(shown, mark+r.Messages[i].Content)
	}
	if arrives {
		if err := r.Shown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return shown
}

func expect(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestShownIsReadWhenTheInstanceActsAgain(t *testing.T) {
	h := fresh(t)
	register(t, h, "me")
	ask := Ask{Channel: "x", Instance: "me", Conn: "c1"}
	expect(t, "first look", check(t, h, ask, true))
	say(t, h, "x", "bob", "1")
	say(t, h, "x", "bob", "2")
	expect(t, "an answer that is lost", check(t, h, ask, false), "1", "2")
	expect(t, "the same again", check(t, h, ask, true), "1", "2")
	other := ask
	other.Conn = "c2"
	say(t, h, "x", "bob", "3")
	expect(t, "over another connection", check(t, h, other, true), "!1", "!2", "3")
	expect(t, "shown twice is read", check(t, h, Ask{Channel: "x", Instance: "me"}, true), "!3")
	expect(t, "then nothing is unread", check(t, h, ask, true), "=1", "=2", "=3")
	say(t, h, "x", "bob", "4")
	expect(t, "new", check(t, h, ask, true), "4")
	if err := h.Acted(t.Context(), anyone, "me", "c1", "y"); err != nil {
		t.Fatal(err)
	}
	expect(t, "read by a send over the same connection", check(t, h, other, true), "=1", "=2", "=3", "=4")
}

func TestWhatAnotherProcessShowedOverTheConnectionIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crosstalk.db")
	h, stop := start(t, path, nil)
	register(t, h, "me")
	ask := Ask{Channel: models.Every, Instance: "me", Conn: "c1"}
	check(t, h, Ask{Channel: "x", Instance: "me"}, true)
	say(t, h, "x", "bob", "1")
	expect(t, "new", check(t, h, ask, true), "1")
	stop()
	h, stop = start(t, path, nil)
	defer stop()
	other := ask
	other.Conn = "c2"
	expect(t, "over another connection it may have been lost", check(t, h, other, false), "!1")
	expect(t, "over the same it arrived", check(t, h, ask, true), "=1")
	expect(t, "and is read", check(t, h, other, true), "=1")
}

func TestALaterAfterIDConfirms(t *testing.T) {
	h := fresh(t)
	register(t, h, "me")
	ask := Ask{Channel: "x", Instance: "me", Limit: 2}
	check(t, h, ask, true)
	for i := 1; i <= 5; i++ {
		say(t, h, "x", "bob", fmt.Sprint(i))
	}
	expect(t, "the oldest first", check(t, h, ask, true), "1", "2")
	two := int64(2)
	ask.After = &two
	expect(t, "after the second", check(t, h, ask, true), "3", "4")
	ask.After = nil
	expect(t, "the first two are read", check(t, h, ask, true), "!3", "!4")
	expect(t, "twice shown", check(t, h, ask, true), "5")
	five := int64(5)
	ask.After = &five
	expect(t, "at the end", check(t, h, ask, true))
	far := int64(1 << 40)
	ask.After = &far
	expect(t, "past the head", check(t, h, ask, true))
}

func TestAHoleMovesNothing(t *testing.T) {
	h := fresh(t)
	register(t, h, "me")
	ask := Ask{Channel: "x", Instance: "me"}
	check(t, h, ask, true)
	for i := 1; i <= 4; i++ {
		say(t, h, "x", "bob", fmt.Sprint(i))
	}
	two := int64(2)
	jump := ask
	jump.After = &two
	expect(t, "the client says where it stands", check(t, h, jump, true), "3", "4")
	expect(t, "1 and 2 were never shown", check(t, h, ask, true), "1", "2", "3", "4")
}

func TestCrossingMessagesAreNotPassedOver(t *testing.T) {
	for _, known := range []bool{false, true} {
		h := fresh(t)
		register(t, h, "a", "b")
		if known {
			check(t, h, Ask{Channel: "x", Instance: "a"}, true)
			check(t, h, Ask{Channel: "x", Instance: "b"}, true)
		}
		ida := say(t, h, "x", "a", "from a").ID
		idb := say(t, h, "x", "b", "from b").ID
		expect(t, "a after its own", check(t, h, Ask{Channel: "x", Instance: "a", After: &ida}, true), "from b")
		expect(t, "b after its own", check(t, h, Ask{Channel: "x", Instance: "b", After: &idb}, true), "from a")
	}
}

func TestTheFirstLookShowsTheNewest(t *testing.T) {
	h := fresh(t)
	for i := 1; i <= 5; i++ {
		say(t, h, "x", "bob", fmt.Sprint(i))
	}
	register(t, h, "me")
	ask := Ask{Channel: "x", Instance: "me", Limit: 2, Conn: "c"}
	expect(t, "an answer that is lost", check(t, h, ask, false), "4", "5")
	expect(t, "first look", check(t, h, ask, true), "4", "5")
	say(t, h, "x", "bob", "6")
	expect(t, "then what is new", check(t, h, ask, true), "6")
	expect(t, "nobody's look moves nothing", check(t, h, Ask{Channel: "x", Limit: 3}, true), "4", "5", "6")
}

func TestAllChannelsInUseAreOneInbox(t *testing.T) {
	h := fresh(t)
	register(t, h, "me")
	ask := Ask{Channel: models.Every, Instance: "me", Limit: 3, Conn: "c"}
	for _, ch := range []string{"x", "y"} {
		check(t, h, Ask{Channel: ch, Instance: "me"}, true)
	}
	for i := 1; i <= 5; i++ {
		say(t, h, []string{"x", "y", "z"}[i%3], "bob", fmt.Sprint(i))
	}
	r, err := h.Check(t.Context(), anyone, Ask{Channel: models.Every, Instance: "me", Limit: 2})
	if err != nil || r.Follow != 1 || r.LastID != 3 {
		t.Errorf("got %+v, %v", r, err)
	}
	expect(t, "in one order", check(t, h, ask, true), "1", "3", "4")
	expect(t, "no more", check(t, h, ask, true), "=1", "=3", "=4")
	if got := h.LastUsed(t.Context(), anyone, "me"); got != "y" {
		t.Errorf("last used %q", got)
	}
}

func TestAnAnswerWithLessRoomShowsLess(t *testing.T) {
	h := fresh(t)
	register(t, h, "me")
	ask := Ask{Channel: "x", Instance: "me", Limit: 20, Conn: "c"}
	check(t, h, ask, true)
	for i := 1; i <= 5; i++ {
		say(t, h, "x", "bob", fmt.Sprint(i))
	}
	r, err := h.Check(t.Context(), anyone, ask)
	if err != nil {
		t.Fatal(err)
	}
	r.Keep(2)
	if r.Follow != 3 || r.LastID != 2 || r.Shown(t.Context()) != nil {
		t.Errorf("got %+v", r)
	}
	expect(t, "the rest", check(t, h, ask, true), "3", "4", "5")
}

// TestNothingIsReadUnseen drives random calls, lost answers, connections that change and restarts,
// and after each compares what the store calls read with what has arrived.
func TestNothingIsReadUnseen(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	path := filepath.Join(t.TempDir(), "crosstalk.db")
	h, stop := start(t, path, nil)
	defer func() { stop() }()
	channels := []string{"x", "y"}
	register(t, h, "me")
	for _, ch := range channels {
		check(t, h, Ask{Channel: ch, Instance: "me"}, true)
	}
	arrived := map[int64]bool{}
	var others []models.Receipt
	conn := "c0"
	for step := range 600 {
		ch := channels[rng.IntN(2)]
		switch rng.IntN(10) {
		case 0, 1, 2:
			others = append(others, say(t, h, ch, "bob", fmt.Sprint("m", step)))
		case 3:
			say(t, h, ch, "me", "mine")
			if err := h.Acted(t.Context(), anyone, "me", conn, ch); err != nil {
				t.Fatal(err)
			}
		case 4:
			conn = []string{"", fmt.Sprint("c", step)}[rng.IntN(2)]
		case 5:
			if rng.IntN(10) == 0 {
				stop()
				h, stop = start(t, path, nil)
			}
		default:
			ask := Ask{Channel: ch, Instance: "me", Limit: 1 + rng.IntN(4), Conn: conn}
			if rng.IntN(4) == 0 {
				ask.Channel = models.Every
			}
			if head, _ := h.Head(t.Context()); rng.IntN(3) == 0 {
				after := rng.Int64N(head + 2)
				ask.After = &after
			}
			r, err := h.Check(t.Context(), anyone, ask)
			if err != nil {
				t.Fatal(err)
			}
			if rng.IntN(3) == 0 && len(r.Messages) > 0 {
				r.Keep(1 + rng.IntN(len(r.Messages)))
			}
			if rng.IntN(3) > 0 { // else the answer is lost
				if err := r.Shown(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, m := range r.Messages {
					arrived[m.ID] = true
				}
			}
		}
		unseen(t, h, others, arrived)
		if t.Failed() {
			t.Fatalf("after step %d", step)
		}
	}
}

func unseen(t *testing.T, h *Hub, others []models.Receipt, arrived map[int64]bool) {
	t.Helper()
	known, err := h.store.Positions(t.Context(), "me", models.Every)
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]store.Position{}
	for _, p := range known {
		read[p.Channel] = p
	}
	for _, m := range others {
		if p := read[m.Channel]; p.ReadID != nil && m.ID <= *p.ReadID && !arrived[m.ID] {
			t.Errorf("message %d of %s counts as read up to %d and never arrived", m.ID, m.Channel, *p.ReadID)
		}
		if p := read[m.Channel]; m.ID <= p.ShownID && !arrived[m.ID] {
			t.Errorf("message %d of %s counts as shown up to %d and never arrived", m.ID, m.Channel, p.ShownID)
		}
	}
}

// What comes between the look at what is unread and the one at what was read before is unread.
func TestWhatComesDuringALookIsNew(t *testing.T) {
	h := fresh(t)
	register(t, h, "me")
	ask := Ask{Channel: "x", Instance: "me", Conn: "c1"}
	check(t, h, ask, true)
	next := make(chan int)
	go func() {
		for i := range next {
			say(t, h, "x", "bob", fmt.Sprint(i))
		}
	}()
	defer close(next)
	for i := range 200 {
		next <- i
		for came := false; !came; {
			for _, text := range check(t, h, ask, true) {
				if text == fmt.Sprint("=", i) {
					t.Fatalf("%d was never shown, and then as read before", i)
				}
				came = came || text == fmt.Sprint(i)
			}
		}
	}
}
