package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"crosstalk/models"
)

// Remembered is how long an idempotency key holds.
const Remembered = 24 * time.Hour

// activeFor is how long before its channel's last message a sender still counts as active, and
// activeSenders how many are named.
const (
	activeFor     = 24 * time.Hour
	activeSenders = 20
)

// appender writes one batch within one transaction.
type appender struct {
	ctx  context.Context
	tx   *sql.Tx
	seen *participants
	ends *ends
	now  models.Time

	head     int64 // id of the newest message before the batch
	messages []models.Message
	accepted []*pending // messages[i] is what accepted[i] asked for
	twins    []*pending // repeat what an earlier one of this batch asks for
	keys     map[idempotencyKey]*pending
	paused   map[string]string // channels that take no messages, and why
}

type idempotencyKey struct{ principal, sender, key string }

func (b *appender) write(batch []*pending) error {
	if err := b.begin(); err != nil {
		return err
	}
	for _, p := range batch {
		p.err = nil
		if err := b.accept(p); err != nil {
			if models.CodeOf(err) == models.Internal {
				return err
			}
			p.err = err
		}
	}
	if len(b.messages) == 0 {
		return nil
	}
	for _, step := range []func() error{b.number, b.insert, b.countReplies, b.noteSenders, b.remember, b.advance} {
		if err := step(); err != nil {
			return err
		}
	}
	b.ends.head = b.messages[len(b.messages)-1].ID
	b.answer()
	return nil
}

// begin reads where the log ends. The transaction holds the write lock, so there it stays.
func (b *appender) begin() error {
	var last models.Time
	var paused bool
	const query = "SELECT last_id, last_at, EXISTS (SELECT 1 FROM channels WHERE paused_at IS NOT NULL) FROM bus"
	if err := b.tx.QueryRowContext(b.ctx, query).Scan(&b.head, &last, &paused); err != nil {
		return fmt.Errorf("read the head: %w", err)
	}
	b.now = max(b.now, last)
	if !paused {
		return nil
	}
	return b.findPaused()
}

// findPaused reads which channels are paused. Whoever pauses one holds the lock, too: no message slips past a pause.
func (b *appender) findPaused() error {
	rows, err := b.tx.QueryContext(b.ctx, "SELECT name, pause_reason FROM channels WHERE paused_at IS NOT NULL")
	if err != nil {
		return fmt.Errorf("look for paused channels: %w", err)
	}
	defer func() { _ = rows.Close() }()
	b.paused = map[string]string{}
	for rows.Next() {
		var name, reason string
		if err := rows.Scan(&name, &reason); err != nil {
			return fmt.Errorf("look for paused channels: %w", err)
		}
		b.paused[name] = reason
	}
	return rows.Err()
}

func isPaused(ch, reason string) error {
	if reason == "" {
		return models.Errorf(models.Paused, "channel %q is paused by a person: nothing was stored. Do not send here again until it is resumed", ch)
	}
	return models.Errorf(models.Paused, "channel %q is paused by a person, who says %q: nothing was stored. Do not send here again until it is resumed", ch, reason)
}

// accept gives an append its place in the log, finds it there already, or refuses it.
func (b *appender) accept(p *pending) error {
	if p.InReplyTo > b.head {
		return models.Errorf(models.Invalid, "in_reply_to %d is no message: the newest is %d", p.InReplyTo, b.head)
	}
	reason, paused := b.paused[p.Channel]
	if p.IdempotencyKey != "" {
		key := idempotencyKey{p.Principal, p.Sender, p.IdempotencyKey}
		if first := b.keys[key]; first != nil {
			if digest(first) != digest(p) {
				return reused(p)
			}
			p.receipt.ID = first.receipt.ID
			b.twins = append(b.twins, p)
			return nil
		}
		if found, err := b.find(p); found || err != nil {
			return err
		}
		if paused {
			return isPaused(p.Channel, reason)
		}
		if b.keys == nil {
			b.keys = map[idempotencyKey]*pending{}
		}
		b.keys[key] = p
	}
	if paused {
		return isPaused(p.Channel, reason)
	}
	m := models.Message{
		ID: b.head + int64(len(b.messages)) + 1, Channel: p.Channel, Sender: p.Sender, Kind: p.Kind,
		Verified: p.Verified, Content: p.Content, Type: p.Type, CreatedAt: b.now,
	}
	if p.InReplyTo > 0 {
		m.InReplyTo = &p.InReplyTo
	}
	p.receipt = models.Receipt{ID: m.ID, Channel: m.Channel, Type: m.Type}
	b.messages = append(b.messages, m)
	b.accepted = append(b.accepted, p)
	return nil
}

