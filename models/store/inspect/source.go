package inspect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"crosstalk/models/store/postgres"
	"crosstalk/models/store/sqlite"
)

// Source is a database as it was when it was opened.
type Source struct {
	// Set by Open, then constant.
	file  string // empty: PostgreSQL
	index string // the table of the search index, and its key
	db    *sql.DB
	tx    *sql.Tx
	still func() error
}

// Open opens the SQLite file, or the PostgreSQL database if there is a URL.
func Open(ctx context.Context, file, url string) (s *Source, err error) {
	s = &Source{file: file, still: func() error { return nil }}
	var version, known int
	if url != "" {
		s.file, s.index = "", "message_words"
		version, known, err = s.openPostgres(ctx, url)
	} else {
		s.index = "message_words_docsize"
		version, known, err = s.openFile(ctx)
	}
	if err == nil && version != known {
		err = fmt.Errorf("the tables have version %d, this build knows %d: use the crosstalk that the hub is, or crosstalk migrate up first", version, known)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Source) openFile(ctx context.Context) (version, known int, err error) {
	if s.db, s.still, err = sqlite.ReadOnly(s.file); err != nil {
		return 0, 0, err
	}
	if s.tx, err = s.db.BeginTx(ctx, nil); err != nil {
		return 0, 0, err
	}
	if err := s.tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, 0, err
	}
	known, err = sqlite.Known()
	return version, known, err
}

func (s *Source) openPostgres(ctx context.Context, url string) (version, known int, err error) {
	version, names, err := postgres.Status(ctx, url)
	if err != nil {
		return 0, 0, err
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return 0, 0, err // pgx leaves passwords out
	}
	delete(config.RuntimeParams, "pgbouncer")           // is said to programs, not to the server
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // poolers know no prepared statements
	s.db = stdlib.OpenDB(*config)
	if s.tx, err = s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}); err != nil {
		return 0, 0, err
	}
	for _, set := range []string{"search_path = crosstalk", "statement_timeout = 0", "idle_in_transaction_session_timeout = 0"} {
		if _, err := s.tx.ExecContext(ctx, "SET LOCAL "+set); err != nil {
			return 0, 0, err
		}
	}
	return version, len(names), nil
}

// Close lets go of it.
func (s *Source) Close() error {
	if s.tx != nil {
		_ = s.tx.Rollback() // nothing was written
	}
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// each calls do with every row of a query, which scans it.
func (s *Source) each(ctx context.Context, query string, do func(scan func(...any) error) error) error {
	rows, err := s.tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
