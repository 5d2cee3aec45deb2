package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crosstalk/models"
)

func readPromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"pages begin and end where asked":      pagesBeginAndEndWhereAsked,
		"paging onwards meets each once":       pagingMeetsEachOnce,
		"own messages are hidden":              ownMessagesAreHidden,
		"hiding looks at no more than it must": hidingIsBounded,
		"a page fits its bytes":                pagesFit,
		"what retention took is told":          whatIsMissingIsTold,
		"after reads one channel or all":       afterReads,
		"one message is read by channel":       oneMessage,
		"a thread has its oldest replies":      threads,
		"a reader who has left is answered":    readersWhoLeft,
	}
}

// want is what a page should be.
type want struct {
	ids       []int64
	next      int64
	more      bool
	recovered bool
}

func check(t *testing.T, s *Store, name string, q models.Query, w want) {
	t.Helper()
	p, err := s.Page(t.Context(), q)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	got := want{idsOf(p.Messages), p.NextAfterID, p.More, p.Recovered}
	if diff := cmp.Diff(w, got, cmp.AllowUnexported(want{})); diff != "" {
		t.Errorf("%s: want -, got +\n%s", name, diff)
	}
	var last *int64
	if n := len(p.Messages); n > 0 {
		last = &p.Messages[n-1].ID
	}
	if !cmp.Equal(last, p.LastID) || p.BusID != s.BusID() || p.Messages == nil {
		t.Errorf("%s: last id %v, bus %q, messages %v", name, p.LastID, p.BusID, p.Messages)
	}
}

func pagesBeginAndEndWhereAsked(t *testing.T, db database) {
	s := db.open(t, Options{})
	check(t, s, "empty bus", models.Query{Channel: "general", Limit: 5}, want{nil, 0, false, true})
	check(t, s, "empty bus, after 0", models.Query{Channel: "general", After: ptr[int64](0), Limit: 5}, want{nil, 0, false, true})
	var list []Append
	for i := range 40 { // odd ids in room, even ones elsewhere
		list = append(list, say([]string{"room", "elsewhere"}[i%2], "alice", fmt.Sprint(i+1)))
	}
	batch(t, s, list...)
	odd := func(from, to int64) (ids []int64) {
		for ; from <= to; from += 2 {
			ids = append(ids, from)
		}
		return ids
	}
	at := ptr[int64]
	for name, c := range map[string]struct {
		after, before *int64
		limit         int
		want          want
	}{
		"newest":                     {nil, nil, 3, want{odd(35, 39), 40, true, true}},
		"newest, all":                {nil, nil, 20, want{odd(1, 39), 40, false, true}},
		"newest, one short":          {nil, nil, 19, want{odd(3, 39), 40, true, true}},
		"newest, more than there is": {nil, nil, 200, want{odd(1, 39), 40, false, true}},
		"newest, no limit given":     {nil, nil, 0, want{odd(1, 39), 40, false, true}},
		"after":                      {at(10), nil, 3, want{odd(11, 15), 15, true, true}},
		"after its own id":           {at(11), nil, 3, want{odd(13, 17), 17, true, true}},
		"after, to the end":          {at(34), nil, 3, want{odd(35, 39), 40, false, true}},
		"after, past the end":        {at(36), nil, 3, want{odd(37, 39), 40, false, true}},
		"after the last":             {at(39), nil, 3, want{nil, 40, false, true}},
		"after the head":             {at(40), nil, 3, want{nil, 40, false, true}},
		"after past the head":        {at(41), nil, 3, want{nil, 40, false, false}},
		"after far past the head":    {at(math.MaxInt64), nil, 3, want{nil, 40, false, false}},
		"after 0":                    {at(0), nil, 2, want{odd(1, 3), 3, true, true}},
		"after less than 0":          {at(-5), nil, 2, want{odd(1, 3), 3, true, true}},
		"after the least":            {at(math.MinInt64), nil, 2, want{odd(1, 3), 3, true, true}},
		"after, no limit given":      {at(0), nil, 0, want{odd(1, 39), 40, false, true}},
		"before":                     {nil, at(10), 2, want{odd(7, 9), 40, true, true}},
		"before the first":           {nil, at(1), 2, want{nil, 40, false, true}},
		"before 0":                   {nil, at(0), 2, want{nil, 40, false, true}},
		"before the least":           {nil, at(math.MinInt64), 2, want{nil, 40, false, true}},
		"before, to the beginning":   {nil, at(5), 2, want{odd(1, 3), 40, false, true}},
		"before past the head":       {nil, at(math.MaxInt64), 2, want{odd(37, 39), 40, true, true}},
		"between":                    {at(10), at(16), 9, want{odd(11, 15), 15, false, true}},
		"between, limited":           {at(10), at(20), 2, want{odd(11, 13), 13, true, true}},
		"between, nothing":           {at(10), at(11), 2, want{nil, 10, false, true}},
		"between, crossed":           {at(20), at(10), 2, want{nil, 20, false, true}},
	} {
		check(t, s, name, models.Query{Channel: "room", After: c.after, Before: c.before, Limit: c.limit}, c.want)
	}
	check(t, s, "no such channel", models.Query{Channel: "void", Limit: 5}, want{nil, 40, false, true})
	check(t, s, "no such channel, after", models.Query{Channel: "void", After: at(7), Limit: 5}, want{nil, 40, false, true})
}

