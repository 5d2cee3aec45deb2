package sqlite

import (
	"fmt"
	"strings"

	"gorm.io/gorm"

	"crosstalk/models/store/ledger"
)

// Like is the operator that compares a text with a pattern, in which a to z stand for A to Z too.
func (db *DB) Like() string { return "LIKE" }

// InChannel is the id: the index of a channel's messages ends with it.
func (db *DB) InChannel() string { return "id" }

// AddWords takes messages into the search index, in one statement: at the begin of each, FTS5 writes out what it has
// gathered.
func (db *DB) AddWords(tx *gorm.DB, entries []ledger.Entry) error {
	var q strings.Builder
	q.WriteString("INSERT INTO message_words (rowid, words) VALUES ")
	words := make([]any, len(entries))
	for i, e := range entries {
		if i > 0 {
			q.WriteByte(',')
		}
		fmt.Fprintf(&q, "(%d,?)", e.ID)
		words[i] = strings.Join(e.Words, " ")
	}
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, q.String(), words...)
	return err
}

// RemoveWords takes messages out of the search index.
func (db *DB) RemoveWords(tx *gorm.DB, ids []int64) error {
	return tx.Exec("DELETE FROM message_words WHERE rowid IN ?", ids).Error
}

// WithWords keeps of messages the newest that have all the words.
func (db *DB) WithWords(tx *gorm.DB, words []string, limit int) *gorm.DB {
	return tx.Where(`id IN (SELECT rowid FROM message_words WHERE message_words MATCH ? ORDER BY rowid DESC LIMIT ?)`,
		`"`+strings.Join(words, `" "`)+`"`, limit)
}