// find looks for an earlier append with the same key.
func (b *appender) find(p *pending) (bool, error) {
	r := models.Receipt{Channel: p.Channel, Type: p.Type, Duplicate: true}
	var was string
	err := b.tx.QueryRowContext(b.ctx, `SELECT message_id, seq, digest FROM idempotency
		WHERE principal = ? AND sender = ? AND key = ? AND created_at > ?`,
		p.Principal, p.Sender, p.IdempotencyKey, b.now-models.Time(Remembered.Milliseconds())).Scan(&r.ID, &r.Seq, &was)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for the idempotency key: %w", err)
	case was != digest(p):
		return false, reused(p)
	}
	p.receipt = r
	return true, nil
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

// number advances each channel's row by what the batch adds, creating channels on the way.
func (b *appender) number() error {
	type tail struct{ count, last, next int64 }
	tails := map[string]*tail{}
	var order []string
	for i := range b.messages {
		m := &b.messages[i]
		t := tails[m.Channel]
		if t == nil {
			t = &tail{}
			tails[m.Channel] = t
			order = append(order, m.Channel)
		}
		t.count++
		t.last = m.ID
	}
	b.ends.begin(b.head)
	for _, ch := range order {
		t := tails[ch]
		seq, err := b.advanceChannel(ch, t.count, t.last)
		if err != nil {
			return fmt.Errorf("advance the channel: %w", err)
		}
		b.ends.seq[ch] = seq
		t.next = seq - t.count
	}
	for i := range b.messages {
		t := tails[b.messages[i].Channel]
		t.next++
		b.messages[i].Seq = t.next
		b.accepted[i].receipt.Seq = t.next
	}
	return nil
}

// advanceChannel returns the channel's last seq with count messages more, of which last is the newest.
func (b *appender) advanceChannel(ch string, count, last int64) (seq int64, err error) {
	if seq = b.ends.seq[ch]; seq > 0 {
		seq += count
		_, err = b.tx.ExecContext(b.ctx, `UPDATE channels SET last_seq = ?, message_count = message_count + ?, last_id = ?, last_message_at = ?
			WHERE name = ?`, seq, count, last, b.now, ch)
		return seq, err
	}
	err = b.tx.QueryRowContext(b.ctx, `INSERT INTO channels (name, created_at, last_seq, message_count, last_id, last_message_at)
		VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET last_seq = channels.last_seq + excluded.last_seq,
			message_count = channels.message_count + excluded.message_count,
			last_id = excluded.last_id, last_message_at = excluded.last_message_at
		RETURNING last_seq`, ch, b.now, count, count, last, b.now).Scan(&seq)
	return seq, err
}

// ends remembers where channels end, for as long as nobody else writes: a batch that begins where the last one of this
// process ended need not ask (30 us of 190 that a batch costs).
type ends struct {
	head int64 // after the last batch of this process
	seq  map[string]int64
}

// maxEnds bounds it; beyond, all are asked for afresh.
const maxEnds = 10_000

func (e *ends) begin(head int64) {
	if e.seq == nil || e.head != head || len(e.seq) > maxEnds {
		e.seq = map[string]int64{}
	}
}

// forget is for a transaction that failed.
func (e *ends) forget() { e.seq = nil }

