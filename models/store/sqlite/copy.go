package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	lite "github.com/glebarez/go-sqlite"
)

// ErrInUse says that another process has a database open.
var ErrInUse = errors.New("another process has the database open")

// Copy writes what is committed in a database, at one moment, into a new file that only its owner may read. Who writes
// to the database does not wait for it.
func Copy(ctx context.Context, from, to string) error {
	db, still, err := ReadOnly(from)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_ = f.Close()
	// The file is read only all the same. With query_only SQLite would not write to the new one either.
	if _, err := db.ExecContext(ctx, "PRAGMA query_only = 0"); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	if err := still(); err != nil {
		return err
	}
	return Sync(to)
}

// Sync puts a file on disk, or a folder with the names in it.
func Sync(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil { // a folder
		f, err = os.Open(path)
	}
	if err != nil {
		return err
	}
	err = f.Sync()
	if info, serr := f.Stat(); serr == nil && info.IsDir() {
		err = nil // not every system syncs folders
	}
	return errors.Join(err, f.Close())
}

// Whole reads all of a database and says what is broken in it, or nil. Of a past search index that is being taken apart FTS5
// says, rightly, that parts are missing; the pages and rows that are left of it are looked at like all others.
func Whole(ctx context.Context, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) error {
	rows, err := db.QueryContext(ctx, "PRAGMA integrity_check(5)")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var said string
		if err := rows.Scan(&said); err != nil {
			return err
		}
		if said != "ok" && !(strings.Contains(strings.ToLower(said), "fts5") && strings.Contains(said, pastWords)) {
			return fmt.Errorf("the database is damaged: %s", said)
		}
	}
	return rows.Err()
}

// Known is the newest version of the schema that this build knows.
func Known() (int, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	return len(files), err
}

// Retire puts all of a database into its one file, without a log beside it. It takes that nobody else has it open, or
// the answer is ErrInUse.
func Retire(ctx context.Context, path string) (err error) {
	return Alone(ctx, path, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "PRAGMA journal_mode = DELETE")
		if e, ok := errors.AsType[*lite.Error](err); ok && e.Code()&0xff == 5 { // SQLITE_BUSY
			return ErrInUse
		}
		return err
	})
}

// Alone runs fn on one connection to a file.
func Alone(ctx context.Context, path string, fn func(db *sql.DB) error) (err error) {
	db, err := sql.Open(driver, dsn(path, "immediate", "synchronous(FULL)")+"&mode=rw")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "PRAGMA busy_timeout = 1000"); err != nil {
		return err
	}
	return fn(db)
}
