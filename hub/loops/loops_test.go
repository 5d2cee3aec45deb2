package loops

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"crosstalk/models"
	"crosstalk/models/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one process on a database.
type node struct {
	t     *testing.T
	store *store.Store
	guard *Guard
}

func open(t *testing.T, path string) *node {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &node{t: t, store: st, guard: New(st)}
	st.OnCommit(n.guard.Committed)
	return n
}

func agent() models.Principal { return models.Principal{Name: models.SharedPrincipal} }

// say sends as the hub does, and returns what the guard has to say.
func (n *node) say(who models.Principal, ch, sender string) (count int64, err error) {
	n.t.Helper()
	_, count, err = n.guard.Check(n.t.Context(), who, ch, sender)
	if err != nil {
		return 0, err
	}
	d := models.Draft{Channel: ch, Sender: sender, Kind: who.Kind(), Content: "x", Type: models.TypeMessage}
	if _, err := n.store.Append(n.t.Context(), store.Append{Draft: d, Principal: who.Name}); err != nil {
		n.t.Fatal(err)
	}
	return count, nil
}

// talk has senders speak in turn, so many messages in all, and wants none refused; it returns what the last was told.
func (n *node) talk(ch string, messages int, senders ...string) (count int64) {
	n.t.Helper()
	for i := range messages {
		var err error
		if count, err = n.say(agent(), ch, senders[i%len(senders)]); err != nil {
			n.t.Fatalf("message %d: %v", i+1, err)
		}
	}
	return count
}

func (n *node) refused(ch, sender string) {
	n.t.Helper()
	_, err := n.say(agent(), ch, sender)
	if models.CodeOf(err) != models.RateLimited || models.RetryAfter(err) != int64(Window.Seconds()) || !strings.Contains(err.Error(), "Stop sending here") {
		n.t.Errorf("%s in %s: %v", sender, ch, err)
	}
}

func TestTwoThatTalkOnlyToEachOtherAreToldThenStopped(t *testing.T) {
	n := open(t, filepath.Join(t.TempDir(), "bus.db"))
	if told := n.talk("crew", Said-1, "ada", "bob"); told != 0 {
		t.Errorf("told after %d messages", told)
	}
	for i := Said; i <= Most; i++ {
		if told := n.talk("crew", 1, []string{"bob", "ada"}[i%2]); told != int64(i) {
			t.Fatalf("message %d was told %d", i, told)
		}
	}
	for range 3 {
		n.refused("crew", "ada")
		n.refused("crew", "bob")
	}
	// Elsewhere, and as somebody else, one may speak.
	n.talk("other", 3, "ada", "bob")
	if told := n.talk("crew", 1, "cyd"); told != 0 {
		t.Errorf("who joins in is told %d", told)
	}
	if told := n.talk("crew", Said-1, "ada", "bob"); told != 0 {
		t.Errorf("after somebody joined in they are told %d", told)
	}
	if told := n.talk("crew", 1, "bob"); told != Said {
		t.Errorf("then they are told %d", told)
	}
}

func TestAPersonLetsThemGoOn(t *testing.T) {
	n := open(t, filepath.Join(t.TempDir(), "bus.db"))
	n.talk("crew", Most, "ada", "bob")
	n.refused("crew", "ada")
	person := models.Principal{Name: models.SharedPrincipal, Person: "ada"} // whatever her name is
	if told, err := n.say(person, "crew", "ada"); told != 0 || err != nil {
		t.Errorf("a person: %d, %v", told, err)
	}
	if told := n.talk("crew", Said-1, "ada", "bob"); told != 0 {
		t.Errorf("told after %d", told)
	}
}

func TestOthersAreLeftAlone(t *testing.T) {
	for name, senders := range map[string][]string{
		"one alone":                {"ada"},
		"three":                    {"ada", "bob", "cyd"},
		"who reports and who nods": {"ada", "ada", "ada", "ada", "ada", "ada", "ada", "bob"},
		"three, one now and then":  append(strings.Fields(strings.Repeat("ada bob ", 25)), "cyd"),
	} {
		var tail []store.Spoken
		for i := range Most {
			tail = append(tail, store.Spoken{Sender: senders[i%len(senders)], Kind: models.KindAgent, CreatedAt: 1})
			if _, _, count := between(tail, 1); count >= Said-1 {
				t.Fatalf("%s: %d of %d messages count", name, count, len(tail))
			}
		}
	}
}

