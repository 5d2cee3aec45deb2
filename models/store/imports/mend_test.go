package imports

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crosstalk/models"
	"crosstalk/models/store"
)

// bad is rows of all kinds that this bus would have refused.
func bad(f *foreign) {
	f.t.Helper()
	f.exec(`INSERT INTO channels (name, description) VALUES ('Old Name', 'described'), ('!!!', 'nothing left')`,
		`INSERT INTO messages (id, channel, sender, content, message_type, in_reply_to, created_at) VALUES
			(20, 'Old Name', ' system ', 'reserved', 'message', 0, '2026-02-03 10:00:00'),
			(21, '!!!', '', 'no names', 'shout', 21, '2026-02-03 10:00:00'),
			(22, 'general', 'alice', '', NULL, 99, NULL),
			(23, 'general', 'a`+"\t"+`b', 'back in time', 'status', -3, '2020-01-01 00:00:00'),
			(24, 'general', '`+strings.Repeat("é", 300)+`', 'ahead', 'done', NULL, '2999-01-01 00:00:00')`,
		`INSERT INTO messages (id, channel, sender, content) VALUES (25, 'general', 'alice', '`+strings.Repeat("long ", 60_000)+`')`,
		`INSERT INTO messages (id, channel, sender, content) VALUES (-1, 'general', 'alice', 'x'), (0, 'general', 'alice', 'y')`,
		`INSERT INTO instances (instance_id, description, last_seen) VALUES ('user', '`+strings.Repeat("d", 2500)+`', NULL)`,
		`INSERT INTO shared_data (key, content, created_by) VALUES ('#7', 'one', 'alice'), ('', 'two', 'alice'), ('`+"\n"+`', 'three', ''), ('imported--', 'taken', 'bob')`,
		`INSERT INTO read_cursors (channel, instance_id, last_read_id) VALUES ('Old Name', 'user', 4000), ('general', 'bob', -1)`)
}

func TestBadRowsAreMendedOrReported(t *testing.T) {
	on(t, func(t *testing.T, f *foreign) {
		bad(f)
		s := bus(t, f)
		r := take(t, s, f)
		long := strings.Repeat("é", 198)
		head := strings.Repeat("long ", 60_000)
		tail := "\n... the whole text is the shared data \"imported-message-25\""
		got := strings.Split(log(t, s), "\n")
		now := strings.Fields(got[4])[9] // when it was imported
		want := []string{
			"20 1 old-name system-1 agent false message 0 0 2026-02-03T10:00:00.000Z reserved",
			"21 1 imported unknown agent false message 0 0 2026-02-03T10:00:00.000Z no names",
			"22 1 general alice agent false message 0 0 2026-02-03T10:00:00.000Z (empty)",
			"23 2 general a-b agent false status 0 0 2026-02-03T10:00:00.000Z back in time",
			"24 3 general " + long + " agent false done 0 0 " + now + " ahead",
			"25 4 general alice agent false message 0 0 " + now + " " + head[:models.MaxContent-len(tail)],
		}
		if diff := cmp.Diff(want, got[:6]); diff != "" {
			t.Errorf("the log differs:\n%.3000s", diff)
		}
		if data, err := s.Data(t.Context(), "imported-message-25", ""); err != nil || data.Content != head {
			t.Errorf("the long text is %d bytes, %v", len(data.Content), err)
		}
		contents := map[string]string{}
		for _, key := range []string{"imported-#7", "imported-", "imported--", "imported---2"} {
			data, err := s.Data(t.Context(), key, "")
			if err != nil {
				t.Error(err)
			}
			contents[data.Content] = key
		}
		if len(contents) != 4 {
			t.Errorf("shared data is %v", contents)
		}
		if r.Messages.Found != 8 || r.Messages.Added != 6 || r.Positions.Added != 1 || r.Data.Added != 4 {
			t.Errorf("the report says\n%s", r.String())
		}
		for _, note := range []string{
			"2  message LEFT OUT: its id is none that a message can have (first: id \"-1\")",
			"1  read position LEFT OUT: it is no id",
			"1  read position: beyond the newest message, now there",
			"1  message: too long a text became shared data, of which the message has the beginning (first: message 25)",
			"1  message: empty text now says (empty) (first: message 22)",
			`4  sender: name changed to one that is allowed (first: " system " to "system-1")`,
			`1  message: type that is unknown here became message (first: message 21, "shout")`,
			"3  message: reply to itself, to a later message or to none is now no reply (first: message 21, \"21\")",
			"1  message: time that cannot be read became that of the message before (first: message 22, \"\")",
			"message: time before that of the message before became the same (first: message 23",
			"1  message: time in the future became now (first: message 24",
			"1  instance: description cut to what is allowed (first: instance user-1)",
		} {
			if !strings.Contains(r.String(), note) {
				t.Errorf("the report lacks %q", note)
			}
		}
		if t.Failed() {
			t.Logf("the report says\n%s", r.String())
		}
	})
}

