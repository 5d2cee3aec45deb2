package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
)

const (
	tendEvery  = 500 * time.Millisecond // when this process has written
	lookEvery  = 20                     // of these, whether it has or not
	tendTurn   = 500 * time.Millisecond // then the lock is let go: a process that opens the database waits for it
	pruneEvery = 10 * time.Minute
	pruneBatch = 200                    // rows a transaction, at most: 1.3 ms
	pruneBytes = 512 << 10              // of content in them
	pruneHold  = 5 * time.Millisecond   // that a batch should take
	pruneLeast = 10                     // rows in one, where it takes longer
	renewTurn  = 100 * time.Millisecond // of each turn, for an index that is made anew

	activityKept = 8 * 24 * time.Hour // an hour's counts
)

// tendLoop keeps the index up to date and removes what is not to be kept. Of the processes on one database
// whichever holds the lock does it, turn by turn.
func (s *Store) tendLoop(ctx context.Context) {
	t := tender{Store: s}
	for round, wait := 0, tendEvery; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = tendEvery
		if !s.wrote.Swap(false) && round%lookEvery != 0 {
			continue
		}
		done, err := s.db.Tend(ctx)
		if err != nil || done == nil {
			s.wrote.Store(true) // whoever has the lock may have looked already
			continue
		}
		more := t.turn(ctx)
		if err := done(); err != nil {
			s.opt.Log.Error("tending did not end well", "error", err)
		}
		if more {
			s.wrote.Store(true)
			wait = 4 * openRetry // for those who wait for the lock
		}
	}
}

// tender is what tendLoop remembers from turn to turn.
type tender struct {
	*Store
	pruned        time.Time
	left          *pruning // of the run of retention under way
	behind, stale bool     // the index could not be brought up to date, or made anew
}

// turn does some of what is to be done and says whether more is.
func (t *tender) turn(ctx context.Context) (more bool) {
	end := time.Now().Add(tendTurn)
	more, err := t.indexUntil(ctx, end)
	if err != nil && !t.behind {
		t.opt.Log.Error("search index is behind", "error", err)
	}
	t.behind = err != nil
	if t.retain.Swap(false) {
		t.pruned, t.left = time.Time{}, nil
	}
	if time.Since(t.pruned) > pruneEvery {
		if t.left, err = t.prune(ctx, t.left, time.Now(), end); err != nil {
			t.opt.Log.Error("retention stopped", "error", err)
		}
		if t.left == nil {
			t.pruned = time.Now()
		}
		more = more || t.left != nil
	}
	again, err := t.renew(ctx, time.Now().Add(renewTurn))
	if err != nil && !t.stale {
		t.opt.Log.Error("search index cannot be made anew", "error", err)
	}
	if t.stale = err != nil; again {
		t.wrote.Store(true) // at leisure: what is searched for is found meanwhile
	}
	return more
}

// indexUntil indexes what there is, or until a time, and says whether more waits.
func (s *Store) indexUntil(ctx context.Context, end time.Time) (more bool, err error) {
	for more = true; more && err == nil && ctx.Err() == nil && time.Now().Before(end); {
		more, err = s.index(ctx)
	}
	return more && err == nil, err
}

// pruning is a run of retention, in small batches, so that senders never wait long.
type pruning struct {
	head int64
	due  []due         // channels that keep more than they should
	size int           // of the next batch
	cuts map[int]int64 // by days: the last id that is older
}

// due is a channel that retention has something to do in.
type due struct {
	Name                   string
	MessageCount           int64
	KeepDays, KeepMessages *int64
	Oldest                 int64
	limit                  int64 // up to this id messages go
}

// prune removes messages that are not to be kept, and other rows that are too old. It returns what is left of the run
// when it stopped at end, to let others have a turn, and goes on with that; it removes at least one batch.
func (s *Store) prune(ctx context.Context, p *pruning, now, end time.Time) (left *pruning, err error) {
	if p == nil {
		if err := s.forget(ctx, models.TimeOf(now)); err != nil {
			return nil, err
		}
		if p, err = s.beginPruning(ctx, now); err != nil {
			return nil, err
		}
	}
	for len(p.due) > 0 {
		if _, err := s.pruneBatch(ctx, p); err != nil || ctx.Err() != nil {
			return nil, err
		}
		if len(p.due) > 0 && time.Now().After(end) {
			return p, nil
		}
	}
	return nil, nil
}

