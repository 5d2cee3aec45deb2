package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"crosstalk/models"
)

func inboxPromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"shown is read when shown again or acted upon":  shownBecomesRead,
		"a hole moves no position":                      holesMoveNothing,
		"who says where it stands has read what it saw": standing,
		"a first position is taken once":                firstPositions,
		"an instance's channels are known":              channelsInUse,
		"waits keep their order among processes":        waitsKeepOrder,
		"the dead wait no more":                         theDeadWaitNoMore,
		"one of those who wait on each other is told":   mutualWait,
	}
}

// at returns an instance's position in a channel as "read-shown by".
func at(t testing.TB, s *Store, instance, ch string) string {
	t.Helper()
	list, err := s.Positions(t.Context(), instance, ch)
	if err != nil {
		t.Fatal(err)
	}
	var b []string
	for _, p := range list {
		read := "none"
		if p.ReadID != nil {
			read = fmt.Sprint(*p.ReadID)
		}
		b = append(b, fmt.Sprintf("%s %s-%d %s", p.Channel, read, p.ShownID, p.ShownBy))
	}
	return strings.Join(b, ", ")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func shownBecomesRead(t *testing.T, db database) {
	s := db.open(t, Options{})
	want := func(want string) {
		t.Helper()
		if got := at(t, s, "alice", "room"); got != "room "+want {
			t.Errorf("alice stands at %s, not at %s", got, want)
		}
	}
	show := func(conn string, from, to int64) {
		t.Helper()
		must(t, s.Show(t.Context(), "alice", conn, []Mark{{Channel: "room", From: from, To: to}}))
	}
	must(t, s.Use(t.Context(), "alice", "room", ptr[int64](10)))
	want("10-10 ")
	show("c1", 10, 15)
	want("10-15 c1")
	must(t, s.Acted(t.Context(), "alice", "c2")) // another connection
	must(t, s.Acted(t.Context(), "bob", "c1"))   // another instance
	want("10-15 c1")
	must(t, s.Acted(t.Context(), "alice", "c1"))
	want("15-15 ")
	show("c1", 15, 20)
	show("c2", 15, 18) // again, a part of it
	want("18-20 c2")
	show("c2", 18, 25) // the rest again, and more
	want("20-25 c2")
	show("c1", 22, 30) // begins within what was shown
	want("20-30 c1")
	show("c1", 15, 19) // all of it is read
	want("20-30 c1")
	must(t, s.Acted(t.Context(), "alice", "c1"))
	want("30-30 ")
}

func holesMoveNothing(t *testing.T, db database) {
	s := db.open(t, Options{})
	must(t, s.Use(t.Context(), "alice", "room", ptr[int64](10)))
	must(t, s.Show(t.Context(), "alice", "c1", []Mark{{Channel: "room", From: 12, To: 15}, {Channel: "void", From: 0, To: 5}}))
	must(t, s.Acted(t.Context(), "alice", "c1"))
	if got := at(t, s, "alice", models.Every); got != "room 10-10 " {
		t.Errorf("alice stands at %s", got)
	}
}

func standing(t *testing.T, db database) {
	s := db.open(t, Options{})
	for _, ch := range []string{"a", "b"} {
		must(t, s.Use(t.Context(), "alice", ch, ptr[int64](10)))
		must(t, s.Show(t.Context(), "alice", "c1", []Mark{{Channel: ch, From: 10, To: 20}}))
	}
	must(t, s.Stands(t.Context(), "alice", "a", 15))
	must(t, s.Stands(t.Context(), "bob", models.Every, 20))
	if got := at(t, s, "alice", models.Every); got != "a 15-20 c1, b 10-20 c1" {
		t.Errorf("alice stands at %s", got)
	}
	must(t, s.Stands(t.Context(), "alice", models.Every, 12)) // moves nothing back
	if got := at(t, s, "alice", models.Every); got != "a 15-20 c1, b 12-20 c1" {
		t.Errorf("alice stands at %s", got)
	}
	must(t, s.Stands(t.Context(), "alice", models.Every, 99)) // not beyond what it saw
	if got := at(t, s, "alice", models.Every); got != "a 20-20 c1, b 20-20 c1" {
		t.Errorf("alice stands at %s", got)
	}
}

func firstPositions(t *testing.T, db database) {
	s := db.open(t, Options{})
	first := func(ch string, from, to int64) {
		t.Helper()
		must(t, s.Show(t.Context(), "alice", "c1", []Mark{{Channel: ch, From: from, To: to, First: true}}))
	}
	first("new", 10, 15)
	first("new", 3, 5) // it has one now
	must(t, s.Use(t.Context(), "alice", "used", nil))
	if got := at(t, s, "alice", models.Every); got != "new 10-15 c1, used none-0 " {
		t.Errorf("alice stands at %s", got)
	}
	first("used", 20, 20)
	must(t, s.Use(t.Context(), "alice", "used", ptr[int64](7)))
	must(t, s.Use(t.Context(), "alice", "new", nil))
	if got := at(t, s, "alice", models.Every); got != "new 10-15 c1, used 20-20 " {
		t.Errorf("alice stands at %s", got)
	}
	batch(t, s, numbered("room", 3)...)
	for range 2 {
		if id, err := s.Registered(t.Context(), "bob"); err != nil || id != 3 {
			t.Errorf("bob registered at %d, %v", id, err)
		}
		batch(t, s, numbered("room", 3)...)
	}
}

func channelsInUse(t *testing.T, db database) {
	s := db.open(t, Options{})
	register(t, s, models.Registration{ID: "alice"})
	if ch, err := s.LastChannel(t.Context(), "alice"); err != nil || ch != "" {
		t.Errorf("%q, %v", ch, err)
	}
	now := models.TimeOf(time.Now())
	seen(t, s, false, Sign{ID: "alice", At: now, Channel: "room"}, Sign{ID: "alice", At: now})
	if ch, err := s.LastChannel(t.Context(), "alice"); err != nil || ch != "room" {
		t.Errorf("%q, %v", ch, err)
	}
	if ch, err := s.LastChannel(t.Context(), "stranger"); err != nil || ch != "" {
		t.Errorf("%q, %v", ch, err)
	}
	batch(t, s, say("room", "bob", "1"), say("room", "alice", "2"), say("other", "bob", "3"), say("room", "bob", "4"))
	for _, c := range []struct {
		after int64
		most  int
		want  int
	}{{0, 10, 2}, {1, 10, 1}, {4, 10, 0}, {0, 1, 1}} {
		if n, err := s.Unseen(t.Context(), "room", "alice", c.after, c.most); err != nil || n != c.want {
			t.Errorf("after %d, up to %d: %d, %v; want %d", c.after, c.most, n, err, c.want)
		}
	}
	for id, want := range map[int64]string{1: "bob", 2: "alice", 9: ""} {
		if got, err := s.Sender(t.Context(), id); err != nil || got != want {
			t.Errorf("message %d is by %q, %v; want %q", id, got, err, want)
		}
	}
}

// waits lists who waits on a channel.
func waits(t testing.TB, s *Store, ch string) (list []string) {
	t.Helper()
	rows, err := s.Waits(t.Context(), ch)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range rows {
		list = append(list, w.Wait)
	}
	return list
}

// begin makes the row of a wait whose name is its instance's, too.
func begin(t testing.TB, s *Store, ch string, role models.Role, names ...string) {
	t.Helper()
	var rows []Wait
	for _, name := range names {
		rows = append(rows, Wait{Wait: name, Asked: ch, Channel: ch, Instance: name, Principal: models.SharedPrincipal, Role: role, Since: models.TimeOf(time.Now())})
	}
	must(t, s.NoteWaits(t.Context(), rows, nil))
	for i, w := range rows {
		if w.ID == 0 || i > 0 && w.ID <= rows[i-1].ID || w.Node != s.node {
			t.Errorf("%+v has no place", w)
		}
	}
}

func waitsKeepOrder(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	begin(t, s, "room", models.RoleActive, "a", "b")
	begin(t, other, "room", models.RoleParked, "c")
	begin(t, s, "elsewhere", models.RoleActive, "d")
	for _, s := range []*Store{s, other} {
		if got := waits(t, s, "room"); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("in room: %q", got)
		}
		if got := waits(t, s, models.Every); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
			t.Errorf("everywhere: %q", got)
		}
	}
	list, last, err := s.NewWaits(t.Context(), 0)
	if err != nil || len(list) != 1 || list[0].Wait != "c" || list[0].Role != models.RoleParked || last != 4 {
		t.Errorf("new to the first: %+v up to %d, %v", list, last, err)
	}
	if list, last, err = other.NewWaits(t.Context(), 1); err != nil || len(list) != 2 || last != 4 {
		t.Errorf("new to the other: %+v up to %d, %v", list, last, err)
	}
	if list, last, err = other.NewWaits(t.Context(), 4); err != nil || len(list) != 0 || last != 4 {
		t.Errorf("nothing new: %+v up to %d, %v", list, last, err)
	}
	must(t, s.NoteWaits(t.Context(), nil, []string{"a", "d", "unknown"}))
	if got := waits(t, other, models.Every); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("when two have ended: %q", got)
	}
	// Rows that are gone give their places to nobody.
	begin(t, other, "room", models.RoleActive, "e")
	if list, last, err = s.NewWaits(t.Context(), 4); err != nil || len(list) != 1 || last != 5 {
		t.Errorf("after that: %+v up to %d, %v", list, last, err)
	}
	many := make([]string, 3*chunk)
	for i := range many {
		many[i] = fmt.Sprint("many-", i)
	}
	begin(t, s, "crowd", models.RoleActive, many...)
	must(t, s.NoteWaits(t.Context(), nil, many[:3*chunk-1]))
	if got := waits(t, s, "crowd"); !slices.Equal(got, many[3*chunk-1:]) {
		t.Errorf("left of many: %d", len(got))
	}
}

