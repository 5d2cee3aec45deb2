package faults

import (
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// parcel is one message on its way: what was sent, and what anybody was told of it.
type parcel struct {
	// Set by ledger.send, then constant.
	publisher, n int
	channel      string
	sum          uint64 // of the content
	parent       int64
	sent         time.Time

	// Guarded by the ledger's mu.
	id, seq   int64  // 0 until somebody was told
	told      string // who was told its id first
	acked     bool
	abandoned bool // its publisher hung up and never asked again: it is stored once, or not at all
}

func (p *parcel) String() string {
	s := fmt.Sprintf("message %d/%d of %s, sent %s", p.publisher, p.n, p.channel, p.sent.Format("15:04:05.000"))
	if p.id > 0 {
		s += fmt.Sprintf(", id %d, seq %d, known to %s first", p.id, p.seq, p.told)
	}
	switch {
	case p.acked:
		s += ", acknowledged"
	case p.abandoned:
		s += ", abandoned"
	}
	return s
}

// ledger knows every message of a soak. Publishers write down what they send and what was acknowledged; whoever is
// delivered a message has it compared. All must agree which message has which id and seq.
type ledger struct {
	delivered  atomic.Int64 // messages that anybody was given
	acked      atomic.Int64
	duplicates atomic.Int64 // of these, those that had been stored when they were sent again

	mu sync.Mutex
	// Guarded by mu.
	sent     map[int][]*parcel // by publisher and n
	ids      []*parcel         // ids[0] is message 1
	channels map[string][]int64
	whole    int64 // ids up to here are known without a hole
}

func newLedger() *ledger { return &ledger{sent: map[int][]*parcel{}, channels: map[string][]int64{}} }

// mostID is more than a soak can reach.
const mostID = 1 << 28

func sum(content string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(content))
	return h.Sum64()
}

// send writes down a publisher's next message, before it is sent.
func (l *ledger) send(publisher int, channel, content string, parent int64) *parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &parcel{publisher: publisher, n: len(l.sent[publisher]), channel: channel, parent: parent, sent: time.Now()}
	p.sum = sum(content)
	l.sent[publisher] = append(l.sent[publisher], p)
	return p
}

// abandon notes that nobody will ever ask again what became of p.
func (l *ledger) abandon(p *parcel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.abandoned = true
}

// ack notes what a publisher was told. Seq 0 is not told, as by MCP.
func (l *ledger) ack(p *parcel, who string, id, seq int64, channel string, duplicate bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if channel != p.channel {
		return wrong("%s was told that it is in channel %s: %v", who, channel, p)
	}
	if err := l.learn(p, who, id, seq); err != nil {
		return err
	}
	if !p.acked {
		p.acked = true
		l.acked.Add(1)
		if duplicate {
			l.duplicates.Add(1)
		}
	}
	return nil
}

// saw compares a message that who was given with what was sent.
func (l *ledger) saw(m *row, who string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.find(m.Content, m.ID, who)
	if err != nil {
		return err
	}
	parent := int64(0)
	if m.Parent != nil {
		parent = *m.Parent
	}
	if m.Channel != p.channel || sum(m.Content) != p.sum || parent != p.parent || m.Sender != publisherName(p.publisher) {
		return wrong("%s was given message %d as %q of %s, in reply to %d: %.60q of %d bytes. Sent was %v", who, m.ID, m.Sender, m.Channel, parent, m.Content, len(m.Content), p)
	}
	l.delivered.Add(1)
	return l.learn(p, who, m.ID, m.Seq)
}

// sawPart does so for one of which the beginning and the id are known.
func (l *ledger) sawPart(id int64, content, who string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.find(content, id, who)
	if err != nil {
		return err
	}
	l.delivered.Add(1)
	return l.learn(p, who, id, 0)
}

func (l *ledger) find(content string, id int64, who string) (*parcel, error) {
	var publisher, n int
	if _, err := fmt.Sscanf(content, "%d/%d ", &publisher, &n); err != nil || n < 0 || n >= len(l.sent[publisher]) {
		return nil, wrong("%s was given message %d, which nobody has sent: %.60q", who, id, content)
	}
	return l.sent[publisher][n], nil
}

