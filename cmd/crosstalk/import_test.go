package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/glebarez/go-sqlite"
)

// crossClaudeHome is a home with the database of a cross-claude-mcp in it.
func crossClaudeHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".cross-claude-mcp"), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(home, ".cross-claude-mcp", "messages.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range []string{
		"CREATE TABLE channels (name TEXT PRIMARY KEY, description TEXT, created_at TEXT DEFAULT (datetime('now')))",
		`CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, sender TEXT NOT NULL, content TEXT NOT NULL,
			message_type TEXT DEFAULT 'message', in_reply_to INTEGER, created_at TEXT DEFAULT (datetime('now')))`,
		"INSERT INTO channels (name) VALUES ('general'), ('plans')",
		"INSERT INTO messages (id, channel, sender, content, created_at) VALUES (7, 'plans', 'alice', 'before', '2020-02-02 02:02:02')",
		"INSERT INTO messages (channel, sender, content, in_reply_to) VALUES ('plans', 'bob', 'hello from before', 7), ('plans', 'system', 'odd', NULL)",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// command runs a subcommand to its end.
func command(t *testing.T, getenv func(string) string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs lines
	err = run(t.Context(), args, getenv, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), err
}

func TestImportTakesOverAndServes(t *testing.T) {
	getenv := env("HOME", crossClaudeHome(t))
	out, _, err := command(t, getenv, "import", "cross-claude")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"messages               3 found        3 added        0 already here",
		`sender: name changed to one that is allowed (first: "system" to "system-1")`,
		"The oldest message is of 2020-02-02. crosstalk serve removes messages after 30 days",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	db, err := databasePath("", getenv)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, db, getenv, "--cleanup-days", "0")
	var page struct {
		Messages []struct {
			ID, Seq int64
			Content string
		}
	}
	call(t, client(t), r.url+"/api/messages/plans?after_id=7", nil, &page)
	if len(page.Messages) != 2 || page.Messages[0].ID != 8 || page.Messages[0].Seq != 2 || page.Messages[0].Content != "hello from before" {
		t.Errorf("%+v", page)
	}
	if strings.Contains(r.stderr.String(), "cross-claude") {
		t.Errorf("what was imported is offered again:\n%s", r.stderr)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
	out, _, err = command(t, getenv, "import", "cross-claude")
	if err != nil || !strings.Contains(out, "messages               3 found        0 added        3 already here") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOldMessagesAreNoticed(t *testing.T) {
	home := crossClaudeHome(t)
	own, other := filepath.Join(home, ".crosstalk", "crosstalk.db"), filepath.Join(home, "it's a bus.db")
	for db, want := range map[string]string{
		own:   "in here: crosstalk import cross-claude\n",
		other: "in here: crosstalk import cross-claude --db '" + home + `/it'"'"'s a bus.db'` + "\n",
	} {
		r := start(t, db, env("HOME", home))
		if err := r.end(t); err != nil {
			t.Error(err)
		}
		out, errs, err := command(t, env("HOME", home), "mcp", "--db", db)
		if err != nil || out != "" {
			t.Errorf("mcp: %q, %v", out, err)
		}
		for who, said := range map[string]string{"serve": r.stderr.String(), "mcp": errs} {
			if !strings.Contains(said, want) || strings.Contains(r.stdout.String(), "import") {
				t.Errorf("%s says %q, not %q", who, said, want)
			}
		}
	}
	_, errs, err := command(t, env("HOME", t.TempDir()), "mcp")
	if err != nil || strings.Contains(errs, "cross-claude") {
		t.Errorf("where nothing was left it says %q, %v", errs, err)
	}
}

func TestImportOfWhatIsNotThereLeavesNoTrace(t *testing.T) {
	home := t.TempDir()
	for _, from := range []string{"", filepath.Join(home, "no.db"), home, "postgres://u:secret@127.0.0.1:1/db"} {
		args := []string{"import", "cross-claude"}
		if from != "" {
			args = append(args, from)
		}
		if _, _, err := command(t, env("HOME", home), args...); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", from, err)
		}
	}
	if files, err := os.ReadDir(home); err != nil || len(files) > 0 {
		t.Errorf("%v is there, %v", files, err)
	}
}
