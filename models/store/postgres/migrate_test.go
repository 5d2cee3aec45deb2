package postgres

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"crosstalk/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBothDatabasesHaveTheSameVersions(t *testing.T) {
	files, err := os.ReadDir("../sqlite/migrations")
	if err != nil {
		t.Fatal(err)
	}
	var theirs, ours []string
	for _, f := range files {
		theirs = append(theirs, strings.TrimSuffix(f.Name(), ".sql"))
	}
	for _, v := range versions() {
		ours = append(ours, v.name)
	}
	if !slices.Equal(ours, theirs) {
		t.Errorf("PostgreSQL has %q\nSQLite has %q", ours, theirs)
	}
}

// open opens a database until the test ends.
func open(t *testing.T, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{URL: url, Node: "test", Connections: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func read[T any](t *testing.T, db *DB, query string) (got T) {
	t.Helper()
	if err := db.reads.QueryRowContext(t.Context(), query).Scan(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhatIsNotOursIsNotTouched(t *testing.T) {
	url := pgtest.Start(t)
	db := open(t, url)
	for _, statement := range []string{
		"DROP SCHEMA crosstalk CASCADE", // as if nobody had been here
		"CREATE TABLE messages (id serial, content text)", "INSERT INTO messages (content) VALUES ('theirs')",
		"CREATE TABLE channels (x int)", "CREATE TABLE bus (x int)", "CREATE TABLE schema_version (version int)",
	} {
		if _, err := db.reads.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, url)
	if got := read[string](t, again, "SELECT string_agg(content, ',') FROM public.messages"); got != "theirs" {
		t.Errorf("their messages are %q", got)
	}
	if got := read[int](t, again, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"); got != 4 {
		t.Errorf("%d tables are in the public schema", got)
	}
	if got := read[string](t, again, "SELECT content FROM public.messages WHERE id = 1"); got != "theirs" {
		t.Error(got)
	}
}

func TestASchemaMadeByAnotherIsUsed(t *testing.T) {
	url := pgtest.Start(t)
	db := open(t, url)
	for _, statement := range []string{"DROP SCHEMA crosstalk CASCADE", "CREATE SCHEMA crosstalk"} {
		if _, err := db.reads.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if got := read[int](t, open(t, url), "SELECT count(*) FROM crosstalk.bus"); got != 1 {
		t.Errorf("%d buses", got)
	}
}

func TestStatusTellsTheVersion(t *testing.T) {
	url := pgtest.Start(t)
	version, known, err := Status(t.Context(), url)
	if err != nil || version != 0 || len(known) != len(versions()) || known[0] != "0001_bus" {
		t.Errorf("of an empty database: %d of %q, %v", version, known, err)
	}
	db := open(t, url)
	if version, _, err = Status(t.Context(), url); err != nil || version != len(known) {
		t.Errorf("of a new one: %d, %v", version, err)
	}
	if _, err := db.reads.ExecContext(t.Context(), "UPDATE crosstalk.schema_version SET version = 1000"); err != nil {
		t.Fatal(err)
	}
	if version, _, err = Status(t.Context(), url); err != nil || version != 1000 {
		t.Errorf("of a newer one: %d, %v", version, err)
	}
	again, err := Open(t.Context(), Options{URL: url, Node: "test", Connections: 5})
	if err == nil {
		_ = again.Close()
		t.Error("a database that is too new was opened")
	} else if !strings.Contains(err.Error(), "use a newer crosstalk") {
		t.Error(err)
	}
}
