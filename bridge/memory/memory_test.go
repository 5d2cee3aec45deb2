package memory

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/models"
)

func taken(n *Names, conn, name string) bool {
	_, is := n.Take(conn, name)
	return is
}

func TestANameIsTakenWhileItsConnectionLives(t *testing.T) {
	n := NewNames()
	stream, call := n.Connected("a"), n.Connected("a")
	for range 2 {
		if taken(n, "a", "Bob") {
			t.Error("one's own name is taken")
		}
	}
	if !taken(n, "b", "bob") || !taken(n, "", "BOB") {
		t.Error("a name that is live elsewhere was given away")
	}
	stream()
	stream()
	if !taken(n, "b", "bob") {
		t.Error("a connection that is gone twice has gone more than once")
	}
	call()
	if taken(n, "", "bob") {
		t.Error("a name of a connection that is gone is still taken")
	}
	b := n.Connected("b")
	defer b()
	if taken(n, "b", "bob") || !taken(n, "a", "Bob") {
		t.Error("the name did not pass to who registered it last")
	}
	if n.Own("Bob") || !n.Own("bob") || n.Own("nobody") {
		t.Error("what is one's own is not known")
	}
	if n.Last("b") != "bob" || n.Last("a") != "" {
		t.Errorf("last names %q and %q", n.Last("b"), n.Last("a"))
	}
}

func TestSinceWhenIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNames()
		defer n.Connected("a")()
		began := time.Now()
		taken(n, "a", "bob")
		time.Sleep(time.Minute)
		taken(n, "a", "bob")
		if since, is := n.Take("b", "bob"); !is || !since.Equal(began) {
			t.Errorf("taken %t since %s, want %s", is, since, began)
		}
	})
}

func TestAConnectionThatLeavesLeavesItsNames(t *testing.T) {
	n := NewNames()
	defer n.Connected("a")()
	for _, name := range []string{"x", "y", "z"} {
		taken(n, "a", name)
	}
	n.Drop("a", "y")
	n.Drop("b", "x")
	if taken(n, "b", "y") {
		t.Error("a name that was given back is taken")
	}
	if got := n.Forget("a"); !slices.Equal(got, []string{"x", "z"}) {
		t.Errorf("forgot %q", got)
	}
	if taken(n, "b", "x") || n.Forget("a") != nil || len(n.byConn["a"]) > 0 {
		t.Error("a name of who left is taken")
	}
}

func TestNamesAreBounded(t *testing.T) {
	n := NewNames()
	defer n.Connected("a")()
	for i := range maxNames + 10 {
		taken(n, "a", strconv.Itoa(i))
	}
	if len(n.owners) != maxNames || len(n.byConn["a"]) != maxNames {
		t.Errorf("%d names are remembered", len(n.owners))
	}
	if !taken(n, "b", "0") || taken(n, "b", strconv.Itoa(maxNames)) {
		t.Error("beyond the bound the wrong names are remembered")
	}
}

func send(content string) Send {
	return SendOf(models.Principal{Name: "p"}, models.Draft{Channel: "x", Sender: "bob", Type: "message", Content: content})
}

func TestALostAnswerIsRememberedForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLost()
		if _, ok := l.Find(send("a")); ok {
			t.Error("what was never sent was found")
		}
		l.Note(send("a"), models.Receipt{ID: 7}, false)
		time.Sleep(lostFor)
		if r, ok := l.Find(send("a")); !ok || r.ID != 7 {
			t.Errorf("after a minute: %v, %t", r, ok)
		}
		time.Sleep(time.Nanosecond)
		if _, ok := l.Find(send("a")); ok {
			t.Error("remembered for more than a minute")
		}
		l.Note(send("b"), models.Receipt{ID: 8}, false)
		l.Note(send("b"), models.Receipt{ID: 8}, true)
		if _, ok := l.Find(send("b")); ok {
			t.Error("an answer that arrived counts as lost")
		}
	})
}

func TestSendsDifferInAllThatTheSenderChose(t *testing.T) {
	one := models.Draft{Channel: "x", Sender: "bob", Type: "message", Content: "hi", InReplyTo: 1}
	seen := map[Send]string{}
	for name, change := range map[string]func(d *models.Draft, who *models.Principal){
		"none":      func(*models.Draft, *models.Principal) {},
		"principal": func(_ *models.Draft, who *models.Principal) { who.Name = "q" },
		"channel":   func(d *models.Draft, _ *models.Principal) { d.Channel = "y" },
		"sender":    func(d *models.Draft, _ *models.Principal) { d.Sender = "bo" },
		"type":      func(d *models.Draft, _ *models.Principal) { d.Type = "request" },
		"content":   func(d *models.Draft, _ *models.Principal) { d.Content = "hi " },
		"parent":    func(d *models.Draft, _ *models.Principal) { d.InReplyTo = 2 },
		"key":       func(d *models.Draft, _ *models.Principal) { d.IdempotencyKey = "k" },
	} {
		d, who := one, models.Principal{Name: "p"}
		change(&d, &who)
		s := SendOf(who, d)
		if other, ok := seen[s]; ok {
			t.Errorf("%s and %s are the same", name, other)
		}
		seen[s] = name
	}
	who := models.Principal{Name: "p", Session: "another"}
	if seen[SendOf(who, one)] != "none" {
		t.Error("a retry over another connection is another send")
	}
}

func TestLostAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLost()
		for i := range 3 * maxLost {
			l.Note(send(strconv.Itoa(i)), models.Receipt{ID: int64(i)}, false)
			time.Sleep(time.Millisecond)
		}
		if len(l.sends) != maxLost {
			t.Errorf("%d are remembered", len(l.sends))
		}
		for i, want := range map[int]bool{2*maxLost - 1: false, 2 * maxLost: true, 3*maxLost - 1: true} {
			if _, ok := l.Find(send(strconv.Itoa(i))); ok != want {
				t.Errorf("%d of %d: found %t", i, 3*maxLost, ok)
			}
		}
		time.Sleep(2 * lostFor)
		l.Note(send("new"), models.Receipt{}, false)
		if len(l.sends) != 1 {
			t.Errorf("%d outlived are remembered", len(l.sends))
		}
	})
}

func TestKnownChannelsAreBounded(t *testing.T) {
	k := NewKnown()
	if k.Has("x") {
		t.Error("what was never added is known")
	}
	for i := range maxKnown + 1 {
		k.Add(fmt.Sprint(i))
	}
	if len(k.names) > maxKnown || !k.Has(fmt.Sprint(maxKnown)) {
		t.Errorf("%d names, the last known: %t", len(k.names), k.Has(fmt.Sprint(maxKnown)))
	}
}
