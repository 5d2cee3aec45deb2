package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	dialect "github.com/glebarez/sqlite"
	"github.com/gofrs/flock"
	"golang.org/x/mod/semver"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"crosstalk/models/store/turns"
)

const (
	driver = "sqlite"
	// minVersion is the first SQLite whose WAL cannot be corrupted by a checkpoint that races with a reset.
	minVersion = "v3.51.3"
	// readers is small because this SQLite serialises its page caches: more gain nothing.
	readers = 4
)

// How a connection commits.
const (
	onDisk = "FULL"   // with an fsync
	later  = "NORMAL" // on disk with the next commit that is, which comes after it in the same file
)

// pragmas are the settings of connections that write. They keep 4 MB of pages: what they write is next to what they wrote
// last, and with 16 MB, each page of which is an allocation of 8 KB, a message costs 1 us more until that is full.
func pragmas() []string {
	return []string{"synchronous = " + onDisk, "journal_size_limit = 67108864", "cache_size = -4000", "temp_store = MEMORY"}
}

// DB is an open database: Write has one connection, whose transactions take the write lock at
// their beginning; Read sees what is committed.
type DB struct {
	Write, Read *sql.DB
	Log         *Log        // writes, too
	Turn        *turns.Turn // to be taken around each transaction of Write and Log

	*file
	wal         fs.FileInfo // of its log
	write, read *gorm.DB    // the same two
	tend        *flock.Flock
	ends        ends // owned by who has the turn
}

// Open opens or creates the database file and brings its tables up to date. Call it with the Lock held: switching to WAL does not
// wait for other processes as everything else does.
func Open(ctx context.Context, path string) (*DB, error) {
	if err := ours(ctx, path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil { // the system says why, SQLite only that
		return nil, fmt.Errorf("open the database: %w", err)
	}
	place, err := f.Stat()
	_ = f.Close() // created with our mode; SQLite gives its -wal and -shm the same
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	write, err := sql.Open(driver, dsn(path, "immediate", append([]string{"auto_vacuum = INCREMENTAL", "journal_mode = WAL"}, pragmas()...)...))
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	write.SetMaxOpenConns(1)
	write.SetConnMaxLifetime(0)
	read := sql.OpenDB(&connector{write.Driver(), dsn(path, "deferred", "query_only = 1", "cache_size = -16000", "temp_store = MEMORY"), &file{path, place}})
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	db := &DB{Write: write, Read: read, Turn: turns.New(path), file: &file{path, place}, tend: Lock(path)}
	if err = db.check(ctx); err == nil {
		err = migrate(ctx, write)
	}
	if err == nil {
		db.Log, err = openLog(path)
	}
	if err == nil {
		err = db.wrap()
	}
	if err == nil {
		db.wal, err = os.Stat(path + "-wal")
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// MakeFolder makes the folder of the database, for its owner alone, if there is none.
func MakeFolder(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the database's folder: %w", err)
	}
	return nil
}

// dsn names the file so that no character of its path is taken for a parameter. The driver ignores
// _txlock when _time_format is given, so that one never is.
func dsn(path, txlock string, pragmas ...string) string {
	busy := fmt.Sprintf("busy_timeout = %d", busyTimeout.Milliseconds())
	q := url.Values{"_txlock": {txlock}, "_pragma": append([]string{busy}, pragmas...)}
	name := &url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()}
	return name.String() + "?" + q.Encode()
}

func (db *DB) check(ctx context.Context) error {
	var version, mode string
	var sync int
	if err := db.Write.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if err := sound(version); err != nil {
		return err
	}
	if err := db.Write.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("read the journal mode: %w", err)
	}
	if err := db.Write.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&sync); err != nil {
		return fmt.Errorf("read the sync mode: %w", err)
	}
	if mode != "wal" || sync != 2 {
		return fmt.Errorf("the database is in journal mode %s, synchronous %d, where wal and 2 are needed: is its file system writable and local?", mode, sync)
	}
	return nil
}

// sound refuses versions of SQLite that are not safe to use.
func sound(version string) error {
	if semver.Compare("v"+version, minVersion) < 0 {
		return fmt.Errorf("SQLite %s can corrupt its log; this build needs %s or newer", version, strings.TrimPrefix(minVersion, "v"))
	}
	return nil
}

// wrap gives GORM the two handles.
func (db *DB) wrap() (err error) {
	config := &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true, DisableAutomaticPing: true}
	if db.write, err = gorm.Open(&dialect.Dialector{Conn: db.Write}, config); err == nil {
		db.read, err = gorm.Open(&dialect.Dialector{Conn: db.Read}, config)
	}
	return err
}

// Reader reads what is committed, without interruption: an interrupted statement leaves this driver's connection in
// doubt, and every statement is bounded.
func (db *DB) Reader(ctx context.Context) *gorm.DB {
	return db.read.WithContext(context.WithoutCancel(ctx))
}

// Transact runs fn in a transaction that holds the write lock.
func (db *DB) Transact(ctx context.Context, fn func(tx *gorm.DB) error) error {
	defer db.Turn.Take()()
	// A statement interrupted half way leaves this driver's connection in doubt: let it end.
	return db.write.WithContext(context.WithoutCancel(ctx)).Transaction(fn, &sql.TxOptions{})
}

// Tend makes this process the one that tends the database, until done is called; done is nil if another one is.
// Before it lets go it gives back free room.
func (db *DB) Tend(ctx context.Context) (done func() error, err error) {
	if mine, err := db.tend.TryLock(); err != nil || !mine {
		return nil, err
	}
	return func() error { return errors.Join(db.shrink(ctx), db.tend.Unlock()) }, nil
}

// Close closes all handles; the last process to close writes the WAL back.
func (db *DB) Close() error {
	err := db.Read.Close()
	if db.Log != nil {
		err = errors.Join(err, db.Log.close())
	}
	db.Turn.Close()
	return errors.Join(err, db.Write.Close(), db.putAside())
}

// Lock is the lock that processes on one database share: for opening, migrating and tending it.
func Lock(path string) *flock.Flock { return flock.New(path+".lock", flock.SetPermissions(0o600)) }
