package main

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"crosstalk/internal/pgtest"
)

// withPassword names a user with a password, for which the tests' cluster does not ask.
func withPassword(url string) string {
	return strings.Replace(url, "crosstalk@", "crosstalk:s3cret@", 1)
}

func TestHubsOnPostgreSQLAreOne(t *testing.T) {
	home := t.TempDir()
	getenv := env("DATABASE_URL", withPassword(pgtest.Start(t)), "HOME", home)
	a, b := start(t, "", getenv), start(t, "", getenv)
	c := client(t)
	var health struct {
		Database string
		BusID    string `json:"bus_id"`
	}
	if call(t, c, a.url+"/health", nil, &health); health.Database != "postgresql" {
		t.Errorf("/health: %+v", health)
	}
	socket := dial(t, b.url, "channels=room", 2)
	id := post(t, c, a.url, "room", "a quokka")
	if got, err := contentOf(t.Context(), socket); err != nil || got != "a quokka" {
		t.Errorf("over the other's WebSocket: %q, %v", got, err)
	}
	for name, path := range map[string]string{"the page": "/api/messages/room", "what was searched": "/api/search?q=quokka", "a piece": "/api/search?q=quok"} {
		var p page
		if call(t, c, b.url+path, nil, &p); len(p.Messages) != 1 || p.Messages[0].ID != id || p.Messages[0].Content != "a quokka" {
			t.Errorf("%s has %+v", name, p)
		}
	}
	var data struct {
		Content string
		Version int
	}
	for range 2 {
		call(t, c, a.url+"/api/data", map[string]string{"key": "plan", "content": "x", "sender": "alice"}, nil)
	}
	if status := call(t, c, b.url+"/api/data/plan", nil, &data); status != http.StatusOK || data.Content != "x" || data.Version != 2 {
		t.Errorf("shared data: %d %+v", status, data)
	}
	for _, r := range []*running{a, b} {
		if err := r.end(t); err != nil {
			t.Error(err)
		}
		if log := r.stderr.String() + r.stdout.String(); strings.Contains(log, "s3cret") || !strings.Contains(log, "postgres://127.0.0.1:") {
			t.Errorf("the log tells the password, or not which database:\n%s", log)
		}
	}
	again := start(t, "", getenv)
	if next := post(t, c, again.url, "room", "more"); next != id+1 {
		t.Errorf("the next id is %d after %d", next, id)
	}
	var after page
	if call(t, c, again.url+"/api/messages/room", nil, &after); len(after.Messages) != 2 || after.BusID != health.BusID {
		t.Errorf("after a restart: %+v, the bus was %s", after, health.BusID)
	}
	if _, err := os.Stat(filepath.Join(home, ".crosstalk")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a folder for SQLite: %v", err)
	}
}

func TestAFileThatIsNamedGoesBeforeAVariable(t *testing.T) {
	db := dbIn(t)
	start(t, db, env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"))
	if _, err := os.Stat(db); err != nil {
		t.Error(err)
	}
}

func TestCommandsTakeThePoolersSettings(t *testing.T) {
	url := pgtest.Start(t)
	pooled := url + "&pgbouncer=true"
	if got := does(t, env("DATABASE_URL", pooled), "", "send", "room", "x"); got.code != 0 || !strings.Contains(got.errs, "DATABASE_LISTEN_URL") {
		t.Errorf("without a way past the pooler: %v, %s", got.err, got.errs)
	}
	getenv := env("DATABASE_URL", pooled, "DATABASE_LISTEN_URL", url, "CROSSTALK_DATABASE_CONNECTIONS", "3")
	if got := does(t, getenv, "", "export", "room"); got.code != 0 || got.errs != "" || !strings.Contains(got.out, `"content":"x"`) {
		t.Errorf("past the pooler: %v, %s%s", got.err, got.out, got.errs)
	}
	if got := does(t, env("DATABASE_URL", url, "CROSSTALK_DATABASE_CONNECTIONS", "1"), "", "channels"); got.code != 2 {
		t.Errorf("with too few connections: %v", got.err)
	}
}

func TestMigrateSaysWhatItDoes(t *testing.T) {
	for name, args := range map[string][]string{
		"SQLite": {"--db", dbIn(t)}, "PostgreSQL": {"--database-url", withPassword(pgtest.Start(t))},
	} {
		t.Run(name, func(t *testing.T) {
			migrate := func(what string) string {
				t.Helper()
				out, err := output(t, env(), append([]string{"migrate", what}, args...)...)
				if err != nil || strings.Contains(out, "s3cret") {
					t.Errorf("%s: %v\n%s", what, err, out)
				}
				return out
			}
			for range 2 {
				out := migrate("status")
				has(t, out, "version 0 of ")
				has(t, out, "to come: 0001_bus, 0002_inbox, ")
			}
			has(t, migrate("up"), ", it was 0\n")
			out := migrate("status")
			if fields := strings.Fields(strings.Split(out, "\n")[1]); len(fields) != 4 || fields[1] == "0" || fields[1] != fields[3] {
				t.Errorf("after migrating: %s", out)
			}
			if strings.Contains(out, "to come") || slices.Contains(strings.Fields(migrate("up")), "0") {
				t.Errorf("migrated twice: %s", out)
			}
		})
	}
}
