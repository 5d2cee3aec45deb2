package sqlite

import (
	"errors"
	"fmt"
	"time"

	lite "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// busyTimeout is how long a connection waits for the write lock.
const busyTimeout = 10 * time.Second

// Log is the connection over which messages come into the log and into the search index. It keeps its statements
// prepared, which database/sql's driver does not: a batch of 15 messages costs 190 us of CPU and not 565. Its methods are
// for one goroutine at a time, the one that has the Turn.
type Log struct {
	conn        *lite.Conn
	synchronous string // how the connection commits
}

// openLog opens the connection. The file is there, in WAL mode.
func openLog(path string) (*Log, error) {
	conn, err := lite.OpenConn(path, lite.OpenReadWrite)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	conn.SetBusyTimeout(busyTimeout)
	l := &Log{conn: conn, synchronous: onDisk}
	for _, pragma := range pragmas() {
		if err := l.Do("PRAGMA " + pragma); err != nil {
			return nil, errors.Join(fmt.Errorf("open the log: %w", err), conn.Close())
		}
	}
	return l, nil
}

// Do runs a statement.
func (l *Log) Do(query string, args ...any) error {
	return sqlitex.Execute(l.conn, query, &sqlitex.ExecOptions{Args: args})
}

// each runs a query and calls fn for each row, in which columns are counted from 0.
func (l *Log) each(query string, fn func(row *lite.Stmt), args ...any) error {
	return sqlitex.Execute(l.conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(row *lite.Stmt) error {
		fn(row)
		return nil
	}})
}

// run runs a statement that has its parameters and returns no rows, and makes it ready for the next ones.
func run(stmt *lite.Stmt) error {
	if _, err := stmt.Step(); err != nil {
		return err
	}
	return stmt.Reset()
}

// commitBy sets how to commit. SQLite sets it while it prepares the statement, which therefore must not be kept.
func (l *Log) commitBy(synchronous string) error {
	if l.synchronous == synchronous {
		return nil
	}
	if err := sqlitex.ExecuteTransient(l.conn, "PRAGMA synchronous = "+synchronous, nil); err != nil {
		return fmt.Errorf("set how to commit: %w", err)
	}
	l.synchronous = synchronous
	return nil
}

// transact runs fn in a transaction that holds the write lock.
func (l *Log) transact(fn func() error) error {
	if err := l.Do("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := fn()
	if err == nil {
		err = l.Do("COMMIT")
	}
	if err != nil && !l.conn.AutocommitEnabled() { // some errors roll back by themselves
		err = errors.Join(err, l.Do("ROLLBACK"))
	}
	return err
}

// log runs fn in a transaction of the log, in its turn, and returns when that is on disk.
func (db *DB) log(fn func(l *Log) error) error { return db.logBy(onDisk, fn) }

// derive does so for what can be made anew from the messages: a loss of power may take it back, as a whole.
func (db *DB) derive(fn func(l *Log) error) error { return db.logBy(later, fn) }

func (db *DB) logBy(synchronous string, fn func(l *Log) error) error {
	defer db.Turn.Take()()
	if err := db.Log.commitBy(synchronous); err != nil {
		return err
	}
	return db.Log.transact(func() error { return fn(db.Log) })
}

// close may be called twice.
func (l *Log) close() error {
	if l.conn == nil {
		return nil
	}
	defer func() { l.conn = nil }()
	return l.conn.Close()
}
