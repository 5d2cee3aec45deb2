package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"crosstalk/models/store/ledger"
)

// Append adds to the log what plan makes of where it ends; nothing, if plan returns nil.
func (db *DB) Append(ask ledger.Ask, plan func(ledger.Head) *ledger.Batch) error {
	defer db.Turn.Take()()
	ctx := context.Background()
	tx, err := db.Write.BeginTx(ctx, &sql.TxOptions{})
	if err != nil {
		return err
	}
	a := &appender{ctx: ctx, tx: tx, ends: &db.ends}
	if err = a.begin(ask, plan); err == nil {
		err = tx.Commit()
	}
	if err != nil {
		_ = tx.Rollback()
		db.ends.forget()
	}
	return err
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

// appender writes one batch within one transaction.
type appender struct {
	ctx context.Context
	tx  *sql.Tx
	*ends
	*ledger.Batch
}

// begin reads where the log ends. The transaction holds the write lock, so there it stays.
func (a *appender) begin(ask ledger.Ask, plan func(ledger.Head) *ledger.Batch) error {
	var h ledger.Head
	var paused bool
	const query = "SELECT last_id, last_at, EXISTS (SELECT 1 FROM channels WHERE paused_at IS NOT NULL) FROM bus"
	if err := a.tx.QueryRowContext(a.ctx, query).Scan(&h.LastID, &h.LastAt, &paused); err != nil {
		return fmt.Errorf("read the head: %w", err)
	}
	if paused {
		if err := a.findPaused(&h); err != nil {
			return fmt.Errorf("look for paused channels: %w", err)
		}
	}
	if err := a.find(ask.Keys, &h); err != nil {
		return fmt.Errorf("look for the idempotency key: %w", err)
	}
	if a.Batch = plan(h); a.Batch == nil {
		return nil
	}
	a.ends.begin(h.LastID)
	for _, step := range []func() error{a.number, a.insert, a.countReplies, a.noteSenders, a.remember, a.advance} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// findPaused reads which channels are paused. Whoever pauses one holds the lock, too: no message slips past a pause.
func (a *appender) findPaused(h *ledger.Head) error {
	rows, err := a.tx.QueryContext(a.ctx, "SELECT name, pause_reason FROM channels WHERE paused_at IS NOT NULL")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	h.Paused = map[string]string{}
	for rows.Next() {
		var name, reason string
		if err := rows.Scan(&name, &reason); err != nil {
			return err
		}
		h.Paused[name] = reason
	}
	return rows.Err()
}

// find looks for messages that carried a key before.
func (a *appender) find(keys []ledger.Key, h *ledger.Head) error {
	for _, key := range keys {
		var was ledger.First
		err := a.tx.QueryRowContext(a.ctx, `SELECT message_id, seq, digest, created_at FROM idempotency
			WHERE principal = ? AND sender = ? AND key = ?`, key.Principal, key.Sender, key.Key).Scan(&was.ID, &was.Seq, &was.Digest, &was.At)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			continue
		case err != nil:
			return err
		}
		if h.Firsts == nil {
			h.Firsts = map[ledger.Key]ledger.First{}
		}
		h.Firsts[key] = was
	}
	return nil
}

// number advances each channel's row by what the batch adds, creating channels on the way.
func (a *appender) number() error {
	for i := range a.Tails {
		t := &a.Tails[i]
		if err := a.advanceChannel(t); err != nil {
			return fmt.Errorf("advance the channel: %w", err)
		}
		a.seq[t.Channel] = t.LastSeq
	}
	a.Number()
	return nil
}

func (a *appender) advanceChannel(t *ledger.Tail) error {
	if last := a.seq[t.Channel]; last > 0 {
		t.LastSeq = last + t.Count
		_, err := a.tx.ExecContext(a.ctx, `UPDATE channels SET last_seq = ?, message_count = message_count + ?, last_id = ?, last_message_at = ?
			WHERE name = ?`, t.LastSeq, t.Count, t.LastID, a.At, t.Channel)
		return err
	}
	return a.tx.QueryRowContext(a.ctx, `INSERT INTO channels (name, created_at, last_seq, message_count, last_id, last_message_at)
		VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET last_seq = channels.last_seq + excluded.last_seq,
			message_count = channels.message_count + excluded.message_count,
			last_id = excluded.last_id, last_message_at = excluded.last_message_at
		RETURNING last_seq`, t.Channel, a.At, t.Count, t.Count, t.LastID, a.At).Scan(&t.LastSeq)
}

// chunk bounds a statement. What a parameter costs grows with how many there are in a statement (the driver looks for
// each among all), so that what is a number or one of few words is written into it.
const chunk = 64

func (a *appender) insert() error {
	for rest := a.Messages; len(rest) > 0; {
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
		if _, err := a.tx.ExecContext(a.ctx, q.String(), args...); err != nil {
			return fmt.Errorf("insert messages: %w", err)
		}
		rest = rest[n:]
	}
	return nil
}

func (a *appender) countReplies() error {
	for _, r := range a.Replies {
		if _, err := a.tx.ExecContext(a.ctx, "UPDATE messages SET reply_count = reply_count + ? WHERE id = ?", r.Count, r.Parent); err != nil {
			return fmt.Errorf("count the reply: %w", err)
		}
	}
	return nil
}

func (a *appender) remember() error {
	for _, k := range a.Keys {
		m := &a.Messages[k.At]
		_, err := a.tx.ExecContext(a.ctx, `INSERT INTO idempotency (principal, sender, key, message_id, seq, digest, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (principal, sender, key) DO UPDATE SET message_id = excluded.message_id, seq = excluded.seq,
				digest = excluded.digest, created_at = excluded.created_at`,
			k.Principal, k.Sender, k.Key.Key, m.ID, m.Seq, k.Digest, a.At)
		if err != nil {
			return fmt.Errorf("remember the idempotency key: %w", err)
		}
	}
	return nil
}

func (a *appender) advance() error {
	if _, err := a.tx.ExecContext(a.ctx, "UPDATE bus SET last_id = ?, last_at = ?", a.LastID(), a.At); err != nil {
		return fmt.Errorf("advance the log: %w", err)
	}
	a.head = a.LastID()
	return nil
}

// noteSenders keeps each channel's list of active senders.
func (a *appender) noteSenders() error {
	for _, s := range a.Senders {
		_, err := a.tx.ExecContext(a.ctx, `INSERT INTO participants (channel, sender, last_at) VALUES (?, ?, ?)
			ON CONFLICT (channel, sender) DO UPDATE SET last_at = excluded.last_at`, s.Channel, s.Sender, s.At)
		if err != nil {
			return fmt.Errorf("note the sender: %w", err)
		}
	}
	for _, ch := range a.Active.Channels {
		_, err := a.tx.ExecContext(a.ctx, `UPDATE channels SET active_senders = (
			SELECT coalesce(group_concat(sender, ', '), '') FROM (
				SELECT sender FROM participants WHERE channel = ? AND last_at >= ? ORDER BY last_at DESC LIMIT ?))
			WHERE name = ?`, ch, a.Active.Since, a.Active.Most, ch)
		if err != nil {
			return fmt.Errorf("list the active senders: %w", err)
		}
	}
	return nil
}
