package postgres

import (
	"slices"
	"strings"

	"gorm.io/gorm"

	"crosstalk/models/store/ledger"
)

// Like is the operator that compares a text with a pattern, in which a to z stand for A to Z too: all text is in
// collation C, which knows no other letters.
func (db *DB) Like() string { return "ILIKE" }

// InChannel is what the indexes of channels and parents end with. Of the plain id the server would believe that
// walking the whole log backwards finds a channel's newest messages soon, which it does not in a channel that has been
// silent for long.
func (db *DB) InChannel() string { return "(id + 0)" }

// mostWords is how much one message may bring into the index, in bytes; PostgreSQL stops at a mebibyte. A message has
// more only if its letters come apart into many.
const mostWords = 1_000_000

// AddWords takes messages into the search index.
func (db *DB) AddWords(tx *gorm.DB, entries []ledger.Entry) error {
	ids, words := make([]int64, len(entries)), make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
		words[i] = strings.Join(fitting(e.Words), " ")
	}
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, `INSERT INTO crosstalk.message_words (id, words)
		SELECT id, array_to_tsvector(string_to_array(words, ' ')) FROM unnest($1::bigint[], $2::text[]) AS entries (id, words)`, ids, words)
	return err
}

// fitting keeps as many words as there is room for. The last ones name channel and sender, and stay.
func fitting(words []string) []string {
	size := 0
	for i, w := range words {
		if size += len(w); size > mostWords {
			return append(words[:i:i], words[max(i, len(words)-2):]...)
		}
	}
	return words
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
