package loops

import (
	"context"
	"fmt"
	"sync"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
)

// When two senders are told, and when they are refused.
const (
	Said   = 60
	Most   = 120
	Window = 10 * time.Minute
)

// share is how much of the talk each must have for it to be one between two: a quarter. Who reports to a channel where
// somebody now and then answers is in no loop.
const share = 4

// maxTalks bounds the channels in memory.
const maxTalks = 20_000

// Guard watches the channels of a hub. All methods may be called from any goroutine; of nil too, which sees nothing.
type Guard struct {
	store *store.Store

	mu    sync.Mutex
	talks map[string]*talk
}

// talk is what this process has seen of a channel since somebody else spoke there. It is at least as much as there is.
type talk struct {
	a, b   string // who speaks; b may be empty
	holes  bool   // others may have spoken: another process stored messages in between
	count  int64
	last   string // who spoke last, and how often in a row
	streak int64
	seq    int64 // of the last message
	at     models.Time
}

// New makes a Guard.
func New(s *store.Store) *Guard { return &Guard{store: s, talks: map[string]*talk{}} }

// Committed is told of every batch that this process stores, in order. It asks the store nothing.
func (g *Guard) Committed(batch []models.Message) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range batch {
		g.note(&batch[i])
	}
}

func (g *Guard) note(m *models.Message) {
	t := g.talks[m.Channel]
	switch {
	case t == nil:
		g.makeRoom(m.CreatedAt)
		t = &talk{a: m.Sender, count: 1}
		if m.Seq > 1 { // what was there before is not known
			t.count, t.holes = Said, true
		}
		g.talks[m.Channel] = t
	case m.Kind == models.KindHuman:
		*t = talk{}
	case m.CreatedAt-t.at > models.Time(Window.Milliseconds()):
		*t = talk{a: m.Sender, count: 1}
	case t.a == "" || m.Sender == t.a || t.b == "" || m.Sender == t.b:
		if t.a == "" {
			t.a = m.Sender
		} else if m.Sender != t.a {
			t.b = m.Sender
		}
		t.holes = t.holes || m.Seq != t.seq+1
		t.count += m.Seq - t.seq
	default: // the talk is now between this one and the one before
		*t = talk{a: t.last, b: m.Sender, count: t.streak + 1, holes: m.Seq != t.seq+1, last: t.last, streak: t.streak}
	}
	if t.streak++; m.Sender != t.last {
		t.last, t.streak = m.Sender, 1
	}
	t.seq, t.at = m.Seq, m.CreatedAt
}

// makeRoom forgets channels that were quiet for long, or all if there are none. Its caller holds mu.
func (g *Guard) makeRoom(now models.Time) {
	if len(g.talks) < maxTalks {
		return
	}
	for ch, t := range g.talks {
		if now-t.at > models.Time(Window.Milliseconds()) {
			delete(g.talks, ch)
		}
	}
	if len(g.talks) >= maxTalks {
		clear(g.talks)
	}
}

// possible tells whether a loop is possible in a channel, as far as this process knows.
func (g *Guard) possible(ch string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.talks[ch]
	return t != nil && t.count >= Said-1 && (t.b != "" || t.holes)
}

// Check refuses a send that would make a loop longer than Most. peer is with whom sender talks, and so many messages
// there are between them with this one, if they are Said or more.
func (g *Guard) Check(ctx context.Context, who models.Principal, ch, sender string) (peer string, count int64, err error) {
	if g == nil || who.Person != "" || !g.possible(ch) {
		return "", 0, nil
	}
	tail, err := g.store.Tail(ctx, ch, Most)
	if err != nil {
		return "", 0, err
	}
	a, b, count := between(tail, models.TimeOf(time.Now()))
	g.learn(ch, count)
	switch peer = a; sender {
	case a:
		peer = b
	case b:
	default: // somebody else joins in
		return "", 0, nil
	}
	switch {
	case count >= Most:
		return "", 0, refusal(ch, peer)
	case count >= Said-1:
		return peer, count + 1, nil
	}
	return "", 0, nil
}

// learn takes what the log says for what was seen.
func (g *Guard) learn(ch string, count int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.talks[ch]; t != nil {
		t.count = count
	}
}

// between returns which two senders alone have spoken at the end of a log, which comes newest first, and how often
// within Window of the last message; 0 if the last is older than that, or one of them has hardly spoken.
func between(tail []store.Spoken, now models.Time) (a, b string, count int64) {
	window := models.Time(Window.Milliseconds())
	if len(tail) == 0 || now-tail[0].CreatedAt > window {
		return "", "", 0
	}
	var ofA int64
	for _, m := range tail {
		switch {
		case m.Kind == models.KindHuman || tail[0].CreatedAt-m.CreatedAt > window:
			return talked(a, b, ofA, count)
		case a == "" || m.Sender == a:
			a = m.Sender
			ofA++
		case b == "" || m.Sender == b:
			b = m.Sender
		default:
			return talked(a, b, ofA, count)
		}
		count++
	}
	return talked(a, b, ofA, count)
}

func talked(a, b string, ofA, count int64) (string, string, int64) {
	if b == "" || ofA*share < count || (count-ofA)*share < count {
		return a, b, 0
	}
	return a, b, count
}

func refusal(ch, peer string) error {
	return models.After(models.Errorf(models.RateLimited,
		"you and %q have exchanged %d messages on channel %q within %d minutes, and nobody else has spoken: this looks like a loop, so nothing was stored. "+
			"Stop sending here. Tell the person you work for what was said and ask how to go on. A message of a person or of somebody else, or %d minutes of silence, lets you send again",
		peer, Most, ch, int(Window.Minutes()), int(Window.Minutes())), Window)
}

// Notice is what the answer to a send says about a loop; empty if there is none.
func Notice(ch, peer string, count int64) string {
	if peer == "" {
		return ""
	}
	return fmt.Sprintf("you and %q have exchanged %d messages on channel %q within %d minutes, and nobody else has spoken: if there is nothing new to say, "+
		"send message_type done and stop. At %d sends are refused until a person or somebody else speaks", peer, count, ch, int(Window.Minutes()), Most)
}