// TestWhatIsSeenIsAtLeastWhatThereIs holds what a process counts as it goes against what the log says.
func TestWhatIsSeenIsAtLeastWhatThereIs(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := New(nil)
		var tail []store.Spoken
		for seq := range int64(200) {
			m := models.Message{Channel: "crew", Seq: seq + 1, Sender: "ada", Kind: models.KindAgent, CreatedAt: models.Time(seq)}
			if r.IntN(2) == 0 {
				m.Sender = "bob"
			}
			switch r.IntN(70) {
			case 0:
				m.Kind = models.KindHuman
			case 1:
				m.Sender = "cyd"
			}
			tail = append([]store.Spoken{{Sender: m.Sender, Kind: m.Kind, CreatedAt: m.CreatedAt}}, tail...)
			if r.IntN(20) > 0 || seq == 0 { // else another process stored it
				g.Committed([]models.Message{m})
			}
			if _, _, count := between(tail, m.CreatedAt); count >= Said+10 && !g.possible("crew") {
				t.Fatalf("seed %d: %d messages, and nothing is seen", seed, count)
			}
		}
	}
}

func TestTimeEndsALoop(t *testing.T) {
	n := open(t, filepath.Join(t.TempDir(), "bus.db"))
	n.talk("crew", Most, "ada", "bob")
	tail, err := n.store.Tail(t.Context(), "crew", Most)
	if err != nil {
		t.Fatal(err)
	}
	last, window := tail[0].CreatedAt, models.Time(Window.Milliseconds())
	if _, _, count := between(tail, last+window); count != Most {
		t.Errorf("within the window: %d", count)
	}
	if _, _, count := between(tail, last+window+1); count != 0 {
		t.Errorf("after ten minutes: %d", count)
	}
	for i := range tail { // one every six seconds is too slow
		tail[i].CreatedAt = last - models.Time(i)*6001
	}
	if _, _, count := between(tail, last); count != 100 {
		t.Errorf("of a slow talk %d count", count)
	}
}

func TestItHoldsAcrossProcessesAndRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	one, two := open(t, path), open(t, path)
	for i := range Most {
		n, sender := one, "ada"
		if i%2 == 1 {
			n, sender = two, "bob"
		}
		told, err := n.say(agent(), "crew", sender)
		if want := int64(i + 1); err != nil || told != 0 && told != want || want > Said+1 && told == 0 {
			t.Fatalf("message %d: told %d, %v", want, told, err)
		}
	}
	one.refused("crew", "ada")
	two.refused("crew", "bob")
	// Who starts anew knows after the first message.
	three := open(t, path)
	if _, err := three.say(agent(), "crew", "ada"); err != nil {
		t.Fatal(err)
	}
	three.refused("crew", "ada")
	three.refused("crew", "bob")
}

func TestBusyChannelsAreHardlyLookedAt(t *testing.T) {
	g := New(nil) // a look would panic
	var m models.Message
	m.Channel, m.CreatedAt = "crew", models.TimeOf(time.Now())
	for i := range 10_000 {
		m.Seq, m.Sender = int64(i+1), fmt.Sprint(i%3)
		if _, _, err := g.Check(t.Context(), agent(), "crew", m.Sender); err != nil {
			t.Fatal(err)
		}
		g.Committed([]models.Message{m})
	}
	for i := range maxTalks + 10 {
		m.Channel, m.Seq = fmt.Sprint(i), 1
		g.Committed([]models.Message{m})
	}
	if len(g.talks) > maxTalks {
		t.Errorf("%d channels are remembered", len(g.talks))
	}
	var none *Guard
	none.Committed([]models.Message{m})
	if _, _, err := none.Check(t.Context(), agent(), "crew", "ada"); err != nil {
		t.Error(err)
	}
}
