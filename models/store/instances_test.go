package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crosstalk/models"
)

func instancePromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"who says that it goes is offline":           goodbyesCount,
		"a held name says since when":                holdersAreKnown,
		"registering again keeps what is left out":   registeringKeeps,
		"a name is held by one connection":           namesAreHeldOnce,
		"what a dead process held is free":           theDeadHoldNothing,
		"online is who was seen lately":              onlineIsWhoWasSeen,
		"instances come with the last seen first":    instancesAreOrdered,
		"signs of life of strangers are passed over": strangersArePassedOver,
	}
}

func register(t testing.TB, s *Store, r models.Registration) {
	t.Helper()
	if r.Kind == "" {
		r.Kind = models.KindAgent
	}
	if err := s.Register(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func instance(t testing.TB, s *Store, id string) models.Instance {
	t.Helper()
	list, err := s.Instances(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(i models.Instance) bool { return i.ID == id })
	if i < 0 {
		t.Fatalf("%s is not among %+v", id, list)
	}
	return list[i]
}

func registeringKeeps(t *testing.T, db database) {
	s := db.open(t, Options{})
	before := models.TimeOf(time.Now())
	for _, c := range []struct {
		given models.Registration
		want  models.Instance
	}{
		{models.Registration{ID: "alice"}, models.Instance{ID: "alice", Kind: models.KindAgent}},
		{models.Registration{ID: "alice", Description: "Writes"}, models.Instance{ID: "alice", Description: "Writes", Kind: models.KindAgent}},
		{models.Registration{ID: "alice", Model: "m-1"}, models.Instance{ID: "alice", Description: "Writes", Model: "m-1", Kind: models.KindAgent}},
		{models.Registration{ID: "alice", Description: "Reads", Kind: models.KindHuman}, models.Instance{ID: "alice", Description: "Reads", Model: "m-1", Kind: models.KindHuman}},
	} {
		register(t, s, c.given)
		got := instance(t, s, "alice")
		if got.LastSeen < before || got.LastSeen > models.TimeOf(time.Now()) {
			t.Errorf("seen at %v", got.LastSeen)
		}
		c.want.LastSeen, c.want.Status = got.LastSeen, models.Online
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v: want -, got +\n%s", c.given, diff)
		}
	}
}

func hold(t testing.TB, s *Store, id, session string) bool {
	t.Helper()
	held, err := s.Hold(t.Context(), id, session)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func seen(t testing.TB, s *Store, holding bool, signs ...Sign) {
	t.Helper()
	if err := s.Seen(t.Context(), signs, holding); err != nil {
		t.Fatal(err)
	}
}

func namesAreHeldOnce(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	if hold(t, s, "alice", "c1") {
		t.Error("a name that never registered is held")
	}
	register(t, s, models.Registration{ID: "alice"})
	register(t, s, models.Registration{ID: "bob"})
	for _, c := range []struct {
		name    string
		s       *Store
		session string
		want    bool
	}{
		{"the first", s, "c1", true},
		{"the same again", s, "c1", true},
		{"a second connection", s, "c2", false},
		{"another process", other, "d1", false},
	} {
		if got := hold(t, c.s, "alice", c.session); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if !hold(t, other, "bob", "d1") {
		t.Error("another name is not free")
	}
	now := models.TimeOf(time.Now())
	seen(t, other, true, Sign{ID: "alice", At: now, Gone: "d1"}) // was never its holder
	if hold(t, other, "alice", "d1") {
		t.Error("who did not hold it let it go")
	}
	register(t, other, models.Registration{ID: "alice"}) // registering takes nothing away
	if hold(t, other, "alice", "d1") {
		t.Error("registering again freed the name")
	}
	seen(t, s, true, Sign{ID: "alice", At: now, Gone: "c1"})
	if !hold(t, other, "alice", "d1") || hold(t, s, "alice", "c1") {
		t.Error("a name let go of is not taken by the next")
	}
}

func theDeadHoldNothing(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	register(t, s, models.Registration{ID: "alice"})
	if !hold(t, s, "alice", "c1") {
		t.Fatal("the name is not free")
	}
	silent := func(s *Store, since time.Duration) {
		t.Helper()
		exec(t, s, "UPDATE nodes SET seen_at = ? WHERE id = ?", models.TimeOf(time.Now().Add(-since)), s.node)
	}
	silent(s, NodeFresh-5*time.Second)
	if hold(t, other, "alice", "d1") {
		t.Error("a process that was seen lately lost its name")
	}
	silent(s, NodeFresh+time.Second)
	seen(t, s, false) // a sign without holding says nothing of the process
	if !hold(t, other, "alice", "d1") {
		t.Error("the name of a process that is gone is not free")
	}
	// It comes back: the name is another's.
	if hold(t, s, "alice", "c1") {
		t.Error("two processes hold the name")
	}
	seen(t, s, true, Sign{ID: "alice", At: models.TimeOf(time.Now()), Gone: "c1"})
	if hold(t, s, "alice", "c2") {
		t.Error("who lost the name let it go for another")
	}
	// As long as it says that it lives, it keeps it.
	silent(other, NodeFresh+time.Second)
	seen(t, other, true)
	if hold(t, s, "alice", "c1") {
		t.Error("a process that lives lost its name")
	}
	exec(t, s, "DELETE FROM nodes WHERE id = ?", other.node)
	if !hold(t, s, "alice", "c1") {
		t.Error("the name of a process that was forgotten is not free")
	}
}

func onlineIsWhoWasSeen(t *testing.T, db database) {
	s := db.open(t, Options{})
	now := time.Now()
	for id, ago := range map[string]time.Duration{"now": 0, "lately": Fresh - 10*time.Second, "before": Fresh + time.Second, "long-ago": 24 * time.Hour} {
		register(t, s, models.Registration{ID: id})
		exec(t, s, "UPDATE instances SET last_seen = ? WHERE id = ?", models.TimeOf(now.Add(-ago)), id)
	}
	for status, want := range map[models.Status][]string{
		"": {"now", "lately", "before", "long-ago"}, models.Online: {"now", "lately"}, models.Offline: {"before", "long-ago"},
	} {
		list, err := s.Instances(t.Context(), "", status, 10)
		var got []string
		for _, i := range list {
			got = append(got, i.ID)
			if online := i.ID == "now" || i.ID == "lately"; online != (i.Status == models.Online) || !online && i.Status != models.Offline {
				t.Errorf("%s is %q", i.ID, i.Status)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", status, got, err, want)
		}
	}
	ids, err := s.OnlineIDs(t.Context(), "")
	if err != nil || !slices.Equal(ids, []string{"lately", "now"}) {
		t.Errorf("online: %q, %v", ids, err)
	}
	seen(t, s, false, Sign{ID: "long-ago", At: models.TimeOf(now)}, Sign{ID: "now", At: models.TimeOf(now.Add(-time.Hour))})
	if i := instance(t, s, "long-ago"); i.Status != models.Online || i.LastSeen != models.TimeOf(now) {
		t.Errorf("seen now: %+v", i)
	}
	if i := instance(t, s, "now"); i.LastSeen != models.TimeOf(now) {
		t.Errorf("an older sign came later: %+v", i)
	}
}

func instancesAreOrdered(t *testing.T, db database) {
	s := db.open(t, Options{})
	for i := range 9 {
		id := fmt.Sprint("agent-", i)
		register(t, s, models.Registration{ID: id})
		exec(t, s, "UPDATE instances SET last_seen = ? WHERE id = ?", 1000*(i%3), id)
	}
	list, err := s.Instances(t.Context(), "", "", 5)
	var got []string
	for _, i := range list {
		got = append(got, i.ID)
	}
	if want := []string{"agent-2", "agent-5", "agent-8", "agent-1", "agent-4"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func strangersArePassedOver(t *testing.T, db database) {
	s := db.open(t, Options{})
	register(t, s, models.Registration{ID: "alice"})
	now := models.TimeOf(time.Now().Add(time.Second))
	seen(t, s, true, Sign{ID: "stranger", At: now, Gone: "c9"}, Sign{ID: "alice", At: now})
	list, err := s.Instances(t.Context(), "", "", 10)
	if err != nil || len(list) != 1 || list[0].LastSeen != now {
		t.Errorf("%+v, %v", list, err)
	}
	seen(t, s, false)
}

func goodbyesCount(t *testing.T, db database) {
	s := db.open(t, Options{})
	online := func(want bool) {
		t.Helper()
		status := map[bool]models.Status{true: models.Online, false: models.Offline}
		if i := instance(t, s, "alice"); i.Status != status[want] {
			t.Errorf("alice is %s", i.Status)
		}
		list, err := s.Instances(t.Context(), "", status[want], 10)
		if err != nil || len(list) != 1 {
			t.Errorf("%d are %s, %v", len(list), status[want], err)
		}
		if list, err = s.Instances(t.Context(), "", status[!want], 10); err != nil || len(list) != 0 {
			t.Errorf("%d are %s, %v", len(list), status[!want], err)
		}
		if ids, err := s.OnlineIDs(t.Context(), ""); err != nil || (len(ids) == 1) != want {
			t.Errorf("online: %q, %v", ids, err)
		}
	}
	now := models.TimeOf(time.Now())
	register(t, s, models.Registration{ID: "alice"})
	online(true)
	seen(t, s, false, Sign{ID: "alice", At: now, Left: true})
	online(false)
	seen(t, s, false, Sign{ID: "alice", At: now})
	online(true)
	seen(t, s, false, Sign{ID: "alice", At: now, Left: true})
	register(t, s, models.Registration{ID: "alice"})
	online(true)
}

func holdersAreKnown(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	holder := func(want string) (since models.Time) {
		t.Helper()
		session, since, err := other.Holder(t.Context(), "alice")
		if err != nil || session != want || (since > 0) != (want != "") {
			t.Errorf("held by %q since %v, %v; want %q", session, since, err, want)
		}
		list, err := other.Instances(t.Context(), "", "", 10)
		if err != nil || len(list) != 1 || (list[0].HeldSince != nil) != (want != "") || want != "" && *list[0].HeldSince != since {
			t.Errorf("listed as %+v, %v; want it held since %v", list, err, since)
		}
		return since
	}
	register(t, s, models.Registration{ID: "alice"})
	holder("")
	before := models.TimeOf(time.Now())
	hold(t, s, "alice", "c1")
	first := holder("c1")
	if first < before || first > models.TimeOf(time.Now()) {
		t.Errorf("held since %v", first)
	}
	exec(t, s, "UPDATE instances SET held_at = held_at - 5000")
	hold(t, s, "alice", "c1") // again: it is still the same hold
	if again := holder("c1"); again != first-5000 {
		t.Errorf("held since %v, then since %v", first-5000, again)
	}
	seen(t, s, true, Sign{ID: "alice", At: before, Gone: "c1"})
	holder("")
	hold(t, other, "alice", "d1")
	if since := holder("d1"); since < first {
		t.Errorf("the next holds it since %v", since)
	}
	exec(t, s, "UPDATE nodes SET seen_at = seen_at - ? WHERE id = ?", (NodeFresh + time.Second).Milliseconds(), other.node)
	holder("")
}
