package sqlite

import (
	"context"
	"fmt"
	"time"
)

const (
	shrinkBatch = 256                    // pages a transaction, a mebibyte: writers wait no longer than that takes (2.5 ms, the first 11)
	shrinkTurn  = 100 * time.Millisecond // of each turn of tending
	shrinkSpare = 512                    // free pages that stay, besides a tenth of the file: they are soon used again
)

// shrink gives back to the file system what retention has left free in the file, a small batch at a time.
func (db *DB) shrink(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // an interrupted statement leaves this driver's connection in doubt
	before := 0
	for end := time.Now().Add(shrinkTurn); time.Now().Before(end); {
		var free, all int
		const query = "SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count"
		if err := db.Read.QueryRowContext(ctx, query).Scan(&free, &all); err != nil {
			return fmt.Errorf("look for free pages: %w", err)
		}
		if free <= shrinkSpare+all/10 || free == before { // or the file was made so that it cannot shrink
			return nil
		}
		before = free
		if err := db.giveBack(ctx); err != nil {
			return fmt.Errorf("give back free pages: %w", err)
		}
	}
	return nil
}

// giveBack goes through all rows of the answer: SQLite gives back a page for each.
func (db *DB) giveBack(ctx context.Context) error {
	defer db.Turn.Take()()
	rows, err := db.Write.QueryContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", shrinkBatch))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		continue
	}
	return rows.Err()
}
