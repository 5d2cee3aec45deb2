package imports

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/glebarez/go-sqlite"
	_ "github.com/jackc/pgx/v5/stdlib"

	"crosstalk/internal/pgtest"
)

// foreign is a database as a cross-claude-mcp leaves it.
type foreign struct {
	where string
	db    *sql.DB
	t     *testing.T
}

// tables are those of its newest version.
const tables = `
CREATE TABLE channels (name TEXT PRIMARY KEY, description TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE messages (id SERIAL PRIMARY KEY, channel TEXT NOT NULL, sender TEXT NOT NULL, content TEXT NOT NULL,
	message_type TEXT DEFAULT 'message', in_reply_to INTEGER, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE instances (instance_id TEXT PRIMARY KEY, description TEXT, last_seen TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
	status TEXT DEFAULT 'online', session_token TEXT);
CREATE TABLE shared_data (key TEXT PRIMARY KEY, content TEXT NOT NULL, created_by TEXT NOT NULL, description TEXT,
	created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE read_cursors (channel TEXT NOT NULL, instance_id TEXT NOT NULL, last_read_id INTEGER NOT NULL,
	updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (channel, instance_id));
INSERT INTO channels (name, description) VALUES ('general', 'Default channel for cross-instance communication');
`

func onSQLite(t *testing.T) *foreign {
	t.Helper()
	where := filepath.Join(t.TempDir(), "messages.db")
	f := &foreign{where: where, t: t}
	var err error
	if f.db, err = sql.Open("sqlite", "file:"+where+"?_pragma=journal_mode(WAL)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.db.Close() })
	f.exec(strings.NewReplacer("SERIAL PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT",
		"TIMESTAMP DEFAULT CURRENT_TIMESTAMP", "TEXT DEFAULT (datetime('now'))").Replace(tables))
	return f
}

func onPostgres(t *testing.T) *foreign {
	t.Helper()
	where := pgtest.Start(t)
	f := &foreign{where: where, t: t}
	var err error
	// The tests' user has the name of our schema, which would be searched first.
	if f.db, err = sql.Open("pgx", where+"&search_path=public"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.db.Close() })
	f.exec(tables)
	f.where += "&pgbouncer=true"
	return f
}

func (f *foreign) exec(statements ...string) {
	f.t.Helper()
	for _, s := range statements {
		if _, err := f.db.ExecContext(context.Background(), s); err != nil {
			f.t.Fatalf("%s: %v", s, err)
		}
	}
}

// talk is what a small team has said.
func (f *foreign) talk() {
	f.t.Helper()
	f.exec(`INSERT INTO channels (name, description, created_at) VALUES ('auth-dev', 'Login', '2026-01-02 03:04:05'), ('quiet', NULL, '2026-01-02 03:04:06')`,
		`INSERT INTO messages (id, channel, sender, content, message_type, in_reply_to, created_at) VALUES
			(1, 'general', 'alice', 'hello', 'message', NULL, '2026-02-01 10:00:00'),
			(2, 'auth-dev', 'bob', 'Grüße, 日本 "so"', 'request', NULL, '2026-02-01 10:00:01'),
			(3, 'auth-dev', 'alice', 'done', 'response', 2, '2026-02-01 10:00:02'),
			(4, 'auth-dev', 'carol', 'me too', 'response', 2, '2026-02-02 09:00:00'),
			(5, 'general', 'bob', 'bye', 'done', 1, '2026-02-02 10:00:00')`,
		`INSERT INTO instances (instance_id, description, last_seen, status) VALUES ('alice', 'frontend', '2026-02-02 10:00:00', 'online'), ('bob', NULL, '2026-02-01 10:00:00', 'offline')`,
		`INSERT INTO shared_data (key, content, created_by, description, created_at) VALUES ('plan/v1', 'first this, then that', 'alice', 'the plan', '2026-02-01 11:00:00')`,
		`INSERT INTO read_cursors (channel, instance_id, last_read_id) VALUES ('auth-dev', 'bob', 3), ('general', 'alice', 1)`)
}

// state is all that its tables hold, and the bytes of its file.
func (f *foreign) state() string {
	f.t.Helper()
	var all strings.Builder
	for _, table := range []string{"channels", "messages", "instances", "shared_data", "read_cursors"} {
		rows, err := f.db.QueryContext(context.Background(), "SELECT * FROM "+table+" ORDER BY 1, 2")
		if err != nil {
			f.t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			f.t.Fatal(err)
		}
		all.WriteString(table + " " + strings.Join(columns, ",") + "\n")
		for rows.Next() {
			row := make([]sql.NullString, len(columns))
			into := make([]any, len(row))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rows.Scan(into...); err != nil {
				f.t.Fatal(err)
			}
			for _, v := range row {
				all.WriteString(v.String + "|")
			}
			all.WriteString("\n")
		}
		if err := rows.Err(); err != nil {
			f.t.Fatal(err)
		}
		_ = rows.Close()
	}
	if !URL(f.where) {
		b, err := os.ReadFile(f.where)
		if err != nil {
			f.t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}
