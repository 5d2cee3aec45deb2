package sqlite

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
	lite "zombiezen.com/go/sqlite"

	"crosstalk/models/store/ledger"
)

// Like is the operator that compares a text with a pattern, in which a to z stand for A to Z too.
func (db *DB) Like() string { return "LIKE" }

// InChannel is the id: the index of a channel's messages ends with it.
func (db *DB) InChannel() string { return "id" }

// Index takes messages into the search index, and counts them.
func (db *DB) Index(_ context.Context, h *ledger.Harvest) error {
	if err := db.log(func(l *Log) error { return l.index(h) }); err != nil {
		return err
	}
	return db.merge("message_words")
}

func (l *Log) index(h *ledger.Harvest) error {
	var indexed int64
	err := l.each("SELECT indexed_id FROM bus", func(row *lite.Stmt) { indexed = row.ColumnInt64(0) })
	if err != nil || indexed != h.After {
		return err // another process has been here since
	}
	if err := l.addWords("message_words", h.Entries); err != nil {
		return fmt.Errorf("add words: %w", err)
	}
	for ch, n := range h.Bytes {
		err := l.Do("INSERT INTO usage (channel, bytes) VALUES (?, ?) ON CONFLICT (channel) DO UPDATE SET bytes = usage.bytes + excluded.bytes", ch, n)
		if err != nil {
			return fmt.Errorf("count bytes: %w", err)
		}
	}
	for at, n := range h.Spoken {
		err := l.Do(`INSERT INTO activity (channel, hour, sender, messages) VALUES (?, ?, ?, ?)
			ON CONFLICT (channel, hour, sender) DO UPDATE SET messages = activity.messages + excluded.messages`, at.Channel, at.Hour, at.Sender, n)
		if err != nil {
			return fmt.Errorf("count messages: %w", err)
		}
	}
	return l.Do("UPDATE bus SET indexed_id = ?", h.Last())
}

// addWords adds them one by one: of a statement that adds many FTS5 takes note so that it could be undone alone, and
// writes out before it what it has gathered.
func (l *Log) addWords(table string, entries []ledger.Entry) error {
	stmt, err := l.conn.Prepare("INSERT INTO " + table + " (rowid, words) VALUES (?, ?)")
	for i := 0; i < len(entries) && err == nil; i++ {
		stmt.BindInt64(1, entries[i].ID)
		stmt.BindText(2, strings.Join(entries[i].Words, " "))
		err = run(stmt)
	}
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
// of entries has about 10 pages, and is merged four times until it lies in the largest piece of an index of millions.
const (
	mergePages = 8
	mergeSteps = 7 // after each batch
)

// merge puts pieces of a search index together, a few small steps.
func (db *DB) merge(table string) error {
	for range mergeSteps {
		err := db.log(func(l *Log) error {
			return l.Do("INSERT INTO "+table+" ("+table+", rank) VALUES ('merge', ?)", mergePages)
		})
		if err != nil {
			return fmt.Errorf("merge the search index: %w", err)
		}
	}
	return nil
}
