package store

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"crosstalk/models"
	"crosstalk/models/store/ledger"
)

// Remembered is how long an idempotency key holds.
const Remembered = 24 * time.Hour

// activeFor is how long before its channel's last message a sender still counts as active, and
// activeSenders how many are named.
const (
	activeFor     = 24 * time.Hour
	activeSenders = 20
)

// appender makes of the appends that wait what is added to the log.
type appender struct {
	seen *participants
	now  models.Time
	head ledger.Head

	ledger.Batch
	accepted []*pending // Messages[i] is what accepted[i] asked for
	twins    []*pending // repeat what an earlier one of this batch asks for
	tails    map[string]int
	keys     map[ledger.Key]*pending
}

// ask says what must be known before appends can be added.
func ask(batch []*pending) (a ledger.Ask) {
	asked := make(map[string]bool, 1)
	for _, p := range batch {
		if !asked[p.Channel] {
			asked[p.Channel] = true
			a.Channels = append(a.Channels, p.Channel)
		}
		if p.IdempotencyKey != "" {
			a.Keys = append(a.Keys, p.key())
		}
	}
	return a
}

func (p *pending) key() ledger.Key {
	return ledger.Key{Principal: p.Principal, Sender: p.Sender, Key: p.IdempotencyKey}
}

// plan gives each append its place in the log. What is wrong with one stands in it. Nil: there is nothing to add.
func (b *appender) plan(batch []*pending) *ledger.Batch {
	b.now = max(b.now, b.head.LastAt)
	b.At = b.now
	b.tails = make(map[string]int, 1)
	b.Messages = make([]models.Message, 0, len(batch))
	b.accepted = make([]*pending, 0, len(batch))
	for _, p := range batch {
		p.receipt = models.Receipt{}
		p.err = b.accept(p)
	}
	if len(b.Messages) == 0 {
		return nil
	}
	b.countReplies()
	b.noteSenders()
	return &b.Batch
}

// accept gives an append its place in the log, finds it there already, or refuses it.
func (b *appender) accept(p *pending) error {
	if p.InReplyTo > b.head.LastID {
		return models.Errorf(models.Invalid, "in_reply_to %d is no message: the newest is %d", p.InReplyTo, b.head.LastID)
	}
	if p.IdempotencyKey != "" {
		if found, err := b.find(p); found || err != nil {
			return err
		}
	}
	if reason, paused := b.head.Paused[p.Channel]; paused {
		return isPaused(p.Channel, reason)
	}
	if p.IdempotencyKey != "" {
		if b.keys == nil {
			b.keys = map[ledger.Key]*pending{}
		}
		b.keys[p.key()] = p
		b.Keys = append(b.Keys, ledger.Keyed{Key: p.key(), Digest: digest(p), At: len(b.Messages)})
	}
	m := models.Message{
		ID: b.head.LastID + int64(len(b.Messages)) + 1, Channel: p.Channel, Sender: p.Sender, Kind: p.Kind,
		Verified: p.Verified, Content: p.Content, Type: p.Type, CreatedAt: b.now,
	}
	if p.InReplyTo > 0 {
		parent := p.InReplyTo
		m.InReplyTo = &parent
	}
	p.receipt = models.Receipt{ID: m.ID, Channel: m.Channel, Type: m.Type}
	b.Messages = append(b.Messages, m)
	b.accepted = append(b.accepted, p)
	at, ok := b.tails[m.Channel]
	if !ok {
		at = len(b.Tails)
		b.tails[m.Channel] = at
		b.Tails = append(b.Tails, ledger.Tail{Channel: m.Channel})
	}
	b.Tails[at].Count++
	b.Tails[at].LastID = m.ID
	return nil
}

// find looks for an earlier append with the same key, in this batch or before it.
func (b *appender) find(p *pending) (bool, error) {
	key := p.key()
	if first := b.keys[key]; first != nil {
		if digest(first) != digest(p) {
			return false, reused(p)
		}
		p.receipt.ID = first.receipt.ID
		b.twins = append(b.twins, p)
		return true, nil
	}
	if was, ok := b.head.Firsts[key]; ok && was.At > b.now-models.Time(Remembered.Milliseconds()) {
		if was.Digest != digest(p) {
			return false, reused(p)
		}
		p.receipt = models.Receipt{ID: was.ID, Seq: was.Seq, Channel: p.Channel, Type: p.Type, Duplicate: true}
		return true, nil
	}
	return false, nil
}

func isPaused(ch, reason string) error {
	if reason == "" {
		return models.Errorf(models.Paused, "channel %q is paused by a person: nothing was stored. Do not send here again until it is resumed", ch)
	}
	return models.Errorf(models.Paused, "channel %q is paused by a person, who says %q: nothing was stored. Do not send here again until it is resumed", ch, reason)
}

func reused(p *pending) error {
	return models.Errorf(models.Conflict, "idempotency_key %q was used for another message: choose a new key for each message", p.IdempotencyKey)
}

// digest is of what the sender chose: channel, content, type and parent.
func digest(p *pending) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s %s %d\n%s", p.Channel, p.Type, p.InReplyTo, p.Content)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

func (b *appender) countReplies() {
	at := map[int64]int{}
	for i := range b.Messages {
		parent := b.Messages[i].InReplyTo
		if parent == nil {
			continue
		}
		n, ok := at[*parent]
		if !ok {
			n = len(b.Replies)
			at[*parent] = n
			b.Replies = append(b.Replies, ledger.Reply{Parent: *parent})
		}
		b.Replies[n].Count++
	}
}

// answer completes the receipts, also of those who asked twice within the batch.
func (b *appender) answer() {
	for i, p := range b.accepted {
		p.receipt.Seq = b.Messages[i].Seq
	}
	for _, p := range b.twins {
		first := b.accepted[p.receipt.ID-b.head.LastID-1]
		p.receipt = first.receipt
		p.receipt.Duplicate = true
	}
}

// participants remembers who was noted as active where, so that a busy sender costs a row a minute
// and not a row a message.
type participants struct {
	noted map[participant]models.Time
}

type participant struct{ channel, sender string }

const (
	noteEvery = time.Minute
	maxNoted  = 50_000 // pairs in memory; beyond, all are noted afresh
)

// forget is for a transaction that failed: what it noted is not there.
func (p *participants) forget() { p.noted = nil }

// due says whether this message's sender must be noted.
func (p *participants) due(m *models.Message) bool {
	key := participant{m.Channel, m.Sender}
	if last, ok := p.noted[key]; ok && m.CreatedAt-last < models.Time(noteEvery.Milliseconds()) {
		return false
	}
	if p.noted == nil || len(p.noted) >= maxNoted {
		p.noted = map[participant]models.Time{}
	}
	p.noted[key] = m.CreatedAt
	return true
}

// noteSenders keeps each channel's list of active senders.
func (b *appender) noteSenders() {
	b.Active = ledger.Active{Since: b.now - models.Time(activeFor.Milliseconds()), Most: activeSenders}
	noted := map[participant]bool{}
	for i := range b.Messages {
		m := &b.Messages[i]
		if !b.seen.due(m) || noted[participant{m.Channel, m.Sender}] {
			continue
		}
		noted[participant{m.Channel, m.Sender}] = true
		b.Senders = append(b.Senders, ledger.Sender{Channel: m.Channel, Sender: m.Sender, At: m.CreatedAt})
		if !slices.Contains(b.Active.Channels, m.Channel) {
			b.Active.Channels = append(b.Active.Channels, m.Channel)
		}
	}
}
