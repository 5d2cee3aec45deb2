package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"crosstalk/models"
)

// did is what a command said.
type did struct {
	out, errs string
	code      int
	err       error
}

// does runs a command that ends by itself, with stdin as its input, as a user called me.
func does(t *testing.T, getenv func(string) string, stdin string, args ...string) did {
	t.Helper()
	var out, errs bytes.Buffer
	named := func(name string) string {
		if name == "USER" {
			return "me"
		}
		return getenv(name)
	}
	err := run(t.Context(), args, named, strings.NewReader(stdin), &out, &errs)
	return did{out.String(), errs.String(), exitCode(err), err}
}

// well fails the test unless the command did.
func (d did) well(t *testing.T) string {
	t.Helper()
	if d.err != nil {
		t.Fatalf("%v\n%s%s", d.err, d.out, d.errs)
	}
	return d.out
}

// eachWay runs a test against a hub with a key, and against a database of this machine.
func eachWay(t *testing.T, test func(t *testing.T, getenv func(string) string)) {
	t.Run("hub", func(t *testing.T) {
		r := start(t, dbIn(t), env("MCP_API_KEY", "sesame"))
		test(t, env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", "sesame"))
	})
	t.Run("database", func(t *testing.T) {
		test(t, env("CROSSTALK_DB", dbIn(t)))
	})
}

// TestCommandsDoTheSameEachWay tells one story by hub and by database, whose words may differ in times only.
func TestCommandsDoTheSameEachWay(t *testing.T) {
	times := regexp.MustCompile(`\d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.]+Z`)
	eachWay(t, func(t *testing.T, getenv func(string) string) {
		for _, step := range []struct {
			stdin string
			args  string
			want  string // of standard output; TIME stands for any
			code  int
		}{
			{args: "send #Build_Bot main is green", want: "sent 1 to #build-bot\n"},
			{args: "send build-bot --type request --as bob --json well?", want: `{"ok":true,"id":2,"channel":"build-bot","message_type":"request","seq":2,"duplicate":false}` + "\n"},
			{stdin: "from a\npipe\n", args: "send #build-bot --reply-to 2 -", want: "sent 3 to #build-bot\n"},
			{args: "send ops --idempotency-key k once", want: "sent 4 to #ops\n"},
			{args: "send ops --idempotency-key k once", want: "sent 4 to #ops\n"},
			{args: "send ops --idempotency-key k twice", code: 1},
			{args: "send ops --reply-to 99 x", code: 1},
			{stdin: "\n", args: "send ops", code: 2},
			{stdin: "not \xff UTF-8", args: "send ops", code: 2},
			{args: "send # x", code: 2},
			{args: "channels", want: "CHANNEL     MESSAGES  LAST      SENDERS  DESCRIPTION\n#ops        1         just now  me\n" +
				"#build-bot  3         just now  bob, me\n#general    0         -           The channel for everyone\n"},
			{args: "channels build --json", want: `{"name":"build-bot","description":"","created_at":"TIME","message_count":3,"last_message_at":"TIME","last_id":3,"active_senders":"bob, me"}` + "\n"},
			{args: "channels --unread dora --limit 1", want: "CHANNEL  MESSAGES  UNREAD  LAST      SENDERS  DESCRIPTION\n#ops     1         -       just now  me\n"},
			{args: "channels keep #ops --days 7 --messages 500", want: "#ops keeps 7 days, 500 messages\n"},
			{args: "channels ops --json", want: `{"name":"ops","description":"","created_at":"TIME","message_count":1,"last_message_at":"TIME","last_id":4,"active_senders":"me","keep_days":7,"keep_messages":500}` + "\n"},
			{args: "channels keep ops --all", want: "#ops keeps all\n"},
			{args: "channels keep ops --default", want: "#ops keeps what the hub keeps\n"},
			{args: "channels keep ops", code: 2},
			{args: "channels keep ops --all --days 3", code: 2},
			{args: "channels keep ops --messages 99", code: 1},
			{args: "channels keep ops --days=-1", code: 1},
			{args: "channels keep nowhere --all", code: 1},
			{args: "channels keep # --all", code: 2},
			{args: "search green", want: "1 TIME #build-bot me: main is green\n"},
			{args: "search --channel ops green", code: 1},
			{args: "export ops", want: `{"id":4,"seq":1,"channel":"ops","sender":"me","kind":"agent","verified":false,"content":"once","message_type":"message","in_reply_to":null,"reply_count":0,"created_at":"TIME"}` + "\n"},
			{args: "export build-bot --format markdown --since 1", want: "# build-bot\n\n## 2, bob, TIME, request\n\n> well?\n\n## 3, me, TIME, to 2\n\n> from a\n> pipe\n"},
			{stdin: "line\r\nand a tab\t\n", args: "data put notes/a%b#1?x --description d", want: "notes/a%b#1?x: version 1, 17 bytes\n"},
			{stdin: "again", args: "data put notes/a%b#1?x --if-version 7", code: 1},
			{args: "data get notes/a%b#1?x", want: "line\r\nand a tab\t\n"},
			{args: "data ls", want: "KEY            BYTES  VERSION  BY  WHEN      DESCRIPTION\nnotes/a%b#1?x  17     1        me  just now  d\n"},
			{args: "data rm notes/a%b#1?x", want: ""},
			{args: "data get notes/a%b#1?x", code: 1},
			{stdin: "", args: "data put empty", code: 2},
			{args: "instances", want: "INSTANCE  STATUS  SEEN  KIND  MODEL  DESCRIPTION\n"},
		} {
			got := does(t, getenv, step.stdin, strings.Fields(step.args)...)
			if out := strings.ReplaceAll(times.ReplaceAllString(got.out, "TIME"), "me, bob", "bob, me"); out != step.want || got.code != step.code {
				t.Errorf("crosstalk %s:\n%q, exit code %d (%v)\nwant\n%q, %d", step.args, out, got.code, got.err, step.want, step.code)
			}
			if got.errs != "" {
				t.Errorf("crosstalk %s complained: %s", step.args, got.errs)
			}
		}
	})
}

func TestErrorsHaveTheHubsWordsAndCode(t *testing.T) {
	r := start(t, dbIn(t), env("MCP_API_KEY", "sesame"))
	for _, step := range []struct {
		key, args, want string
		code            int
	}{
		{"", "channels", "send it in the header Authorization: Bearer KEY", 1},
		{"other", "tail", "(unauthenticated)", 1},
		{"sesame\n", "channels", "the key contains a blank", 2},
		{"sesame", "data get nothing", `"nothing": list what there is to see the keys (not_found)`, 1},
		{"sesame", "send a --as system x", `sender "system" is reserved: choose a name of your own, such as "system-1" (invalid)`, 1},
	} {
		got := does(t, env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", step.key), "", strings.Fields(step.args)...)
		if got.code != step.code || !strings.Contains(fmt.Sprint(got.err), step.want) {
			t.Errorf("%s with key %q: %v, exit code %d, want %q", step.args, step.key, got.err, got.code, step.want)
		}
	}
}

func TestMisuseOfCommandsIsRefused(t *testing.T) {
	db := dbIn(t)
	for args, want := range map[string]string{
		"channels --url http://localhost:1 --db " + db:                    "--url names a hub, and --db or --database-url a database",
		"channels --url http://localhost:1 --database-url postgres://x/y": "give one of them",
		"channels --url localhost:1":                                      "must be a URL such as",
		"channels --db " + db:                                             "there is no database at " + db,
		"channels --limit 0":                                              "--limit must be",
		"channels --unread x --limit 5 query":                             "--unread goes with",
		"tail --last 201":                                                 "--last must be",
		"tail --since tomorrow":                                           "--since must be",
		"tail --since=-5m":                                                "--since must be",
		"search --limit 201 x":                                            "--limit must be",
		"send a --type shout x":                                           "--type must be one of",
		"send a --wait=-1s x":                                             "neither can be less than 0",
		"export":                                                          "expected \"<channel>\"",
	} {
		got := does(t, env(), "", strings.Fields(args)...)
		if got.code == 0 || !strings.Contains(fmt.Sprint(got.err), want) {
			t.Errorf("%s: %v, exit code %d, want %q", args, got.err, got.code, want)
		}
	}
	if _, err := os.Stat(db); err == nil {
		t.Error("reading made a database")
	}
	// What is given goes before what is set by a variable.
	for _, args := range []string{"send a x --db " + db, "channels --db " + db} {
		does(t, env("CROSSTALK_URL", "http://localhost:1"), "", strings.Fields(args)...).well(t)
	}
}

func TestInputThatIsTooLargeIsRefusedWhole(t *testing.T) {
	db := dbIn(t)
	for _, tc := range []struct {
		args []string
		most int
		code int
	}{
		{[]string{"send", "a", "--db", db}, models.MaxContent, 0}, {[]string{"send", "a", "--db", db}, models.MaxContent + 1, 2},
		{[]string{"send", "a", "--db", db}, models.MaxContent + 10, 2}, {[]string{"data", "put", "k", "--db", db}, models.MaxContent + 10, 0},
	} {
		got := does(t, env(), strings.Repeat("x", tc.most)+"\n", tc.args...)
		if got.code != tc.code {
			t.Errorf("%v of %d bytes: exit code %d, %v", tc.args[:2], tc.most, got.code, got.err)
		}
	}
	if _, err := input(strings.NewReader(strings.Repeat("x", models.MaxData+2)), models.MaxData); err == nil || !strings.Contains(err.Error(), "16 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestSendWaitsForTheAnswer(t *testing.T) {
	r := start(t, dbIn(t), env())
	c := client(t)
	getenv := env("CROSSTALK_URL", r.url)
	asked := make(chan did)
	go func() {
		asked <- does(t, getenv, "", "send", "q", "--wait", "30s", "--type", "request", "which one?")
	}()
	eventually(t, func() bool {
		var p page
		call(t, c, r.url+"/api/messages/q?after_id=0", nil, &p)
		return len(p.Messages) == 1
	})
	for _, m := range []map[string]any{
		{"channel": "other", "sender": "bob", "content": "elsewhere"},
		{"channel": "q", "sender": "me", "content": "my own"},
		{"channel": "q", "sender": "bob", "content": "to another", "in_reply_to": 3},
		{"channel": "q", "sender": "bob", "content": "this\none", "in_reply_to": 1},
		{"channel": "q", "sender": "bob", "content": "too late"},
	} {
		call(t, c, r.url+"/api/messages", m, nil)
	}
	if got := <-asked; got.well(t) != "this\none\n" || !strings.Contains(got.errs, "5 from bob:") {
		t.Errorf("printed %q and %q", got.out, got.errs)
	}
	if got := does(t, getenv, "", "send", "q", "--wait", "100ms", "anybody?"); got.code != 3 || got.out != "" {
		t.Errorf("nobody answered: %q, exit code %d (%v)", got.out, got.code, got.err)
	}
}

func TestExportStreamsAllPages(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dbIn(t), env())
	c := client(t)
	const n = 450
	for i := range n {
		post(t, c, r.url, []string{"big", "other"}[i%2], fmt.Sprintf("number %d", i))
	}
	file := filepath.Join(dir, "out.jsonl")
	does(t, env("CROSSTALK_URL", r.url), "", "export", "#big", "-o", file, "--url", r.url).well(t)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for l := range bytes.Lines(b) {
		var m models.Message
		if err := json.Unmarshal(l, &m); err != nil || m.Content != fmt.Sprintf("number %d", next) {
			t.Fatalf("line %d: %q, %v", next/2, l, err)
		}
		next += 2
	}
	if next != n {
		t.Errorf("%d messages, want %d", next/2, n/2)
	}
	// An export that fails leaves what was there, and nothing beside it.
	got := does(t, env(), "", "export", "#big", "-o", file, "--db", filepath.Join(dir, "none.db"))
	if again, err := os.ReadFile(file); got.code != 1 || err != nil || !bytes.Equal(again, b) {
		t.Errorf("exit code %d, the file changed: %v, %v", got.code, !bytes.Equal(again, b), err)
	}
	if got = does(t, env(), "", "export", "big", "--url", r.url, "-o", filepath.Join(dir, "no", "folder")); got.code != 1 {
		t.Errorf("into no folder: %v", got.err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}
