package backup

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"crosstalk/models/store/sqlite"
)

// opening is how long a restore waits for a process that is just opening or tending the database.
const opening = 5 * time.Second

// Restore puts what is in a file in the place of the database at db, whose messages are then those of the file. What
// was in db stays beside it, under the name that the report has.
func Restore(ctx context.Context, file, db string, opt Options) (r Report, err error) {
	if info, err := os.Stat(file); err == nil && sameFile(db, info) {
		return r, fmt.Errorf("%s is the database itself: name the copy to restore", file)
	}
	if _, err := look(ctx, file); err != nil {
		return r, fmt.Errorf("%s cannot be restored: %w", file, err)
	}
	if err := sqlite.MakeFolder(db); err != nil {
		return r, err
	}
	lock := sqlite.Lock(db)
	wait, cancel := context.WithTimeout(ctx, opening)
	defer cancel()
	if mine, err := lock.TryLockContext(wait, 5*time.Millisecond); !mine {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = inUse(db)
		}
		return r, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return replace(ctx, file, db, opt)
}

func inUse(db string) error {
	return fmt.Errorf("%s is in use: stop every crosstalk that has it open, AI clients with crosstalk mcp too, and try again", db)
}

// replace does so while nobody opens the database.
func replace(ctx context.Context, file, db string, opt Options) (r Report, err error) {
	place := db
	if real, err := filepath.EvalSymlinks(db); err == nil {
		place = real
	}
	temp := beside(place)
	defer func() { err = errors.Join(err, remove(temp)) }()
	old := true
	switch err := sqlite.Retire(ctx, place); {
	case errors.Is(err, sqlite.ErrInUse):
		return r, inUse(db)
	case err != nil: // it may be damaged: that is what copies are for
		if _, err := os.Stat(place); errors.Is(err, fs.ErrNotExist) {
			old = false
		}
	}
	if err := copied(ctx, file, temp, opt.Tell); err != nil {
		return r, fmt.Errorf("copy %s: %w", file, err)
	}
	if err := sqlite.Alone(ctx, temp, renew); err != nil {
		return r, fmt.Errorf("give the copy a bus_id of its own: %w", err)
	}
	if r, err = look(ctx, temp); err != nil {
		return r, fmt.Errorf("what was copied cannot be used: %w", err)
	}
	if err := sqlite.Sync(temp); err != nil {
		return r, err
	}
	r.File = db
	if old {
		if r.Kept, err = keep(place); err != nil {
			return r, err
		}
	}
	if err := os.Rename(temp, place); err != nil {
		if old {
			err = errors.Join(err, os.Rename(r.Kept, place))
		}
		return r, err
	}
	return r, sqlite.Sync(filepath.Dir(place))
}

// keep gives a database another name. A log that stands beside it, because it could not be written back, goes along.
func keep(place string) (kept string, err error) {
	kept = place + ".before-" + time.Now().UTC().Format("20060102T150405Z")
	if _, err := os.Lstat(kept); err == nil {
		kept += "-" + rand.Text()[:4]
	}
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Rename(place+end, kept+end); err != nil && (end == "" || !errors.Is(err, fs.ErrNotExist)) {
			return "", fmt.Errorf("put the old database aside: %w", err)
		}
	}
	return kept, nil
}

// renew makes of a copy a database of its own: with another bus_id, and without what processes held who used the first.
// Who signed in does so again: a session that was ended since would be open otherwise.
func renew(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	if _, err := tx.Exec("UPDATE bus SET bus_id = ?", hex.EncodeToString(id)); err != nil {
		return err
	}
	for _, table := range []string{"nodes", "waits", "mutual_waits", "sessions"} {
		var there bool // a copy may be older than the table
		if err := tx.QueryRow("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?)", table).Scan(&there); err != nil {
			return err
		}
		if !there {
			continue
		}
		if _, err := tx.Exec("DELETE FROM " + table); err != nil {
			return err
		}
	}
	return tx.Commit()
}
