package store

import (
	"context"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"crosstalk/internal/pgtest"
)

func TestPostgreSQL(t *testing.T) {
	contract(t, func(t testing.TB) database { return server(pgtest.Start(t)) })
}

// TestPostgreSQLThroughAPooler holds all promises again without anything that a session would have to remember.
func TestPostgreSQLThroughAPooler(t *testing.T) {
	contract(t, func(t testing.TB) database { return server(withParameter(pgtest.Start(t), "pgbouncer", "true")) })
}

// connect makes a connection to a database of its own, past every Store.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), withParameter(url, "pgbouncer", ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// change runs statements on it.
func change(t testing.TB, conn *pgx.Conn, statements string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), statements, args...); err != nil {
		t.Fatal(err)
	}
}

// server is a database of a PostgreSQL server.
func server(url string) database {
	return database{
		open: func(t testing.TB, opt Options) *Store {
			opt.URL = url
			return open(t, "", opt)
		},
		hold: func(t testing.TB) func() {
			conn := connect(t, url)
			taken := false
			eventually(t, "the lock is taken", func() bool {
				done, err := conn.Exec(context.Background(), "UPDATE crosstalk.tending SET node = 'test', until = 'infinity' WHERE until < now()")
				if err != nil {
					t.Error(err)
				}
				taken = err != nil || done.RowsAffected() == 1
				return taken
			})
			return sync.OnceFunc(func() { change(t, conn, "UPDATE crosstalk.tending SET until = '-infinity' WHERE node = 'test'") })
		},
		block: func(t testing.TB) func() {
			conn := connect(t, url)
			change(t, conn, "BEGIN; SELECT last_id FROM crosstalk.bus FOR UPDATE")
			release := sync.OnceFunc(func() { change(t, conn, "ROLLBACK") })
			t.Cleanup(release)
			return release
		},
		indexed: func(t testing.TB, s *Store) (ids []int64) {
			t.Helper()
			scan(t, s, &ids, "SELECT id FROM message_words ORDER BY id")
			return ids
		},
	}
}

// withParameter adds a parameter to a URL.
func withParameter(raw, name, value string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	q := u.Query()
	if q.Del(name); value != "" {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
