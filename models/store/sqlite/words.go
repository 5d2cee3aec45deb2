package sqlite

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	lite "zombiezen.com/go/sqlite"

	"crosstalk/models/store/ledger"
)

// Contains says that a column has a text in it, in which a to z stand for A to Z too, and no other letter for another.
func (db *DB) Contains(column, text string) clause.Expr {
	return gorm.Expr("("+column+` LIKE ? ESCAPE '\' AND `+column+` LIKE ? ESCAPE '\')`, rarestFirst(text), "%"+escape(text)+"%")
}

// escape makes nothing of text special in a pattern.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// rarestFirst makes a pattern that a text can hardly match if it does not contain the piece, and that
// is quick to say so: it begins with the rarest letter of the piece, what stands before may be
// anything. SQLite looks for the first character of a pattern, then for the rest from there:
// where that is common it takes twice as long (11 ms for 20,000 messages, with the rarest 6).
func rarestFirst(piece string) string {
	const common = "zqxjkvbpygfwmucldrhsnioate " // the further behind, the more frequent
	first, rank := 0, len(common)
	for i, r := range piece {
		if at := strings.IndexRune(common, unicode.ToLower(r)); r < utf8.RuneSelf && at < rank {
			first, rank = i, at
		}
	}
	before, rest := piece[:first], piece[first:]
	return "%" + strings.Repeat("_", utf8.RuneCountInString(before)) + escape(rest) + "%"
}

// InChannel is the id: the index of a channel's messages ends with it.
func (db *DB) InChannel() string { return "id" }

// Index takes messages into the search index, and counts them.
func (db *DB) Index(_ context.Context, h *ledger.Harvest) error {
	if err := db.derive(func(l *Log) error { return l.index(h) }); err != nil {
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
		stmt.BindText(2, entries[i].Words)
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
		err := db.derive(func(l *Log) error {
			return l.Do("INSERT INTO "+table+" ("+table+", rank) VALUES ('merge', ?)", mergePages)
		})
		if err != nil {
			return fmt.Errorf("merge the search index: %w", err)
		}
	}
	return nil
}

// The search index that is being made anew grows in a table beside the one in use, takes its place when it knows as
// much, and the other one is then taken apart.
const (
	nextWords = "message_words_next"
	pastWords = "message_words_past"

	staleSpare = 10_000 // messages that may be in the index and not in the log, besides as many as there are in both
	pastPages  = 200    // of the past index that are removed at a time
)

// Renewal says whether the search index is to be made anew, and up to which message that has been done. It begins with
// that when most of the index is of messages that are no more. When it has been done it removes what is left of the
// past one, a little at each call; more says that there is more to remove.
func (db *DB) Renewal(ctx context.Context) (upTo int64, on, more bool, err error) {
	var past int64
	err = db.Reader(ctx).Raw("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?), EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)",
		nextWords, pastWords).Row().Scan(&on, &past)
	switch {
	case err != nil:
		return 0, false, false, fmt.Errorf("look for the next search index: %w", err)
	case past > 0:
		return 0, false, true, db.removePast(ctx)
	case on:
		err = db.Reader(ctx).Raw("SELECT coalesce(max(id), 0) FROM " + nextWords + "_docsize").Row().Scan(&upTo)
		return upTo, true, true, err
	}
	var stale, held int64
	err = db.Reader(ctx).Raw("SELECT stale, (SELECT coalesce(sum(message_count), 0) FROM channels) FROM bus").Row().Scan(&stale, &held)
	if err != nil || stale <= held+staleSpare {
		return 0, false, false, err
	}
	return 0, true, true, db.Transact(ctx, func(tx *gorm.DB) error {
		for _, statement := range []string{
			"CREATE VIRTUAL TABLE " + nextWords + ` USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = "ascii")`,
			"INSERT INTO " + nextWords + " (" + nextWords + ", rank) VALUES ('automerge', 0), ('crisismerge', 1999), ('deletemerge', 0), ('usermerge', 16)",
			"UPDATE bus SET stale_before = stale",
		} {
			if err := tx.Exec(statement).Error; err != nil {
				return fmt.Errorf("begin the search index anew: %w", err)
			}
		}
		return nil
	})
}

// Renew takes messages into the next search index, those that come after upTo, as far as the index in use knows them.
// If there are none the next one takes the place of the other.
func (db *DB) Renew(ctx context.Context, upTo int64, entries []ledger.Entry) error {
	if len(entries) > 0 {
		if err := db.derive(func(l *Log) error { return l.addWords(nextWords, entries) }); err != nil {
			return err
		}
		return db.merge(nextWords)
	}
	return db.Transact(ctx, func(tx *gorm.DB) error {
		var behind bool
		err := tx.Raw("SELECT EXISTS (SELECT 1 FROM messages WHERE id > ? AND id <= (SELECT indexed_id FROM bus))", upTo).Row().Scan(&behind)
		if err != nil || behind {
			return err
		}
		for _, statement := range []string{
			"ALTER TABLE message_words RENAME TO " + pastWords,
			"ALTER TABLE " + nextWords + " RENAME TO message_words",
			"UPDATE bus SET stale = stale - stale_before, stale_before = 0",
		} {
			if err := tx.Exec(statement).Error; err != nil {
				return fmt.Errorf("put the new search index in its place: %w", err)
			}
		}
		return nil
	})
}

// removePast removes some rows of the past index, and the table when none is left: at once it would take seconds.
func (db *DB) removePast(ctx context.Context) error {
	return db.Transact(ctx, func(tx *gorm.DB) error {
		for _, statement := range []string{
			"DELETE FROM " + pastWords + "_data WHERE id IN (SELECT id FROM " + pastWords + "_data ORDER BY id LIMIT ?)",
			"DELETE FROM " + pastWords + "_docsize WHERE id IN (SELECT id FROM " + pastWords + "_docsize ORDER BY id LIMIT 20 * ?)",
			"DELETE FROM " + pastWords + "_idx WHERE (segid, term) IN (SELECT segid, term FROM " + pastWords + "_idx ORDER BY segid, term LIMIT 5 * ?)",
		} {
			done := tx.Exec(statement, pastPages)
			if done.Error != nil || done.RowsAffected > 0 {
				return done.Error
			}
		}
		return tx.Exec("DROP TABLE " + pastWords).Error
	})
}