func theDeadWaitNoMore(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	begin(t, s, "room", models.RoleActive, "a")
	begin(t, other, "room", models.RoleActive, "b")
	exec(t, s, "UPDATE nodes SET seen_at = seen_at - ? WHERE id = ?", (NodeFresh + time.Second).Milliseconds(), other.node)
	if got := waits(t, s, "room"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("when a process is silent: %q", got)
	}
	seen(t, other, true)
	if got := waits(t, s, "room"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("when it is heard again: %q", got)
	}
	// Retention forgets the waits of a process that is forgotten, and those only.
	exec(t, s, "UPDATE waits SET since = since - ?", (2 * Fresh).Milliseconds())
	exec(t, s, "DELETE FROM nodes WHERE id = ?", other.node)
	prune(t, s)
	seen(t, other, true)
	if got := waits(t, s, "room"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after retention: %q", got)
	}
}

func mutualWait(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	const grace = 30 * time.Second
	told := func(s *Store, wait, ch string) string {
		t.Helper()
		tell, peer, err := s.Mutual(t.Context(), wait, ch, grace)
		must(t, err)
		return fmt.Sprint(tell, " ", peer)
	}
	for _, step := range []struct {
		do   func()
		wait string
		want string
	}{
		{func() { begin(t, s, "room", models.RoleActive, "a") }, "a", "false "},
		{func() { begin(t, s, "room", models.RoleParked, "p") }, "a", "false "},
		{func() { begin(t, other, "room", models.RoleActive, "b") }, "a", "false b"}, // the latest is told, not a
		{func() {}, "p", "false b"},
		{func() {}, "nobody", "false b"},
	} {
		step.do()
		if got := told(s, step.wait, "room"); got != step.want {
			t.Errorf("%s: %s, want %s", step.wait, got, step.want)
		}
	}
	// Carol posted lately and is awake.
	register(t, s, models.Registration{ID: "carol"})
	post(t, s, say("room", "carol", "one moment"))
	if got := told(other, "b", "room"); got != "false a" {
		t.Errorf("while carol is awake: %s", got)
	}
	for what, undo := range map[string]string{
		"UPDATE participants SET last_at = last_at - 660000":  "UPDATE participants SET last_at = last_at + 660000",
		"UPDATE instances SET last_seen = last_seen - 130000": "UPDATE instances SET last_seen = last_seen + 130000",
	} {
		exec(t, s, what)
		if got := told(other, "b", "room"); got != "true a" {
			t.Errorf("after %s: %s", what, got)
		}
		if got := told(other, "b", "room"); got != "false a" {
			t.Errorf("within the grace, again: %s", got)
		}
		exec(t, s, undo)
		exec(t, s, "UPDATE mutual_waits SET told_at = told_at - ?", grace.Milliseconds())
	}
	begin(t, s, "room", models.RoleParked, "carol")
	if got := told(other, "b", "room"); got != "true a" {
		t.Errorf("while carol waits, too: %s", got)
	}
	if len(waits(t, s, "room")) != 4 {
		t.Error("being told ends no wait")
	}
}
