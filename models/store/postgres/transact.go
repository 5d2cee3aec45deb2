package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"

	"crosstalk/models/store/ledger"
)

// The advisory locks, by the two numbers that name them in a database: for Transact and for migrations.
const (
	transactLock = "1668443248, 1"
	migrateLock  = "1668443248, 2"
)

// Transact runs fn in a transaction that holds the lock of all such transactions. Appends go on meanwhile, unless fn
// changes the bus. A transaction that comes to nothing is run anew.
func (db *DB) Transact(ctx context.Context, fn func(tx *gorm.DB) error) error {
	ctx = context.WithoutCancel(ctx)
	for try := 1; ; try++ {
		err := db.transact(ctx, fn)
		if err == nil || try == tries || errors.Is(err, ledger.ErrUnknown) || !again(err) {
			return err
		}
	}
}

func (db *DB) transact(ctx context.Context, fn func(tx *gorm.DB) error) error {
	conn, err := db.writes.Conn(ctx)
	if err != nil {
		return err
	}
	// Closed with a transaction still open, the connection is not used again.
	defer func() { _ = conn.Close() }()
	s := &session{conn: conn}
	begin := append(db.config.begin(), "SELECT pg_advisory_xact_lock("+transactLock+")")
	if _, err := s.run(ctx, strings.Join(begin, "; ")); err != nil {
		return err
	}
	tx := db.write.Session(&gorm.Session{Context: ctx, NewDB: true})
	tx.Statement.ConnPool = s
	if err := fn(tx); err != nil {
		_ = s.Rollback()
		return err
	}
	return s.Commit()
}

// session is a transaction as GORM wants it.
type session struct{ conn *sql.Conn }

// run sends statements without parameters in one go.
func (s *session) run(ctx context.Context, statements string) (tag pgconn.CommandTag, err error) {
	err = s.conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the connection is a %T", driver)
		}
		tag, err = c.Conn().Exec(ctx, statements)
		return err
	})
	return tag, err
}

// Commit commits; its error says whether it is known what became of the transaction.
func (s *session) Commit() error {
	tag, err := s.run(context.Background(), "COMMIT")
	switch {
	case err == nil && tag.String() != "COMMIT":
		return errors.New("a statement of the transaction had failed: it was not committed")
	case err == nil || aborted(err):
		return err
	}
	return fmt.Errorf("%w: %w", ledger.ErrUnknown, err)
}

// Rollback undoes the transaction. Where it cannot say so to the server, losing the connection does it.
func (s *session) Rollback() error {
	_, _ = s.run(context.Background(), "ROLLBACK")
	return nil
}

func (s *session) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return s.conn.PrepareContext(ctx, qualify(query))
}

func (s *session) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return s.conn.ExecContext(ctx, qualify(query), args...)
}

func (s *session) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.conn.QueryContext(ctx, qualify(query), args...)
}

func (s *session) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return s.conn.QueryRowContext(ctx, qualify(query), args...)
}
