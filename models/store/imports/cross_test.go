package imports

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"crosstalk/models"
	"crosstalk/models/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus opens a new store until the test ends; in the same database where that is one of PostgreSQL.
func bus(t *testing.T, f *foreign) *store.Store {
	t.Helper()
	o := store.Options{Path: filepath.Join(t.TempDir(), "bus.db")}
	if URL(f.where) {
		o.URL = f.where
	}
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		verify(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// verify recounts what the store counts as it goes.
func verify(t *testing.T, s *store.Store) {
	t.Helper()
	for what, query := range map[string]string{
		"the head is not the last message": "SELECT count(*) FROM bus WHERE last_id <> (SELECT coalesce(max(id), 0) FROM messages)",
		"channels count wrongly": `SELECT count(*) FROM channels c LEFT JOIN (SELECT channel, count(*) AS n, max(id) AS last, max(seq) AS seq, max(created_at) AS at,
			min(id) AS first FROM messages GROUP BY channel) AS m ON m.channel = c.name
			WHERE c.message_count <> coalesce(n, 0) OR coalesce(c.last_id, 0) <> coalesce(last, 0) OR c.last_seq <> coalesce(seq, 0)
			OR coalesce(c.last_message_at, 0) <> coalesce(at, 0) OR c.pruned_id >= first`,
		"channels are missing":         "SELECT count(*) FROM messages WHERE channel NOT IN (SELECT name FROM channels)",
		"seqs have holes":              "SELECT count(*) FROM (SELECT seq, row_number() OVER (PARTITION BY channel ORDER BY id) AS n FROM messages) AS m WHERE seq <> n",
		"times go back":                "SELECT count(*) FROM (SELECT created_at AS at, lag(created_at) OVER (ORDER BY id) AS was FROM messages) AS m WHERE at < was",
		"replies are counted wrongly":  "SELECT count(*) FROM messages m WHERE reply_count <> (SELECT count(*) FROM messages r WHERE r.in_reply_to = m.id)",
		"a reply is to a later one":    "SELECT count(*) FROM messages WHERE in_reply_to >= id",
		"positions are past the head":  "SELECT count(*) FROM positions WHERE read_id > (SELECT last_id FROM bus) OR shown_id < read_id",
		"the index is ahead":           "SELECT count(*) FROM bus WHERE indexed_id > last_id OR pruned_id > last_id",
		"data is not as long as it is": "SELECT count(*) FROM shared_data WHERE size_bytes <> octet_length(content)",
	} {
		var n int
		if err := s.Reader(context.Background()).Raw(query).Scan(&n).Error; err != nil || n > 0 {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
}

// take imports and wants no error.
func take(t *testing.T, s *store.Store, f *foreign) Report {
	t.Helper()
	r, err := tryTake(t, s, f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryTake(t *testing.T, s *store.Store, f *foreign) (Report, error) {
	t.Helper()
	from, err := Open(t.Context(), f.where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := from.Close(); err != nil {
			t.Error(err)
		}
	}()
	return CrossClaude(t.Context(), s, from, Options{})
}

// log is what the bus holds, a line each.
func log(t *testing.T, s *store.Store) string {
	t.Helper()
	all, err := s.After(t.Context(), models.Every, 0, 1<<53, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, m := range all {
		parent := int64(0)
		if m.InReplyTo != nil {
			parent = *m.InReplyTo
		}
		fmt.Fprintln(&b, m.ID, m.Seq, m.Channel, m.Sender, m.Kind, m.Verified, m.Type, parent, m.ReplyCount, m.CreatedAt, m.Content)
	}
	return b.String()
}

// on runs a test on both databases that a cross-claude-mcp may have.
func on(t *testing.T, keeps func(t *testing.T, f *foreign)) {
	for name, open := range map[string]func(*testing.T) *foreign{"SQLite": onSQLite, "PostgreSQL": onPostgres} {
		t.Run(name, func(t *testing.T) { keeps(t, open(t)) })
	}
}

func TestTakesAllOverWithItsIDs(t *testing.T) {
	on(t, func(t *testing.T, f *foreign) {
		f.talk()
		was := f.state()
		s := bus(t, f)
		r := take(t, s, f)
		if len(r.Notes) > 0 || r.Messages.Added != 5 || r.Channels.Added != 3 || r.Instances.Added != 2 || r.Data.Added != 1 || r.Positions.Added != 2 {
			t.Errorf("the report says\n%s", r.String())
		}
		want := `1 1 general alice agent false message 0 1 2026-02-01T10:00:00.000Z hello
2 1 auth-dev bob agent false request 0 2 2026-02-01T10:00:01.000Z Grüße, 日本 "so"
3 2 auth-dev alice agent false response 2 0 2026-02-01T10:00:02.000Z done
4 3 auth-dev carol agent false response 2 0 2026-02-02T09:00:00.000Z me too
5 2 general bob agent false done 1 0 2026-02-02T10:00:00.000Z bye
`
		if diff := cmp.Diff(want, log(t, s)); diff != "" {
			t.Errorf("the log differs:\n%s", diff)
		}
		if f.state() != was {
			t.Error("the foreign tables were changed")
		}
		channels, err := s.Channels(t.Context(), "", 10)
		if err != nil || len(channels) != 3 {
			t.Fatalf("%v, %v", channels, err)
		}
		if c := channels[1]; c.Name != "auth-dev" || c.Description != "Login" || c.CreatedAt.String() != "2026-01-02T03:04:05.000Z" || c.ActiveSenders != "carol, alice, bob" {
			t.Errorf("%+v", c)
		}
		if c := channels[0]; c.Description != "Default channel for cross-instance communication" || c.ActiveSenders != "bob, alice" {
			t.Errorf("%+v", c)
		}
		people, err := s.Instances(t.Context(), "", "", 10)
		if err != nil || len(people) != 2 || people[0].ID != "alice" || people[0].Description != "frontend" || people[0].Status != models.Offline {
			t.Errorf("%+v, %v", people, err)
		}
		data, err := s.Data(t.Context(), "plan/v1", "")
		if err != nil || data.Content != "first this, then that" || data.CreatedBy != "alice" || data.Description != "the plan" || data.Version != 1 {
			t.Errorf("%+v, %v", data, err)
		}
		for _, want := range []struct {
			instance, channel string
			read              int64
		}{{"bob", "auth-dev", 3}, {"alice", "general", 1}} {
			p, err := s.Positions(t.Context(), want.instance, want.channel)
			if err != nil || len(p) != 1 || p[0].ReadID == nil || *p[0].ReadID != want.read {
				t.Errorf("%s in %s: %+v, %v", want.instance, want.channel, p, err)
			}
		}
	})
}

func TestTwiceAddsNothing(t *testing.T) {
	on(t, func(t *testing.T, f *foreign) {
		f.talk()
		bad(f)
		s := bus(t, f)
		first := take(t, s, f)
		was := log(t, s)
		for range 2 {
			r := take(t, s, f)
			if r.Messages.Added+r.Channels.Added+r.Instances.Added+r.Data.Added+r.Positions.Added > 0 || r.Messages.Here != first.Messages.Added {
				t.Errorf("the report says\n%s", r.String())
			}
		}
		if diff := cmp.Diff(was, log(t, s)); diff != "" {
			t.Errorf("the log differs:\n%s", diff)
		}
	})
}

func TestGoesOnWithWhatCameLater(t *testing.T) {
	on(t, func(t *testing.T, f *foreign) {
		f.talk()
		s := bus(t, f)
		take(t, s, f)
		f.exec(`INSERT INTO messages (id, channel, sender, content, in_reply_to, created_at) VALUES (9, 'auth-dev', 'dave', 'late', 2, '2026-02-02 11:00:00')`)
		r := take(t, s, f)
		if r.Messages.Added != 1 || r.Messages.Here != 5 {
			t.Errorf("the report says\n%s", r.String())
		}
		m, err := s.Message(t.Context(), "auth-dev", 2)
		if err != nil || m.ReplyCount != 3 {
			t.Errorf("message 2 has %d replies, %v", m.ReplyCount, err)
		}
		if c, err := s.Channels(t.Context(), "", 1); err != nil || c[0].ActiveSenders != "dave, carol" && c[0].ActiveSenders != "dave, carol, alice, bob" {
			t.Errorf("active are %+v, %v", c, err)
		}
	})
}

func say(t *testing.T, s *store.Store, content string) int64 {
	t.Helper()
	d, err := models.ParseDraft(models.Draft{Channel: "general", Sender: "zoe", Content: content})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Append(t.Context(), store.Append{Draft: d, Principal: models.SharedPrincipal})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func TestTheBusGoesOnBehindIt(t *testing.T) {
	f := onSQLite(t)
	f.talk()
	s := bus(t, f)
	take(t, s, f)
	if id := say(t, s, "new here"); id != 6 {
		t.Errorf("the next message has id %d", id)
	}
	page, err := s.Page(t.Context(), models.Query{Channel: "general", After: new(int64), Limit: 10})
	if err != nil || len(page.Messages) != 3 || page.Messages[2].Seq != 3 || !page.Recovered {
		t.Errorf("%+v, %v", page, err)
	}
	take(t, s, f) // and it can still be said that nothing is new
}

func TestNothingIsTakenOverAMessageOfOurOwn(t *testing.T) {
	f := onSQLite(t)
	f.talk()
	for name, prepare := range map[string]func(s *store.Store){
		"before the first import": func(s *store.Store) { say(t, s, "mine") },
		"before the second": func(s *store.Store) {
			take(t, s, f)
			say(t, s, "mine")
			f.exec(`INSERT INTO messages (id, channel, sender, content) VALUES (6, 'general', 'alice', 'theirs'), (7, 'general', 'alice', 'more')`)
		},
	} {
		s := bus(t, f)
		prepare(s)
		was := log(t, s)
		r, err := tryTake(t, s, f)
		if models.CodeOf(err) != models.Conflict || r.Messages.Found > 0 {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
		if diff := cmp.Diff(was, log(t, s)); diff != "" {
			t.Errorf("%s: the log changed:\n%s", name, diff)
		}
	}
}

func TestOnlyFirstLeavesABusInUseAlone(t *testing.T) {
	f := onSQLite(t)
	f.talk()
	s := bus(t, f)
	say(t, s, "mine")
	from, err := Open(t.Context(), f.where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	if r, err := CrossClaude(t.Context(), s, from, Options{OnlyFirst: true}); err != nil || r.Messages.Found > 0 || r.Data.Found > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestWhatTheFirstHubRemovedIsTold has a log that begins late, as its clean-up leaves it, with holes.
func TestWhatTheFirstHubRemovedIsTold(t *testing.T) {
	on(t, func(t *testing.T, f *foreign) {
		f.exec(`INSERT INTO messages (id, channel, sender, content, in_reply_to) VALUES (500, 'general', 'alice', 'a', 12), (503, 'late', 'alice', 'b', NULL), (510, 'general', 'alice', 'c', 500)`)
		s := bus(t, f)
		take(t, s, f)
		for after, recovered := range map[int64]bool{0: false, 498: false, 499: true, 505: true} {
			page, err := s.Page(t.Context(), models.Query{Channel: "general", After: &after, Limit: 10})
			if err != nil || page.Recovered != recovered {
				t.Errorf("after %d recovered is %v, %v", after, page.Recovered, err)
			}
		}
		if m, err := s.Message(t.Context(), "general", 510); err != nil || m.Seq != 2 || m.InReplyTo == nil {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

func TestACancelledImportLeavesNothing(t *testing.T) {
	f := onSQLite(t)
	f.exec(`WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000) INSERT INTO messages (id, channel, sender, content) SELECT n, 'general', 'alice', 'text ' || n FROM n`)
	s := bus(t, f)
	from, err := Open(t.Context(), f.where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = CrossClaude(ctx, s, from, Options{Tell: func(done, all int64) {
		if all != 1000 {
			t.Errorf("%d of %d", done, all)
		}
		if done > 500 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if got := log(t, s); got != "" {
		t.Errorf("%d bytes are here", len(got))
	}
	if r := take(t, s, f); r.Messages.Added != 1000 {
		t.Errorf("the report says\n%s", r.String())
	}
}

// TestAFileInUseIsReadAsItIs has the old hub go on writing, with what it has written not yet in the file itself.
func TestAFileInUseIsReadAsItIs(t *testing.T) {
	f := onSQLite(t)
	f.talk() // it stays open
	s := bus(t, f)
	from, err := Open(t.Context(), f.where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	f.exec("INSERT INTO messages (id, channel, sender, content) VALUES (6, 'general', 'alice', 'meanwhile')")
	if r, err := CrossClaude(t.Context(), s, from, Options{}); err != nil || r.Messages.Added != 5 {
		t.Errorf("%+v, %v", r, err)
	}
	if r := take(t, s, f); r.Messages.Added != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAFileThatNobodyUsesGetsNoCompany(t *testing.T) {
	f := onSQLite(t)
	f.talk()
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	s := bus(t, f)
	from, err := Open(t.Context(), f.where)
	if err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(filepath.Dir(f.where)); err != nil || len(files) != 1 {
		t.Errorf("beside it are %v, %v", files, err)
	}
	// Somebody begins to use it before it was read to its end.
	if f.db, err = sql.Open("sqlite", f.where); err != nil {
		t.Fatal(err)
	}
	f.exec("INSERT INTO messages (id, channel, sender, content) VALUES (6, 'general', 'alice', 'meanwhile')")
	if _, err := CrossClaude(t.Context(), s, from, Options{}); err == nil || !strings.Contains(err.Error(), "try again") {
		t.Errorf("%v", err)
	}
	if err := errors.Join(from.Close(), f.db.Close()); err != nil {
		t.Fatal(err)
	}
	if got := log(t, s); got != "" {
		t.Errorf("it has taken over\n%s", got)
	}
	if r := take(t, s, f); r.Messages.Added != 6 {
		t.Errorf("%+v", r)
	}
	if files, err := os.ReadDir(filepath.Dir(f.where)); err != nil || len(files) != 1 {
		t.Errorf("beside it are %v, %v", files, err)
	}
}