func pagingMeetsEachOnce(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("room", 95)...)
	batch(t, s, numbered("elsewhere", 95)...)
	batch(t, s, numbered("room", 95)...)
	var met []int64
	for after, more := int64(0), true; more; {
		p, err := s.Page(t.Context(), models.Query{Channel: "room", After: &after, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		met, after, more = append(met, idsOf(p.Messages)...), p.NextAfterID, p.More
	}
	if want := slices.Concat(sequence(1, 95), sequence(191, 285)); !slices.Equal(met, want) {
		t.Errorf("onwards: %v", met)
	}
	met = nil
	for before, more := int64(math.MaxInt64), true; more; {
		p, err := s.Page(t.Context(), models.Query{Channel: "room", Before: &before, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		met, before, more = append(idsOf(p.Messages), met...), p.Messages[0].ID, p.More
	}
	if want := slices.Concat(sequence(1, 95), sequence(191, 285)); !slices.Equal(met, want) {
		t.Errorf("backwards: %v", met)
	}
	batch(t, s, numbered("room", 100)...)
	check(t, s, "the newest, by default", models.Query{Channel: "room"}, want{sequence(366, 385), 385, true, true})
	check(t, s, "onwards, by default", models.Query{Channel: "room", After: ptr[int64](0)},
		want{slices.Concat(sequence(1, 95), sequence(191, 295)), 295, true, true})
}

func ownMessagesAreHidden(t *testing.T, db database) {
	s := db.open(t, Options{})
	var list []Append
	for i := range 60 { // each third is by bob: 3, 6, 9 ...
		list = append(list, say("room", []string{"alice", "carol", "bob"}[i%3], fmt.Sprint(i+1)))
	}
	batch(t, s, list...)
	others := func(from, to int64) []int64 {
		return slices.DeleteFunc(sequence(from, to), func(id int64) bool { return id%3 == 0 })
	}
	at := ptr[int64]
	q := models.Query{Channel: "room", Instance: "bob", After: at(0), Limit: 4}
	check(t, s, "a page", q, want{others(1, 5), 6, true, true})
	q.After = at(55)
	check(t, s, "the end", q, want{others(56, 60), 60, false, true})
	q.After = at(59)
	check(t, s, "only own ones left", q, want{nil, 60, false, true})
	q.After, q.Limit = at(0), 200
	check(t, s, "all", q, want{others(1, 60), 60, false, true})
	q.Limit = 1
	check(t, s, "one", q, want{sequence(1, 1), 1, true, true})
	q.After = at(2)
	check(t, s, "one, behind an own one", q, want{sequence(4, 4), 4, true, true})
	q.Before = at(4)
	check(t, s, "between", q, want{nil, 3, false, true})
	q = models.Query{Channel: "room", Instance: "bob", Limit: 3}
	check(t, s, "the newest hides nothing", q, want{sequence(58, 60), 60, true, true})
	q = models.Query{Channel: "room", Instance: "BOB", After: at(0), Limit: 3}
	check(t, s, "somebody else", q, want{sequence(1, 3), 3, true, true})
	batch(t, s, slices.Repeat([]Append{say("room", "bob", "x")}, 300)...)
	q = models.Query{Channel: "room", Instance: "alice", After: at(58), Limit: 250}
	check(t, s, "one page of many", q, want{sequence(59, 308), 308, true, true})
	q.Instance = "bob"
	check(t, s, "many own ones", q, want{sequence(59, 59), 360, false, true})
}

func hidingIsBounded(t *testing.T, db database) {
	s := db.open(t, Options{})
	const own = 7000
	fill(t, s, own, func(int) models.Draft { return say("room", "bob", "mine").Draft })
	post(t, s, say("room", "alice", "at last"))
	for _, limit := range []int{1, 20, 200} {
		pages, after := 0, int64(0)
		for {
			begin := time.Now()
			p, err := s.Page(t.Context(), models.Query{Channel: "room", Instance: "bob", After: &after, Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			if moved := p.NextAfterID - after; moved > scanned+2*defaultOnwards || moved < scanned && p.More {
				t.Fatalf("one page moved over %d own messages in %v", moved, time.Since(begin))
			}
			pages++
			after = p.NextAfterID
			if !p.More {
				if got := contents(p.Messages); !slices.Equal(got, []string{"at last"}) || after != own+1 {
					t.Errorf("in the end came %q, next after %d", got, after)
				}
				break
			}
			if len(p.Messages) > 0 || p.LastID != nil {
				t.Fatalf("an own message came: %+v", p.Messages[0])
			}
			if pages == 3 && limit < 200 {
				after = own - 10 // enough was seen
			}
		}
		if limit == 200 && (pages < own/(scanned+2*defaultOnwards) || pages > own/scanned+1) {
			t.Errorf("it took %d pages", pages)
		}
	}
}

func pagesFit(t *testing.T, db database) {
	s := db.open(t, Options{})
	text := strings.Repeat("x", 500)
	batch(t, s, slices.Repeat([]Append{say("room", "alice", text)}, 10)...)
	post(t, s, say("room", "alice", strings.Repeat("y", 50_000)))
	at := ptr[int64]
	check(t, s, "onwards", models.Query{Channel: "room", After: at(2), Limit: 200, MaxBytes: 2400}, want{sequence(3, 5), 5, true, true})
	check(t, s, "newest before", models.Query{Channel: "room", Before: at(11), Limit: 200, MaxBytes: 2400}, want{sequence(8, 10), 11, true, true})
	check(t, s, "too large alone", models.Query{Channel: "room", After: at(10), Limit: 200, MaxBytes: 2400}, want{sequence(11, 11), 11, false, true})
	p, err := s.Page(t.Context(), models.Query{Channel: "room", Limit: 2, MaxBytes: 2400})
	if err != nil || len(p.Messages) != 1 || !p.Messages[0].Truncated || p.Messages[0].ContentBytes != 50_000 || !p.More {
		t.Errorf("the newest comes cut: %v, %d messages, more %v", err, len(p.Messages), p.More)
	}
	// Own messages are hidden before the page is cut.
	post(t, s, say("room", "bob", "z"))
	check(t, s, "hidden and cut", models.Query{Channel: "room", Instance: "alice", After: at(2), Limit: 200, MaxBytes: 1}, want{sequence(12, 12), 12, false, true})
}

func whatIsMissingIsTold(t *testing.T, db database) {
	s := db.open(t, Options{Keep: time.Hour})
	batch(t, s, numbered("room", 10)...)      // 1 to 10
	batch(t, s, numbered("elsewhere", 10)...) // 11 to 20
	batch(t, s, numbered("room", 10)...)      // 21 to 30
	batch(t, s, numbered("young", 1)...)      // 31
	age(t, s, 25, 2*time.Hour)                // 1 to 25 go
	prune(t, s)
	at := ptr[int64]
	for name, c := range map[string]struct {
		ch    string
		after int64
		want  want
	}{
		"all is there":                {"room", 25, want{sequence(26, 30), 31, false, true}},
		"just what is left":           {"room", 27, want{sequence(28, 30), 31, false, true}},
		"one is missing":              {"room", 24, want{sequence(26, 30), 31, false, false}},
		"all is missing":              {"room", 0, want{sequence(26, 30), 31, false, false}},
		"nothing is left":             {"elsewhere", 19, want{nil, 31, false, false}},
		"nothing was after":           {"elsewhere", 20, want{nil, 31, false, true}},
		"nothing was there":           {"young", 0, want{sequence(31, 31), 31, false, true}},
		"no such channel":             {"void", 0, want{nil, 31, false, true}},
		"past the head":               {"room", 32, want{nil, 31, false, false}},
		"less than 0 is nothing else": {"young", -1, want{sequence(31, 31), 31, false, true}},
	} {
		check(t, s, name, models.Query{Channel: c.ch, After: at(c.after), Limit: 200}, c.want)
	}
	check(t, s, "the newest misses nothing", models.Query{Channel: "room", Limit: 200}, want{sequence(26, 30), 31, false, true})
	for ch, want := range map[string]int64{"room": 25, "elsewhere": 20, "young": 0, "void": 0, models.Every: 25} {
		if got, err := s.Pruned(t.Context(), ch); err != nil || got != want {
			t.Errorf("%s lost all up to %d, %v; want %d", ch, got, err, want)
		}
	}
}

func afterReads(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("a", 10)...)
	batch(t, s, numbered("b", 10)...)
	for name, c := range map[string]struct {
		ch         string
		after, top int64
		limit      int
		want       []int64
	}{
		"all":         {models.Every, 0, 20, 100, sequence(1, 20)},
		"limited":     {models.Every, 5, 20, 7, sequence(6, 12)},
		"one channel": {"b", 5, 20, 3, sequence(11, 13)},
		"to the top":  {"b", 5, 12, 100, sequence(11, 12)},
		"nothing":     {"a", 10, 20, 100, nil},
		"top below":   {models.Every, 10, 5, 100, nil},
		"no channel":  {"void", 0, 20, 100, nil},
	} {
		got, err := s.After(t.Context(), c.ch, c.after, c.top, c.limit)
		if err != nil || !slices.Equal(idsOf(got), c.want) {
			t.Errorf("%s: %v, %v; want %v", name, idsOf(got), err, c.want)
		}
	}
}

func oneMessage(t *testing.T, db database) {
	s := db.open(t, Options{})
	post(t, s, say("room", "alice", "hi"))
	for _, ch := range []string{"room", models.Every} {
		if m, err := s.Message(t.Context(), ch, 1); err != nil || m.Content != "hi" || m.Seq != 1 {
			t.Errorf("in %s: %+v, %v", ch, m, err)
		}
	}
	for _, c := range []struct {
		ch string
		id int64
	}{{"elsewhere", 1}, {"room", 2}, {"room", 0}, {"room", -1}, {"room", math.MaxInt64}, {models.Every, 2}} {
		m, err := s.Message(t.Context(), c.ch, c.id)
		if models.CodeOf(err) != models.NotFound || m != (models.Message{}) {
			t.Errorf("message %d of %s: %+v, %v", c.id, c.ch, m, err)
		}
	}
}

func threads(t *testing.T, db database) {
	s := db.open(t, Options{})
	list := numbered("room", 1)
	for i := range 10 {
		list = append(list, say([]string{"room", "elsewhere"}[i%2], "bob", "no reply"),
			say([]string{"elsewhere", "room"}[i%2], "bob", "a reply").with(func(a *Append) { a.InReplyTo = 1 }))
	}
	batch(t, s, list[0])
	batch(t, s, list[1:]...)
	th, err := s.Thread(t.Context(), "room", 1, "", 4)
	if err != nil || th.Parent.ID != 1 || th.Parent.ReplyCount != 10 || !slices.Equal(idsOf(th.Replies), []int64{3, 5, 7, 9}) {
		t.Errorf("%+v, %v", th, err)
	}
	if th, err = s.Thread(t.Context(), "room", 2, "", 4); err != nil || th.Replies == nil || len(th.Replies) != 0 {
		t.Errorf("no replies: %+v, %v", th, err)
	}
	if _, err = s.Thread(t.Context(), "elsewhere", 1, "", 4); models.CodeOf(err) != models.NotFound {
		t.Errorf("in another channel: %v", err)
	}
}

func readersWhoLeft(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("room", 3)...)
	left, leave := context.WithCancel(t.Context())
	leave()
	if p, err := s.Page(left, models.Query{Channel: "room", Limit: 10}); err != nil || len(p.Messages) != 3 {
		t.Errorf("%d messages, %v", len(p.Messages), err)
	}
	if head, err := s.Head(left); err != nil || head != 3 {
		t.Errorf("head %d, %v", head, err)
	}
	if err := s.Register(left, models.Registration{ID: "alice"}); err != nil {
		t.Errorf("a write that has begun is interrupted: %v", err)
	}
}
