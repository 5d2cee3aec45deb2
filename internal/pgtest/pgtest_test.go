package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func change(t *testing.T, url, statement string) {
	t.Helper()
	conn := connect(t, url)
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func query(t *testing.T, url, statement string) (got string) {
	t.Helper()
	conn := connect(t, url)
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), statement).Scan(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	a, b := Start(t), Start(t)
	change(t, a, "CREATE TABLE x (n int)")
	if got := query(t, b, "SELECT count(*)::text FROM pg_tables WHERE tablename = 'x'"); got != "0" {
		t.Errorf("a table of another test is here")
	}
}

func TestWhatWasWrittenSurvivesAKill(t *testing.T) {
	c := New(t, "work_mem = '5MB'")
	url := c.Database(t)
	change(t, url, "CREATE TABLE x AS SELECT 42 AS n")
	c.Kill(t)
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		_ = conn.Close(t.Context())
		t.Error("a killed cluster answers")
	}
	c.Start(t)
	if got := query(t, url, "SELECT n::text FROM x"); got != "42" {
		t.Errorf("%s is there", got)
	}
	if got := query(t, url, "SHOW work_mem"); got != "5MB" {
		t.Errorf("work_mem is %s", got)
	}
	c.Stop(t)
	c.Start(t)
}
