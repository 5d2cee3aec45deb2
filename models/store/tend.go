package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
)

const (
	tendEvery  = 500 * time.Millisecond // when this process has written
	lookEvery  = 20                     // of these, whether it has or not
	tendTurn   = 500 * time.Millisecond // then the lock is let go: a process that opens the database waits for it
	pruneEvery = 10 * time.Minute
	pruneBatch = 500 // messages a transaction

	activityKept = 8 * 24 * time.Hour // an hour's counts
)

// tendLoop keeps the index up to date and removes what is too old. Of the processes on one database
// whichever holds the lock does it, turn by turn.
func (s *Store) tendLoop(ctx context.Context) {
	var pruned time.Time
	behind := false
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
		end := time.Now().Add(tendTurn)
		more, err := s.indexUntil(ctx, end)
		if err != nil && !behind {
			s.opt.Log.Error("search index is behind", "error", err)
		}
		behind = err != nil
		if time.Since(pruned) > pruneEvery {
			all, err := s.prune(ctx, time.Now(), end)
			if err != nil {
				s.opt.Log.Error("retention stopped", "error", err)
			}
			if all || err != nil {
				pruned = time.Now()
			}
			more = more || !all
		}
		if err := done(); err != nil {
			s.opt.Log.Error("tending did not end well", "error", err)
		}
		if more {
			s.wrote.Store(true)
			wait = 4 * openRetry // for those who wait for the lock
		}
	}
}

// indexUntil indexes what there is, or until a time, and says whether more waits.
func (s *Store) indexUntil(ctx context.Context, end time.Time) (more bool, err error) {
	for more = true; more && err == nil && ctx.Err() == nil && time.Now().Before(end); {
		more, err = s.index(ctx)
	}
	return more && err == nil, err
}

// prune removes messages and other rows that are too old, a small batch at a time so that senders
// never wait long. done is false when it stopped at end, to let others have a turn; it removes at
// least one batch.
func (s *Store) prune(ctx context.Context, now, end time.Time) (done bool, err error) {
	if err := s.forget(ctx, models.TimeOf(now)); err != nil || s.opt.Keep <= 0 {
		return true, err
	}
	before := models.TimeOf(now.Add(-s.opt.Keep))
	for {
		n, err := s.pruneBatch(ctx, before)
		if err != nil || n < pruneBatch || ctx.Err() != nil {
			return true, err
		}
		if time.Now().After(end) {
			return false, nil
		}
	}
}

// pruneBatch removes the oldest messages if they are from before a time. Times never go back along
// the log, so looking at the oldest is enough. Only what is indexed goes: the index forgets it too.
func (s *Store) pruneBatch(ctx context.Context, before models.Time) (n int, err error) {
	return n, s.Transact(ctx, func(tx *gorm.DB) error {
		if err := lockLog(tx); err != nil {
			return err
		}
		var old []models.Message
		err := tx.Select("id", "channel", "created_at", "content").Where("id <= (SELECT indexed_id FROM bus)").
			Order("id").Limit(pruneBatch).Find(&old).Error
		if young := slices.IndexFunc(old, func(m models.Message) bool { return m.CreatedAt >= before }); young >= 0 {
			old = old[:young]
		}
		if n = len(old); err != nil || n == 0 {
			return err
		}
		return s.remove(tx, old)
	})
}

// remove takes messages out of the log, the index and the counts.
func (s *Store) remove(tx *gorm.DB, old []models.Message) error {
	type gone struct{ count, last, bytes int64 }
	channels := map[string]gone{}
	ids := make([]int64, len(old))
	for i, m := range old {
		ids[i] = m.ID
		was := channels[m.Channel]
		channels[m.Channel] = gone{was.count + 1, m.ID, was.bytes + int64(len(m.Content))}
	}
	if err := s.words.RemoveWords(tx, ids); err != nil {
		return err
	}
	if err := tx.Exec("DELETE FROM messages WHERE id IN ?", ids).Error; err != nil {
		return err
	}
	for ch, g := range channels {
		err := tx.Exec("UPDATE channels SET message_count = message_count - ?, pruned_id = ? WHERE name = ?", g.count, g.last, ch).Error
		if err != nil {
			return err
		}
		if err := tx.Exec("UPDATE usage SET bytes = bytes - ? WHERE channel = ?", g.bytes, ch).Error; err != nil {
			return err
		}
	}
	last := ids[len(ids)-1]
	return tx.Exec("UPDATE bus SET pruned_id = ? WHERE pruned_id < ?", last, last).Error
}

// forget drops idempotency keys that hold no more and senders and processes that are no more.
func (s *Store) forget(ctx context.Context, now models.Time) error {
	for _, stale := range []struct {
		query  string
		before models.Time
	}{
		{`DELETE FROM idempotency WHERE (principal, sender, key) IN
			(SELECT principal, sender, key FROM idempotency WHERE created_at <= ? LIMIT ?)`, now - models.Time(Remembered.Milliseconds())},
		{`DELETE FROM participants WHERE (channel, sender) IN
			(SELECT channel, sender FROM participants WHERE last_at < ? LIMIT ?)`, now - models.Time(activeFor.Milliseconds())},
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