func (l *ledger) learn(p *parcel, who string, id, seq int64) error {
	if id < 1 || id > mostID || seq < 0 || seq > id {
		return wrong("%s was told id %d and seq %d of %v", who, id, seq, p)
	}
	if p.id == 0 {
		for int64(len(l.ids)) < id {
			l.ids = append(l.ids, nil)
		}
		if other := l.ids[id-1]; other != nil {
			return wrong("%s was told id %d of %v, but that is the id of %v", who, id, p, other)
		}
		l.ids[id-1], p.id, p.told = p, id, who
	}
	if p.id != id {
		return wrong("%s was told id %d of %v: it is stored twice", who, id, p)
	}
	if seq == 0 {
		return nil
	}
	if p.seq == 0 {
		seqs := l.channels[p.channel]
		for int64(len(seqs)) < seq {
			seqs = append(seqs, 0)
		}
		if other := seqs[seq-1]; other != 0 {
			return wrong("%s was told seq %d of %v, but that is the seq of message %d", who, seq, p, other)
		}
		seqs[seq-1], p.seq = id, seq
		l.channels[p.channel] = seqs
		for l.whole < int64(len(l.ids)) && l.ids[l.whole] != nil && l.ids[l.whole].seq > 0 {
			l.whole++
		}
	}
	if p.seq != seq {
		return wrong("%s was told seq %d of %v", who, seq, p)
	}
	return nil
}

// known returns up to which id every message is known to somebody.
func (l *ledger) known() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.whole
}

// upTo returns how many messages each channel has up to an id, below which all are known.
func (l *ledger) upTo(id int64) map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	seqs := map[string]int64{}
	for ch, ids := range l.channels {
		n, _ := slices.BinarySearchFunc(ids, id, func(of, id int64) int {
			if of > 0 && of <= id { // what is not known yet comes later
				return -1
			}
			return 1
		})
		seqs[ch] = int64(n)
	}
	return seqs
}

// whatID describes the message that has an id.
func (l *ledger) whatID(id int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id >= 1 && id <= int64(len(l.ids)) && l.ids[id-1] != nil {
		return l.ids[id-1].String()
	}
	return fmt.Sprintf("id %d, of which nobody was told yet", id)
}

// what describes the message that has a seq in a channel.
func (l *ledger) what(ch string, seq int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ids := l.channels[ch]; seq >= 1 && seq <= int64(len(ids)) && ids[seq-1] > 0 {
		return l.ids[ids[seq-1]-1].String()
	}
	return fmt.Sprintf("seq %d of %s, of which nobody was told", seq, ch)
}

// close compares the ledger with what is stored in the end and returns at most ten problems.
func (l *ledger) close(stored []row) (found []string) {
	say := func(format string, args ...any) {
		if len(found) < 10 {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	seqs := map[string]int64{}
	for i := range stored {
		m := &stored[i]
		if m.ID != int64(i)+1 {
			say("message %d stands at place %d", m.ID, i+1)
		}
		if seqs[m.Channel]++; m.Seq != seqs[m.Channel] {
			say("message %d of %s has seq %d, not %d", m.ID, m.Channel, m.Seq, seqs[m.Channel])
		}
		if err := l.saw(m, "the database"); err != nil {
			say("%v", err)
		}
		l.delivered.Add(-1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ids) > len(stored) {
		say("somebody was given message %d, stored are %d: %v", len(l.ids), len(stored), l.ids[len(l.ids)-1])
	}
	for _, of := range l.sent {
		for _, p := range of {
			switch {
			case p.id > 0 && p.id > int64(len(stored)):
				say("it is not stored: %v", p)
			case !p.acked && !p.abandoned:
				say("it was never acknowledged: %v", p)
			}
		}
	}
	return found
}

// idsOf returns the ids of a channel, from one of them on.
func (l *ledger) idsOf(ch string, from int64) (ids []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.channels[ch] {
		if id >= from {
			ids = append(ids, id)
		}
	}
	return ids
}