// SQLite keeps any bytes in any column.
func TestBytesThatAreNoTextAreReplaced(t *testing.T) {
	f := onSQLite(t)
	f.exec(`INSERT INTO messages (id, channel, sender, content, created_at) VALUES
		(1, 'general', CAST(x'61ff62' AS TEXT), CAST(x'61ff00' AS TEXT), 'yesterday'), (2, 'general', 17, x'0102', 1770000000), (3, 'general', 'bob', 3.5, 1770000000123)`)
	s := bus(t, f)
	r := take(t, s, f)
	want := "1 1 general a-b agent false message 0 0 "
	if got := log(t, s); !strings.HasPrefix(got, want) || !strings.Contains(got, " a\uFFFD\uFFFD\n") || !strings.Contains(got, "17 agent") || !strings.Contains(got, " 3.5\n") {
		t.Errorf("the log is\n%s", got)
	}
	if !strings.Contains(r.String(), "bytes that are no text") {
		t.Errorf("the report says\n%s", r.String())
	}
}

func TestOlderVersionsHaveFewerTables(t *testing.T) {
	f := onSQLite(t)
	f.talk()
	f.exec("DROP TABLE read_cursors", "DROP TABLE shared_data", "ALTER TABLE messages DROP COLUMN in_reply_to")
	if r := take(t, bus(t, f), f); r.Messages.Added != 5 || r.Data.Found+r.Positions.Found > 0 {
		t.Errorf("the report says\n%s", r.String())
	}
}

func TestWhatIsNoSuchDatabaseIsRefused(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.db")
	s, err := store.Open(t.Context(), store.Options{Path: own})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	many := onSQLite(t)
	many.exec("ALTER TABLE messages ADD COLUMN tenant_id TEXT")
	other := onPostgres(t)
	other.exec("DROP TABLE messages")
	for where, want := range map[string]string{
		own:                                   "is a database of crosstalk itself",
		many.where:                            "several tenants",
		other.where:                           "no tables of cross-claude-mcp",
		filepath.Join(t.TempDir(), "none.db"): "no such file",
		t.TempDir():                           "is a folder",
		"postgres://u:secret@127.0.0.1:1/x":   "refused",
		"postgres://u:secret@127.0.0.1:nonsense/x": "port",
	} {
		from, err := Open(t.Context(), where)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, which should say %q", where, err, want)
		}
		if from != nil {
			t.Errorf("%s came back open", where)
		}
	}
}

// FuzzMend holds what was mended against the rules for what comes in by the doors. The same is always mended to the same.
func FuzzMend(f *testing.F) {
	for _, s := range []string{"", " alice ", "System", "a\xff\x00b", "日本", "---", "#7", strings.Repeat("é", 500), "\u202e", "ｓｙｓｔｅｍ", "x\u0301", "\u3164"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := &mender{report: &Report{}}
		name, channel, key := m.name("sender", s), m.channel(s), m.key(s)
		content, _ := m.content(7, s)
		draft := models.Draft{Channel: channel, Sender: name, Content: content, Type: m.messageType(7, s)}
		if got, err := models.ParseDraft(draft); err != nil || got.Channel != channel || got.Sender != name {
			t.Errorf("%q became a message of %q in %q: %v", s, name, channel, err)
		}
		data := models.DataDraft{Key: key, Sender: name, Content: "x", Description: m.description("shared data", "key", s)}
		if _, err := models.ParseData(data); err != nil {
			t.Errorf("%q became the key %q: %v", s, key, err)
		}
		if m.name("sender", name) != name || m.channel(channel) != channel || m.key(key) != key {
			t.Errorf("what %q became is mended again", s)
		}
	})
}
