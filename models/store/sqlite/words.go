package sqlite

import (
	"context"
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
	return addWords(tx, "message_words", entries)
}

func addWords(tx *gorm.DB, table string, entries []ledger.Entry) error {
	var q strings.Builder
	q.WriteString("INSERT INTO " + table + " (rowid, words) VALUES ")
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

// RemoveWords counts messages that the index should know no more. They stay in it until it is made anew: FTS5 deletes
// slowly, and much more so when it merges what was deleted.
func (db *DB) RemoveWords(tx *gorm.DB, ids []int64) error {
	return tx.Exec("UPDATE bus SET stale = stale + ?", len(ids)).Error
}

// WithWords keeps of messages after an id the newest that have all the words.
func (db *DB) WithWords(tx *gorm.DB, words []string, after int64, limit int) *gorm.DB {
	return tx.Where(`id IN (SELECT rowid FROM message_words WHERE message_words MATCH ? AND rowid > ?
		AND EXISTS (SELECT 1 FROM messages AS m WHERE m.id = message_words.rowid) ORDER BY rowid DESC LIMIT ?)`,
		`"`+strings.Join(words, `" "`)+`"`, after, limit)
}

// Merging goes in steps, each a transaction of its own: one writes so many pages of 4 KB, which took up to 10 ms. A batch
// of entries has about 5 pages, and is merged four times until it lies in the largest piece of an index of millions.
const (
	mergePages = 8
	mergeSteps = 4 // after each batch
)

// MergeWords puts pieces of the search index together, a few small steps.
func (db *DB) MergeWords(ctx context.Context) error { return db.merge(ctx, "message_words") }

func (db *DB) merge(ctx context.Context, table string) error {
	for range mergeSteps {
		err := db.Transact(ctx, func(tx *gorm.DB) error {
			return tx.Exec("INSERT INTO "+table+" ("+table+", rank) VALUES ('merge', ?)", mergePages).Error
		})
		if err != nil {
			return err
		}
	}
	return nil
}
