package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"crosstalk/models/store/ledger"
)

// Contains says that a column has a text in it, in which a to z stand for A to Z too: all columns are in collation C,
// which knows no other letters. The text is not, so it is the program that folds it. ILIKE says the same, but makes small
// letters of its pattern for each row: 9 ms for 20,000 messages, this takes 7.
func (db *DB) Contains(column, text string) clause.Expr {
	return gorm.Expr("strpos(lower("+column+"), ?) > 0", strings.Map(small, text))
}

func small(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}

// InChannel is what the indexes of channels and parents end with. Of the plain id the server would believe that
// walking the whole log backwards finds a channel's newest messages soon, which it does not in a channel that has been
// silent for long.
func (db *DB) InChannel() string { return "(id + 0)" }

// mostWords is how much one message may bring into the index, in bytes; PostgreSQL stops at a mebibyte. A message has
// more only if its letters come apart into many.
const mostWords = 1_000_000

// Index takes messages into the search index, and counts them.
func (db *DB) Index(ctx context.Context, h *ledger.Harvest) error {
	err := db.Transact(ctx, func(tx *gorm.DB) error {
		var indexed int64
		if err := tx.Table("bus").Select("indexed_id").Scan(&indexed).Error; err != nil || indexed != h.After {
			return err // another process has been here since
		}
		if err := addWords(tx, h.Entries); err != nil {
			return fmt.Errorf("add words: %w", err)
		}
		if err := tally(tx, h); err != nil {
			return fmt.Errorf("count: %w", err)
		}
		// Last, because those who append wait from here to the commit.
		return tx.Exec("UPDATE bus SET indexed_id = ?", h.Last()).Error
	})
	if err == nil && len(h.Entries) < sortWhile {
		err = db.sort(ctx)
	}
	return err
}

// sortWhile is how many messages a batch may have when the index is sorted after it: beyond, they come so fast that the
// server's own way costs half.
const sortWhile = 512

// sort has the server put into the index proper what it has taken note of. By itself it does that when it has 4 MB of
// notes, of some 3,000 messages, and reads them all for each search: that of a rare word took 45 ms then, and takes 1. Only
// the index's owner may, so where tables were made by another user it stays as it is.
func (db *DB) sort(ctx context.Context) error {
	return db.Transact(ctx, func(tx *gorm.DB) error {
		return tx.Exec(`SELECT gin_clean_pending_list(oid) FROM pg_class
			WHERE oid = 'crosstalk.message_words_by_word'::regclass AND pg_has_role(relowner, 'USAGE')`).Error
	})
}

func addWords(tx *gorm.DB, entries []ledger.Entry) error {
	ids, words := make([]int64, len(entries)), make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
		words[i] = fitting(e.Words)
	}
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, `INSERT INTO crosstalk.message_words (id, words)
		SELECT id, array_to_tsvector(string_to_array(words, ' ')) FROM unnest($1::bigint[], $2::text[]) AS entries (id, words)`, ids, words)
	return err
}

// tally adds to what channels hold, and to what senders have stored in each hour.
func tally(tx *gorm.DB, h *ledger.Harvest) error {
	var bytes, hours, messages []int64
	var held, channels, senders []string
	for ch, n := range h.Bytes {
		held, bytes = append(held, ch), append(bytes, n)
	}
	for at, n := range h.Spoken {
		channels, hours = append(channels, at.Channel), append(hours, at.Hour)
		senders, messages = append(senders, at.Sender), append(messages, n)
	}
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, `INSERT INTO crosstalk.usage (channel, bytes)
		SELECT * FROM unnest($1::text[], $2::bigint[])
		ON CONFLICT (channel) DO UPDATE SET bytes = usage.bytes + excluded.bytes`, held, bytes)
	if err != nil {
		return err
	}
	_, err = tx.Statement.ConnPool.ExecContext(tx.Statement.Context, `INSERT INTO crosstalk.activity (channel, hour, sender, messages)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
		ON CONFLICT (channel, hour, sender) DO UPDATE SET messages = activity.messages + excluded.messages`, channels, hours, senders, messages)
	return err
}

// fitting keeps as many words as there is room for. The first ones, which name channel and sender, are always among them.
func fitting(words string) string {
	if len(words) <= mostWords {
		return words
	}
	return words[:strings.LastIndexByte(words[:mostWords+1], ' ')]
}

// RemoveWords takes messages out of the search index.
func (db *DB) RemoveWords(tx *gorm.DB, ids []int64) error {
	return tx.Exec("DELETE FROM message_words WHERE id IN ?", ids).Error
}

// few is how many messages with all the words are looked at one by one.
const few = 1000

// WithWords keeps of messages the newest that have all the words. These are letters and digits, so that the quotes
// around them are enough. Where few messages have them they are all found by the index; where many do, a walk from the
// newest soon meets enough of them. The server would take the walk for both.
func (db *DB) WithWords(tx *gorm.DB, words []string, _ int64, limit int) *gorm.DB {
	query := "'" + strings.Join(words, "' & '") + "'"
	var ids []int64
	err := db.Reader(tx.Statement.Context).Raw("SELECT id FROM message_words WHERE words @@ ?::tsquery LIMIT ?", query, few+1).Scan(&ids).Error
	switch {
	case err != nil:
		_ = tx.AddError(err)
		return tx
	case len(ids) > few:
		return tx.Where("id IN (SELECT id FROM message_words WHERE words @@ ?::tsquery ORDER BY id DESC LIMIT ?)", query, limit)
	}
	slices.Sort(ids)
	return tx.Where("id IN ?", ids[max(0, len(ids)-limit):])
}
