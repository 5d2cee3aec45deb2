package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	dialect "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// MinConnections are needed: one that appends, one for other changes, one that reads.
const MinConnections = 3

// tries is how often a transaction is run that comes to nothing for reasons that pass.
const tries = 4

// Options say which database, and how.
type Options struct {
	URL         string
	Node        string // this process
	Connections int    // at most
}

// DB is an open database.
type DB struct {
	// Set by Open, then constant.
	node          string
	config        config
	reads, writes *sql.DB
	read, write   *gorm.DB
	patience      time.Duration // with the look-up of a commit; longer than a transaction may stand still whose client is gone

	// Guarded by mu.
	mu     sync.Mutex // one append at a time
	conn   *pgx.Conn  // of the appends; nil until one is needed
	batch  int64      // the last one that was sent
	closed bool
}

// Open opens the database and brings its tables up to date.
func Open(ctx context.Context, opt Options) (*DB, error) {
	if opt.Connections < MinConnections {
		return nil, fmt.Errorf("at least %d connections are needed, not %d", MinConnections, opt.Connections)
	}
	c, err := parse(opt.URL)
	if err != nil {
		return nil, explain(err)
	}
	if err := migrate(ctx, c); err != nil {
		return nil, explain(err)
	}
	db := &DB{node: opt.Node, config: c, patience: stillTime + 5*time.Second, reads: pool(c, opt.Connections-2), writes: pool(c, 1)}
	if db.read, err = db.wrap(db.reads); err == nil {
		db.write, err = db.wrap(db.writes)
	}
	if err == nil {
		err = db.sweep(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func pool(c config, most int) *sql.DB {
	p := stdlib.OpenDB(*c.ConnConfig)
	p.SetMaxOpenConns(most)
	p.SetMaxIdleConns(most)
	p.SetConnMaxIdleTime(5 * time.Minute)
	p.SetConnMaxLifetime(time.Hour)
	return p
}

func (db *DB) wrap(p *sql.DB) (*gorm.DB, error) {
	config := &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true, DisableAutomaticPing: true}
	return gorm.Open(dialect.New(dialect.Config{Conn: &reader{db: p}}), config)
}

// sweep forgets processes that are no more.
func (db *DB) sweep(ctx context.Context) error {
	_, err := db.writes.ExecContext(ctx, "DELETE FROM crosstalk.writers WHERE at < now() - interval '1 day'")
	return err
}

// Reader reads what is committed. It does not heed ctx's end.
func (db *DB) Reader(ctx context.Context) *gorm.DB {
	return db.read.WithContext(context.WithoutCancel(ctx))
}

// Close closes all connections.
func (db *DB) Close() error {
	db.mu.Lock()
	db.closed = true
	db.drop()
	db.mu.Unlock()
	return errors.Join(db.reads.Close(), db.writes.Close())
}

// lease is how long a process tends the database if it does not say that it has done.
const lease = "10 seconds"

// Tend makes this process the one that tends the database, until done is called; done is nil if another one is. The
// lock is a row, because one that belongs to a session cannot be held through a pooler.
func (db *DB) Tend(ctx context.Context) (done func() error, err error) {
	const take = "UPDATE crosstalk.tending SET node = $1, until = now() + $2::interval WHERE node = $1 OR until < now()"
	took, err := db.reads.ExecContext(ctx, take, db.node, lease)
	if err != nil {
		return nil, err
	}
	if n, err := took.RowsAffected(); err != nil || n == 0 {
		return nil, err
	}
	return func() error {
		_, err := db.reads.ExecContext(context.WithoutCancel(ctx), "UPDATE crosstalk.tending SET until = '-infinity' WHERE node = $1", db.node)
		return err
	}, nil
}

// lost says that the connection is gone, and with it the answer.
func lost(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "conn closed")
}
