package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"crosstalk/models/store/ledger"
)

// Append adds to the log what plan makes of where it ends; nothing, if plan returns nil. Both halves of the transaction
// go to the server in one piece each, so that the network is crossed twice, however many messages there are.
func (db *DB) Append(ask ledger.Ask, plan func(ledger.Head) *ledger.Batch) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	for try := 1; ; try++ {
		err := db.append(context.Background(), ask, plan)
		if err == nil || try == tries || errors.Is(err, ledger.ErrUnknown) || !again(err) {
			return err
		}
	}
}

func (db *DB) append(ctx context.Context, ask ledger.Ask, plan func(ledger.Head) *ledger.Batch) error {
	if err := db.connect(ctx); err != nil {
		return err
	}
	h, seqs, err := db.begin(ctx, ask)
	if err != nil {
		return db.undo(ctx, fmt.Errorf("read the head: %w", err))
	}
	b := plan(h)
	if b == nil {
		return db.undo(ctx, nil)
	}
	for i := range b.Tails {
		t := &b.Tails[i]
		t.LastSeq = seqs[t.Channel] + t.Count
	}
	b.Number()
	db.batch++
	tag, err := db.send(ctx, b)
	switch {
	case err == nil && tag == "COMMIT":
		return nil
	case err == nil:
		return db.undo(ctx, fmt.Errorf("the server answered the commit with %q", tag))
	case aborted(err):
		return db.undo(ctx, fmt.Errorf("append: %w", err))
	}
	db.drop()
	return db.lookUp(ctx, fmt.Errorf("append: %w", err))
}

// connect makes the connection of the appends if there is none.
func (db *DB) connect(ctx context.Context) (err error) {
	switch {
	case db.closed:
		return errors.New("the database is closed")
	case db.conn != nil && !db.conn.IsClosed():
		return nil
	}
	if db.conn, err = pgx.ConnectConfig(ctx, db.config.ConnConfig); err != nil {
		db.conn = nil
	}
	return err
}

// drop lets go of the connection, without waiting for the server.
func (db *DB) drop() {
	if db.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = db.conn.Close(ctx)
	db.conn = nil
}

// undo ends a transaction of which nothing shall remain, and returns why.
func (db *DB) undo(ctx context.Context, why error) error {
	if why != nil && !aborted(why) {
		db.drop()
		return why
	}
	if _, err := db.conn.Exec(ctx, "ROLLBACK"); err != nil {
		db.drop()
	}
	return why
}

// begin begins the transaction, takes the log's lock and reads what is asked for: after the lock, so that it stays so.
func (db *DB) begin(ctx context.Context, ask ledger.Ask) (h ledger.Head, seqs map[string]int64, err error) {
	var b pgx.Batch
	for _, statement := range db.config.begin() {
		b.Queue(statement)
	}
	b.Queue("SELECT last_id, last_at FROM crosstalk.bus FOR NO KEY UPDATE").QueryRow(func(row pgx.Row) error {
		return row.Scan(&h.LastID, &h.LastAt)
	})
	seqs = make(map[string]int64, len(ask.Channels))
	b.Queue("SELECT name, last_seq, paused_at IS NOT NULL, pause_reason FROM crosstalk.channels WHERE name = ANY($1)", ask.Channels).
		Query(func(rows pgx.Rows) error {
			var name, reason string
			var seq int64
			var paused bool
			_, err := pgx.ForEachRow(rows, []any{&name, &seq, &paused, &reason}, func() error {
				seqs[name] = seq
				if paused {
					if h.Paused == nil {
						h.Paused = map[string]string{}
					}
					h.Paused[name] = reason
				}
				return nil
			})
			return err
		})
	if len(ask.Keys) > 0 {
		h.Firsts = map[ledger.Key]ledger.First{}
		queueKeys(&b, ask.Keys, h.Firsts)
	}
	return h, seqs, db.conn.SendBatch(ctx, &b).Close()
}

func queueKeys(b *pgx.Batch, keys []ledger.Key, into map[ledger.Key]ledger.First) {
	principals, senders, names := make([]string, len(keys)), make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		principals[i], senders[i], names[i] = k.Principal, k.Sender, k.Key
	}
	b.Queue(`SELECT i.principal, i.sender, i.key, i.message_id, i.seq, i.digest, i.created_at
		FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (principal, sender, key)
		JOIN crosstalk.idempotency AS i ON i.principal = asked.principal AND i.sender = asked.sender AND i.key = asked.key`,
		principals, senders, names).Query(func(rows pgx.Rows) error {
		var k ledger.Key
		var f ledger.First
		_, err := pgx.ForEachRow(rows, []any{&k.Principal, &k.Sender, &k.Key, &f.ID, &f.Seq, &f.Digest, &f.At}, func() error {
			into[k] = f
			return nil
		})
		return err
	})
}

// send writes the batch and commits. It returns what the server says of the commit.
func (db *DB) send(ctx context.Context, batch *ledger.Batch) (tag string, err error) {
	w := writing{Batch: batch}
	w.messages()
	w.channels()
	w.replies()
	w.senders()
	w.keys()
	w.queue.Queue(`INSERT INTO crosstalk.writers (node, batch, at) VALUES ($1, $2, now())
		ON CONFLICT (node) DO UPDATE SET batch = excluded.batch, at = excluded.at`, db.node, db.batch)
	w.queue.Queue("UPDATE crosstalk.bus SET last_id = $1, last_at = $2", batch.LastID(), int64(batch.At))
	n := w.queue.Len()
	w.queue.Queue("COMMIT")
	results := db.conn.SendBatch(ctx, &w.queue)
	for range n {
		if _, err := results.Exec(); err != nil {
			return "", errors.Join(err, results.Close())
		}
	}
	done, err := results.Exec()
	if err != nil {
		return "", errors.Join(err, results.Close())
	}
	// The commit has been answered: what becomes of the connection now is another matter.
	if results.Close() != nil {
		db.drop()
	}
	return done.String(), nil
}

// lookUp finds out what became of a transaction whose answer was lost. It waits until the transaction has ended: until
// then that one has the log's lock.
func (db *DB) lookUp(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(ctx, db.patience)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		var batch int64
		err := db.connect(ctx)
		if err == nil {
			batch, err = db.lastBatch(ctx)
		}
		switch {
		case err == nil && batch == db.batch:
			return nil
		case err == nil:
			return why
		}
		db.drop()
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ledger.ErrUnknown, why)
		case <-time.After(wait):
		}
	}
}

// lastBatch reads the last batch that this process committed.
func (db *DB) lastBatch(ctx context.Context) (last int64, err error) {
	var b pgx.Batch
	for _, statement := range db.config.begin() {
		b.Queue(statement)
	}
	b.Queue("SELECT last_id FROM crosstalk.bus FOR NO KEY UPDATE")
	b.Queue("SELECT coalesce(max(batch), 0) FROM crosstalk.writers WHERE node = $1", db.node).QueryRow(func(row pgx.Row) error {
		return row.Scan(&last)
	})
	b.Queue("ROLLBACK")
	return last, db.conn.SendBatch(ctx, &b).Close()
}