// chunk bounds a statement. What a parameter costs grows with how many there are in a statement (the driver looks for
// each among all), so that what is a number or one of few words is written into it.
const chunk = 64

func (b *appender) insert() error {
	for rest := b.messages; len(rest) > 0; {
		n := min(chunk, len(rest))
		args := make([]any, 0, n*3)
		var q strings.Builder
		q.WriteString("INSERT INTO messages (id, seq, channel, sender, kind, verified, content, message_type, in_reply_to, created_at) VALUES ")
		for i := range rest[:n] {
			m := &rest[i]
			if i > 0 {
				q.WriteByte(',')
			}
			parent := "NULL"
			if m.InReplyTo != nil {
				parent = strconv.FormatInt(*m.InReplyTo, 10)
			}
			fmt.Fprintf(&q, "(%d,%d,?,?,'%s',%t,?,'%s',%s,%d)", m.ID, m.Seq, m.Kind, m.Verified, m.Type, parent, int64(m.CreatedAt))
			args = append(args, m.Channel, m.Sender, m.Content)
		}
		if _, err := b.tx.ExecContext(b.ctx, q.String(), args...); err != nil {
			return fmt.Errorf("insert messages: %w", err)
		}
		rest = rest[n:]
	}
	return nil
}

func (b *appender) countReplies() error {
	for i := range b.messages {
		if parent := b.messages[i].InReplyTo; parent != nil {
			if _, err := b.tx.ExecContext(b.ctx, "UPDATE messages SET reply_count = reply_count + 1 WHERE id = ?", *parent); err != nil {
				return fmt.Errorf("count the reply: %w", err)
			}
		}
	}
	return nil
}

func (b *appender) remember() error {
	for _, p := range b.keys {
		_, err := b.tx.ExecContext(b.ctx, `INSERT INTO idempotency (principal, sender, key, message_id, seq, digest, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (principal, sender, key) DO UPDATE SET message_id = excluded.message_id, seq = excluded.seq,
				digest = excluded.digest, created_at = excluded.created_at`,
			p.Principal, p.Sender, p.IdempotencyKey, p.receipt.ID, p.receipt.Seq, digest(p), b.now)
		if err != nil {
			return fmt.Errorf("remember the idempotency key: %w", err)
		}
	}
	return nil
}

func (b *appender) advance() error {
	last := b.messages[len(b.messages)-1].ID
	if _, err := b.tx.ExecContext(b.ctx, "UPDATE bus SET last_id = ?, last_at = ?", last, b.now); err != nil {
		return fmt.Errorf("advance the log: %w", err)
	}
	return nil
}

// answer completes the receipts of those who asked twice within the batch.
func (b *appender) answer() {
	for _, p := range b.twins {
		first := b.accepted[p.receipt.ID-b.head-1]
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
func (b *appender) noteSenders() error {
	changed := map[string]bool{}
	for i := range b.messages {
		m := &b.messages[i]
		if !b.seen.due(m) {
			continue
		}
		changed[m.Channel] = true
		_, err := b.tx.ExecContext(b.ctx, `INSERT INTO participants (channel, sender, last_at) VALUES (?, ?, ?)
			ON CONFLICT (channel, sender) DO UPDATE SET last_at = excluded.last_at`, m.Channel, m.Sender, m.CreatedAt)
		if err != nil {
			return fmt.Errorf("note the sender: %w", err)
		}
	}
	since := b.now - models.Time(activeFor.Milliseconds())
	for ch := range changed {
		_, err := b.tx.ExecContext(b.ctx, `UPDATE channels SET active_senders = (
			SELECT coalesce(group_concat(sender, ', '), '') FROM (
				SELECT sender FROM participants WHERE channel = ? AND last_at >= ? ORDER BY last_at DESC LIMIT ?))
			WHERE name = ?`, ch, since, activeSenders, ch)
		if err != nil {
			return fmt.Errorf("list the active senders: %w", err)
		}
	}
	return nil
}
