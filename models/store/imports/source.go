package imports

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"crosstalk/models"
	"crosstalk/models/store/sqlite"
)

// Source is a database of cross-claude-mcp, opened for reading: all that is read is of one moment.
type Source struct {
	name   string
	db     *sql.DB
	tx     *sql.Tx
	schema string              // with a dot behind it; empty on SQLite
	tables map[string][]string // their columns
	still  func() error        // an error if what was read may be of several moments
}

// Open opens it, by a file's path or a PostgreSQL URL.
func Open(ctx context.Context, where string) (s *Source, err error) {
	s = &Source{name: where, still: func() error { return nil }}
	defer func() {
		if err != nil {
			_ = s.Close()
			s = nil
		}
	}()
	if URL(where) {
		err = s.openPostgres(ctx, where)
	} else {
		err = s.openFile(ctx, where)
	}
	if err != nil {
		return s, fmt.Errorf("open %s: %w", s.name, err)
	}
	return s, s.check()
}

// URL says whether a text names a PostgreSQL database and no file.
func URL(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

func (s *Source) openFile(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		if err == nil {
			err = fmt.Errorf("%s is a folder: name the file in it, which is messages.db", path)
		}
		return err
	}
	var err error
	if s.db, s.still, err = sqlite.ReadOnly(path); err != nil {
		return err
	}
	if s.tx, err = s.db.BeginTx(ctx, nil); err != nil {
		return err
	}
	return s.columns(ctx, `SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'`)
}

func (s *Source) openPostgres(ctx context.Context, where string) error {
	config, err := pgx.ParseConfig(where)
	if err != nil {
		s.name = "the database"
		return err // pgx leaves passwords out
	}
	if u, err := url.Parse(where); err == nil {
		s.name = u.Redacted()
	}
	delete(config.RuntimeParams, "pgbouncer")           // is said to programs, not to the server
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // poolers know no prepared statements
	s.db = stdlib.OpenDB(*config)
	if s.tx, err = s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}); err != nil {
		return err
	}
	// The tables are wherever the predecessor's connections first looked, which as a rule is public.
	const find = `SELECT table_schema FROM information_schema.columns WHERE table_name = 'messages' AND column_name IN ('id', 'channel', 'sender', 'content')
		AND table_schema NOT IN (SELECT table_schema FROM information_schema.columns WHERE table_name = 'bus' AND column_name = 'bus_id')
		GROUP BY table_schema HAVING count(*) = 4 ORDER BY table_schema <> 'public', table_schema LIMIT 1`
	var schema string
	switch err := s.tx.QueryRowContext(ctx, find).Scan(&schema); err {
	case nil:
	case sql.ErrNoRows:
		return nil
	default:
		return err
	}
	s.schema = pgx.Identifier{schema}.Sanitize() + "."
	return s.columns(ctx, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1", schema)
}

// columns notes which tables there are.
func (s *Source) columns(ctx context.Context, query string, args ...any) error {
	rows, err := s.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	s.tables = map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return err
		}
		s.tables[table] = append(s.tables[table], column)
	}
	return rows.Err()
}

// check refuses what is no database of cross-claude-mcp.
func (s *Source) check() error {
	has := func(table string, columns ...string) bool {
		return !slices.ContainsFunc(columns, func(c string) bool { return !slices.Contains(s.tables[table], c) })
	}
	switch {
	case has("bus", "bus_id"):
		return models.Errorf(models.Invalid, "%s is a database of crosstalk itself: nothing needs to be imported from it", s.name)
	case !has("messages", "id", "channel", "sender", "content"):
		return &None{s.name}
	case has("messages", "tenant_id"):
		return models.Errorf(models.Invalid, "%s keeps the messages of several tenants: only a hub of one team can be imported", s.name)
	}
	return nil
}

// None says that a database has no tables of cross-claude-mcp.
type None struct{ name string }

func (n *None) Error() string {
	return n.name + " has no tables of cross-claude-mcp: there is no table messages with id, channel, sender and content"
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

// Name is its path, or its URL without the password.
func (s *Source) Name() string { return s.name }

// count counts the rows of a table; 0 where there is none.
func (s *Source) count(ctx context.Context, table string) (n int64, err error) {
	if s.tables[table] != nil {
		err = s.tx.QueryRowContext(ctx, "SELECT count(*) FROM "+s.schema+table).Scan(&n)
	}
	return n, err
}

// each calls do with the named columns of all rows of a table, in the order of the first. What the table does not have
// is nil.
func (s *Source) each(ctx context.Context, table string, columns []string, do func(row []any) error) error {
	if s.tables[table] == nil {
		return nil
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		if list[i] = c; !slices.Contains(s.tables[table], c) {
			list[i] = "NULL"
		}
	}
	rows, err := s.tx.QueryContext(ctx, "SELECT "+strings.Join(list, ", ")+" FROM "+s.schema+table+" ORDER BY 1")
	if err != nil {
		return s.unreadable(ctx, table, err)
	}
	defer func() { _ = rows.Close() }()
	row, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return s.unreadable(ctx, table, err)
		}
		if err := do(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return s.unreadable(ctx, table, err)
	}
	return nil
}

// unreadable tells that it is not our own database that fails, unless the caller has given up.
func (s *Source) unreadable(ctx context.Context, table string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return models.Errorf(models.Unavailable, "table %s of %s cannot be read: %v", table, s.name, err)
}