// beginPruning looks at each channel's oldest message: that costs no more for a longer history.
func (s *Store) beginPruning(ctx context.Context, now time.Time) (*pruning, error) {
	p := &pruning{size: pruneBatch, cuts: map[int]int64{}}
	var err error
	if p.head, err = s.Head(ctx); err != nil {
		return nil, err
	}
	var all []due
	place := s.words.InChannel()
	err = s.Reader(ctx).Raw("SELECT name, message_count, keep_days, keep_messages, (SELECT id FROM messages WHERE channel = channels.name ORDER BY " +
		place + " LIMIT 1) AS oldest FROM channels WHERE message_count > 0").Scan(&all).Error
	if err != nil {
		return nil, s.reading(err)
	}
	var hubs int64
	if s.opt.Keep > 0 {
		if hubs, err = s.olderThan(ctx, now.Add(-s.opt.Keep), p.head); err != nil {
			return nil, err
		}
	}
	if s.opt.KeepMessages > 0 {
		hubs = max(hubs, p.head-s.opt.KeepMessages)
	}
	for _, ch := range all {
		if ch.limit = hubs; ch.own() {
			if ch.limit, err = s.cut(ctx, p, now, ch.KeepDays); err != nil {
				return nil, err
			}
		}
		if ch.Oldest <= ch.limit || ch.excess() > 0 {
			p.due = append(p.due, ch)
		}
	}
	return p, nil
}

// own says that the channel keeps what it says itself, and not what the hub says.
func (ch *due) own() bool { return ch.KeepDays != nil || ch.KeepMessages != nil }

// excess is how many messages are more than the channel keeps.
func (ch *due) excess() int64 {
	if ch.KeepMessages == nil || *ch.KeepMessages == 0 {
		return 0
	}
	return max(0, ch.MessageCount-*ch.KeepMessages)
}

// cut returns the last id that is older than so many days; nil and 0 are any age.
func (s *Store) cut(ctx context.Context, p *pruning, now time.Time, days *int64) (id int64, err error) {
	if days == nil || *days == 0 {
		return 0, nil
	}
	id, known := p.cuts[int(*days)]
	if !known {
		if id, err = s.olderThan(ctx, now.AddDate(0, 0, -int(*days)), p.head); err == nil {
			p.cuts[int(*days)] = id
		}
	}
	return id, err
}

// olderThan returns the greatest id up to head before which all messages are from before a time. Times never go back
// along the log, so it looks at few.
func (s *Store) olderThan(ctx context.Context, at time.Time, head int64) (int64, error) {
	before := models.TimeOf(at)
	low, high := int64(0), head
	for low < high {
		middle := low + (high-low)/2
		var m struct{ ID, CreatedAt int64 }
		err := s.Reader(ctx).Raw("SELECT id, created_at FROM messages WHERE id > ? ORDER BY id LIMIT 1", middle).Scan(&m).Error
		switch {
		case err != nil:
			return 0, s.reading(err)
		case m.ID == 0 || models.Time(m.CreatedAt) >= before:
			high = middle
		default:
			low = m.ID
		}
	}
	return low, nil
}

