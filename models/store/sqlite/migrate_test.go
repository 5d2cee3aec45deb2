package sqlite

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// schema is every table and index with its text.
func schema(t *testing.T, db *sql.DB) (list []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func TestEveryOlderVersionIsBroughtUpToDate(t *testing.T) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	fresh := open(t, filepath.Join(t.TempDir(), "fresh.db"))
	want := schema(t, fresh.Read)
	for version := 1; version <= len(entries); version++ {
		path := filepath.Join(t.TempDir(), "bus.db")
		old, err := sql.Open(driver, dsn(path, "immediate", "journal_mode(WAL)"))
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range entries[:version] {
			if err := apply(t.Context(), old, "migrations/"+e.Name(), i+1); err != nil {
				t.Fatal(err)
			}
		}
		for _, query := range []string{
			"UPDATE bus SET last_id = 1, last_at = 5, indexed_id = 1",
			"INSERT INTO messages (id, seq, channel, sender, kind, verified, message_type, created_at, content) VALUES (1, 1, 'general', 'alice', 'agent', 0, 'message', 5, 'hi')",
			"UPDATE channels SET last_seq = 1, message_count = 1, last_id = 1, last_message_at = 5",
			"INSERT INTO instances (id, kind, registered_id, last_seen) VALUES ('alice', 'agent', 0, 5)",
			"INSERT INTO message_words (rowid, words) VALUES (1, 'hi')",
		} {
			if _, err := old.Exec(query); err != nil {
				t.Fatal(version, err)
			}
		}
		bus := read[string](t, old, "SELECT bus_id FROM bus")
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to do
			db := open(t, path)
			if got := schema(t, db.Read); !slices.Equal(got, want) {
				t.Errorf("from version %d:\n%s\nnew:\n%s", version, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if got := read[int](t, db.Read, "PRAGMA user_version"); got != len(entries) {
				t.Errorf("from version %d to %d", version, got)
			}
			for query, want := range map[string]string{
				"SELECT bus_id || last_id FROM bus":                                bus + "1",
				"SELECT content FROM messages":                                     "hi",
				"SELECT rowid FROM message_words WHERE message_words MATCH 'hi'":   "1",
				"SELECT message_count FROM channels WHERE name = 'general'":        "1",
				"SELECT id || last_seen FROM instances":                            "alice5",
				"SELECT group_concat(integrity_check) FROM pragma_integrity_check": "ok",
				"SELECT count(*) FROM pragma_foreign_key_check":                    "0",
			} {
				if got := read[string](t, db.Read, query); got != want {
					t.Errorf("from version %d, %s: %q, want %q", version, query, got, want)
				}
			}
		}
	}
}

func TestADatabaseOfAnotherProgramIsLeftAlone(t *testing.T) {
	for _, table := range []string{"messages", "bookmarks"} {
		path := filepath.Join(t.TempDir(), "theirs.db")
		foreign, err := sql.Open(driver, dsn(path, "immediate"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := foreign.Exec("CREATE TABLE " + table + " (theirs TEXT); PRAGMA user_version = 3"); err != nil {
			t.Fatal(err)
		}
		if err := foreign.Close(); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		db, err := Open(t.Context(), path)
		if err == nil {
			_ = db.Close()
			t.Fatal("a foreign database was taken over")
		}
		if !strings.Contains(err.Error(), "belongs to another program, which keeps "+table+" in it") {
			t.Error(err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("it was changed, or cannot be read: %v", err)
		}
	}
}

func TestAMigrationIsAllOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	broken, err := sql.Open(driver, dsn(path, "immediate"))
	if err != nil {
		t.Fatal(err)
	}
	// A table stands where one of ours should.
	if _, err := broken.Exec("CREATE TABLE messages (theirs TEXT); INSERT INTO messages VALUES ('kept')"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := migrate(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "migrate") {
			t.Error(err)
		}
		if got := schema(t, broken); len(got) != 1 || !strings.HasPrefix(got[0], "messages: ") {
			t.Errorf("left behind: %q", got)
		}
		if got := read[string](t, broken, "SELECT theirs FROM messages"); got != "kept" {
			t.Errorf("their row is %q", got)
		}
		if got := read[int](t, broken, "PRAGMA user_version"); got != 0 {
			t.Errorf("version %d", got)
		}
	}
	if err := broken.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMigrationsAreNumberedWithoutAHole(t *testing.T) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(e.Name(), want) {
			t.Errorf("%s does not begin with %s", e.Name(), want)
		}
	}
	db := open(t, filepath.Join(t.TempDir(), "bus.db"))
	if err := apply(t.Context(), db.Write, "migrations/"+entries[0].Name(), 2); err == nil || !strings.Contains(err.Error(), "number 2") {
		t.Errorf("a migration was applied out of order: %v", err)
	}
}