// pruneBatch removes one batch, from one channel or from some.
func (s *Store) pruneBatch(ctx context.Context, p *pruning) (n int, err error) {
	var begin time.Time
	finished := 0
	err = s.Transact(ctx, func(tx *gorm.DB) error {
		begin, n, finished = time.Now(), 0, 0
		if err := lockLog(tx); err != nil {
			return err
		}
		var indexed int64
		if err := tx.Table("bus").Select("indexed_id").Scan(&indexed).Error; err != nil {
			return err
		}
		for i := range p.due {
			gone, err := s.pruneChannel(tx, p.due[i], indexed, p.size-n)
			if err != nil {
				return err
			}
			n += gone.rows
			if gone.more {
				break
			}
			if finished++; n >= p.size || time.Since(begin) > pruneHold/2 {
				break
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	p.due = p.due[finished:]
	p.adapt(time.Since(begin))
	return n, nil
}

// adapt makes the next batch smaller or larger, by how long the lock was held for the last one.
func (p *pruning) adapt(took time.Duration) {
	switch {
	case took > pruneHold:
		p.size = max(pruneLeast, p.size/2)
	case took < pruneHold/2:
		p.size = min(pruneBatch, p.size*2)
	}
}

// gone is what a batch has removed from a channel.
type gone struct {
	rows int
	more bool // there is more to remove
}

// pruneChannel removes the oldest messages of a channel, up to most. Only what is indexed goes, so that the counts of
// the indexer are right.
func (s *Store) pruneChannel(tx *gorm.DB, was due, indexed int64, most int) (g gone, err error) {
	var ch due
	err = tx.Raw("SELECT name, message_count, keep_days, keep_messages FROM channels WHERE name = ?", was.Name).Scan(&ch).Error
	if err != nil || !same(ch.KeepDays, was.KeepDays) || !same(ch.KeepMessages, was.KeepMessages) {
		return g, err // what it keeps has changed: that is for the next run
	}
	place := s.words.InChannel()
	rows, err := tx.Raw("SELECT id, octet_length(content), coalesce(in_reply_to, 0) FROM messages WHERE channel = ? AND "+place+" <= ? ORDER BY "+place+" LIMIT ?",
		ch.Name, indexed, most).Rows()
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var old []int64
	var bytes int64
	parents := map[int64]int64{}
	for excess := ch.excess(); bytes < pruneBytes && rows.Next(); excess-- {
		var id, size, parent int64
		if err := rows.Scan(&id, &size, &parent); err != nil {
			return g, err
		}
		if id > was.limit && excess <= 0 {
			break
		}
		old = append(old, id)
		bytes += size
		if parent > 0 {
			parents[parent]++
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(old) == 0 {
		return g, err
	}
	return gone{len(old), len(old) == most || bytes >= pruneBytes}, s.remove(tx, ch.Name, old, bytes, parents)
}

func same(a, b *int64) bool { return a == b || a != nil && b != nil && *a == *b }

// remove takes a channel's oldest messages out of the log, the index and the counts.
func (s *Store) remove(tx *gorm.DB, ch string, ids []int64, bytes int64, parents map[int64]int64) error {
	if err := s.words.RemoveWords(tx, ids); err != nil {
		return err
	}
	if err := tx.Exec("DELETE FROM messages WHERE id IN (" + join(ids) + ")").Error; err != nil {
		return err
	}
	last := ids[len(ids)-1]
	err := tx.Exec("UPDATE channels SET message_count = message_count - ?, pruned_id = ? WHERE name = ?", len(ids), last, ch).Error
	if err != nil {
		return err
	}
	if err := tx.Exec("UPDATE usage SET bytes = bytes - ? WHERE channel = ?", bytes, ch).Error; err != nil {
		return err
	}
	if err := uncountReplies(tx, parents); err != nil {
		return err
	}
	return tx.Exec("UPDATE bus SET pruned_id = ? WHERE pruned_id < ?", last, last).Error
}

// uncountReplies is for parents that are still there: those in channels that keep more.
func uncountReplies(tx *gorm.DB, parents map[int64]int64) error {
	if len(parents) == 0 {
		return nil
	}
	var left []int64
	if err := tx.Raw("SELECT id FROM messages WHERE id IN (" + join(slices.Sorted(maps.Keys(parents))) + ")").Scan(&left).Error; err != nil {
		return err
	}
	for _, id := range left {
		if err := tx.Exec("UPDATE messages SET reply_count = reply_count - ? WHERE id = ?", parents[id], id).Error; err != nil {
			return err
		}
	}
	return nil
}

// join writes numbers into a statement: what a parameter costs grows with how many there are.
func join(ids []int64) string {
	var b []byte
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(b)
}

// forget drops idempotency keys that hold no more and senders and processes that are no more. It looks for senders
// channel by channel, as their index goes.
func (s *Store) forget(ctx context.Context, now models.Time) error {
	for _, stale := range []struct {
		query  string
		before models.Time
	}{
		{`DELETE FROM idempotency WHERE (principal, sender, key) IN
			(SELECT principal, sender, key FROM idempotency WHERE created_at <= ? LIMIT ?)`, now - models.Time(Remembered.Milliseconds())},
		{`DELETE FROM participants WHERE (channel, sender) IN
			(SELECT channel, sender FROM channels CROSS JOIN participants WHERE channel = name AND last_at < ? LIMIT ?)`, now - models.Time(activeFor.Milliseconds())},
		{`DELETE FROM activity WHERE (channel, hour, sender) IN
			(SELECT channel, hour, sender FROM activity WHERE hour < ? LIMIT ?)`, (now - models.Time(activityKept.Milliseconds())) / 3600000},
		{`DELETE FROM waits WHERE id IN (SELECT id FROM waits WHERE since < ? AND node NOT IN
			(SELECT id FROM nodes WHERE seen_at >= waits.since) LIMIT ?)`, now - models.Time(Fresh.Milliseconds())},
		{`DELETE FROM nodes WHERE id IN (SELECT id FROM nodes WHERE seen_at < ? LIMIT ?)`, now - models.Time(activeFor.Milliseconds())},
	} {
		for n := int64(pruneBatch); n == pruneBatch && ctx.Err() == nil; {
			err := s.Transact(ctx, func(tx *gorm.DB) error {
				done := tx.Exec(stale.query, stale.before, pruneBatch)
				n = done.RowsAffected
				return done.Error
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
