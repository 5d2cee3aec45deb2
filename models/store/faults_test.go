package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"crosstalk/models"
	"crosstalk/models/store/sqlite"
)

// trouble is a way to make SQLite refuse all writes, until mend is called.
type trouble struct {
	name string
	make func(t *testing.T, s *Store) (mend func())
}

func troubles() []trouble {
	pragma := func(t *testing.T, s *Store, set string) {
		t.Helper()
		defer handle(s).Turn.Take()()
		if _, err := handle(s).Write.ExecContext(context.Background(), "PRAGMA "+set); err != nil {
			t.Fatal(err)
		}
		if err := handle(s).Log.Do("PRAGMA " + set); err != nil {
			t.Fatal(err)
		}
	}
	return []trouble{
		{"the disk is full", func(t *testing.T, s *Store) func() {
			var pages int
			if err := handle(s).Write.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
				t.Fatal(err)
			}
			pragma(t, s, fmt.Sprint("max_page_count = ", pages+5))
			return func() { pragma(t, s, "max_page_count = 1000000") }
		}},
		{"the file is read-only", func(t *testing.T, s *Store) func() {
			pragma(t, s, "query_only = 1")
			return func() { pragma(t, s, "query_only = 0") }
		}},
	}
}

func TestWritesThatFailLeaveNothing(t *testing.T) {
	for _, trouble := range troubles() {
		t.Run(trouble.name, func(t *testing.T) {
			db := file(filepath.Join(t.TempDir(), "bus.db"))
			s, other := db.open(t, Options{}), db.open(t, Options{})
			release := db.hold(t)
			defer release()
			told := 0
			s.OnCommit(func(batch []models.Message) { told++ })
			post(t, s, say("room", "alice", "before").with(func(a *Append) { a.IdempotencyKey = "k" }))
			counts := func() string {
				var rows []string
				for _, table := range []string{"bus", "channels", "messages", "participants", "idempotency"} {
					var list []map[string]any
					scan(t, other, &list, "SELECT * FROM "+table)
					rows = append(rows, fmt.Sprint(table, list))
				}
				return strings.Join(rows, "\n")
			}
			before := counts()
			mend := trouble.make(t, s)

			// Batches of several, into the channel that is there and into new ones: each is too large for the disk.
			large := strings.Repeat("x", 64<<10)
			const n = 40
			answers := make(chan error, n)
			for i := range n {
				go func() {
					a := say(fmt.Sprint("room-", i%3), fmt.Sprint("agent-", i), large).with(func(a *Append) {
						a.IdempotencyKey, a.InReplyTo = fmt.Sprint(i), int64(i%2)
					})
					_, err := s.Append(t.Context(), a)
					answers <- err
				}()
			}
			for range n {
				err := <-answers
				wantCode(t, err, models.Unavailable)
				if text := models.Text(err); !strings.Contains(text, "nothing was stored") {
					t.Errorf("a sender is told %q", text)
				}
			}
			if _, err := s.ShareData(t.Context(), models.DataDraft{Key: "k", Content: large, Sender: "alice"}, ""); models.CodeOf(err) != models.Unavailable {
				t.Errorf("sharing: %v", err)
			}
			if after := counts(); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			if told != 1 {
				t.Errorf("%d commits were told", told)
			}
			if p, err := s.Page(t.Context(), models.Query{Channel: "room"}); err != nil || len(p.Messages) != 1 {
				t.Errorf("reading goes on: %v, %d messages", err, len(p.Messages))
			}

			mend()
			if err := s.Probe(t.Context()); err != nil {
				t.Errorf("mended, and yet not ready: %v", err)
			}
			r := post(t, s, say("room", "alice", large))
			again := post(t, s, say("room", "alice", "before").with(func(a *Append) { a.IdempotencyKey = "k" }))
			if r.ID != 2 || r.Seq != 2 || again.ID != 1 || told != 2 {
				t.Errorf("after mending: %+v, %+v, %d told", r, again, told)
			}
			// A sender that failed counts as new to its channel.
			post(t, s, say("room-1", "agent-1", "hi"))
			if list := channels(t, s, 1); list[0].ActiveSenders != "agent-1" {
				t.Errorf("%+v", list[0])
			}
			verify(t, s)
		})
	}
}

// A batch fails as a whole, whichever of its steps does.
func TestAStepThatFailsFailsTheBatch(t *testing.T) {
	broken := map[string][2]string{
		"the last step": {"CREATE TRIGGER broken BEFORE UPDATE ON bus BEGIN SELECT RAISE(ABORT, 'broken'); END", "DROP TRIGGER broken"},
	}
	for _, table := range []string{"bus", "channels", "messages", "participants", "idempotency"} {
		broken[table] = [2]string{"ALTER TABLE " + table + " RENAME TO hidden", "ALTER TABLE hidden RENAME TO " + table}
	}
	for name, sql := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := file(filepath.Join(t.TempDir(), "bus.db"))
			s := db.open(t, Options{})
			post(t, s, say("room", "alice", "before"))
			told := 0
			s.OnCommit(func(batch []models.Message) { told++ })
			release := db.hold(t)
			defer release()
			exec(t, s, sql[0])
			list := []*pending{
				{Append: say("room", "bob", "plain")},
				{Append: say("new", "bob", "a reply with a key").with(func(a *Append) { a.IdempotencyKey, a.InReplyTo = "k", 1 })},
				{Append: say("room", "bob", "refused anyway").with(func(a *Append) { a.InReplyTo = 99 })},
			}
			if messages, err := s.commit(list); models.CodeOf(err) != models.Unavailable || messages != nil {
				t.Errorf("%d messages, %v", len(messages), err)
			}
			_, err := s.Append(t.Context(), list[1].Append)
			wantCode(t, err, models.Unavailable)
			exec(t, s, sql[1])
			if got := contents(everything(t, s)); len(got) != 1 || told > 0 {
				t.Errorf("stored: %q, told: %d", got, told)
			}
			for i, want := range []models.Code{"", "", models.Invalid} {
				_, err := s.Append(t.Context(), list[i].Append)
				wantCode(t, err, want)
			}
			// What was noted in the batch that failed is noted now.
			if list := channels(t, s, 1); list[0].ActiveSenders != "bob" {
				t.Errorf("%+v", list[0])
			}
			verify(t, s)
		})
	}
}

func TestAFailingWriterIsNotReady(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "bus.db"), Options{})
	mend := troubles()[1].make(t, s)
	if _, failing := s.Writing(); failing {
		t.Error("nothing has failed yet")
	}
	_, err := s.Append(t.Context(), say("room", "alice", "hi"))
	wantCode(t, err, models.Unavailable)
	for range 2 {
		wantCode(t, s.Probe(t.Context()), models.Unavailable)
		if _, failing := s.Writing(); !failing {
			t.Error("it does not know that it cannot write")
		}
	}
	mend()
	for range 2 {
		wantCode(t, s.Probe(t.Context()), "")
		if _, failing := s.Writing(); failing {
			t.Error("it does not know that it can write again")
		}
	}
	post(t, s, say("room", "alice", "hi"))
}

func TestReadsThatFailAreUnavailable(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "bus.db"), Options{})
	batch(t, s, numbered("room", 3)...)
	for _, table := range []string{"messages", "channels", "shared_data", "instances", "message_words", "bus"} {
		exec(t, s, "ALTER TABLE "+table+" RENAME TO hidden")
		failed := 0
		for name, err := range everyRead(t.Context(), s) {
			if err == nil {
				continue
			}
			failed++
			if models.CodeOf(err) != models.Unavailable || strings.Contains(models.Text(err), "SQL") || strings.Contains(models.Text(err), table) {
				t.Errorf("without %s, %s: %v (%s), told as %q", table, name, err, models.CodeOf(err), models.Text(err))
			}
		}
		if failed == 0 {
			t.Errorf("nothing reads %s", table)
		}
		exec(t, s, "ALTER TABLE hidden RENAME TO "+table)
	}
	for name, err := range everyRead(t.Context(), s) {
		if err != nil {
			t.Errorf("when all is there again, %s: %v", name, err)
		}
	}
}

func everyRead(ctx context.Context, s *Store) map[string]error {
	errs := map[string]error{}
	_, errs["head"] = s.Head(ctx)
	_, errs["newest"] = s.Page(ctx, models.Query{Channel: "room"})
	_, errs["after"] = s.Page(ctx, models.Query{Channel: "room", After: ptr[int64](0)})
	_, errs["message"] = s.Message(ctx, "room", 1)
	_, errs["thread"] = s.Thread(ctx, "room", 1, "", 10)
	_, errs["pruned"] = s.Pruned(ctx, "room")
	_, errs["channels"] = s.Channels(ctx, "", 10)
	_, errs["find"] = s.FindChannels(ctx, "", "room", 10)
	errs["unread"] = s.Unread(ctx, []models.Channel{{Name: "room", LastID: ptr[int64](3)}}, "alice")
	_, errs["instances"] = s.Instances(ctx, "", "", 10)
	_, errs["online"] = s.OnlineIDs(ctx, "")
	_, errs["list"] = s.ListData(ctx, "", 10)
	_, errs["search"] = s.Search(ctx, models.Search{Text: "1"})
	if _, err := s.Data(ctx, "k", ""); models.CodeOf(err) != models.NotFound {
		errs["data"] = err
	}
	return errs
}

func TestTwentyOpenOneNewFile(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		path := filepath.Join(t.TempDir(), "new", "bus.db")
		var wg sync.WaitGroup
		stores := make([]*Store, 20)
		for i := range stores {
			wg.Go(func() {
				var err error
				if stores[i], err = Open(t.Context(), Options{Path: path}); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		for _, s := range stores {
			if s == nil {
				t.FailNow()
			}
			if s.BusID() != stores[0].BusID() {
				t.Errorf("round %d: buses %s and %s", round, s.BusID(), stores[0].BusID())
			}
			wg.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func TestOpeningWaitsForItsTurnOrGivesUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	lock := sqlite.Lock(path)
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Options{Path: path}); err == nil || !strings.Contains(err.Error(), "lock the database") {
		t.Errorf("opened though another process has the lock: %v", err)
	}
	opened := make(chan error)
	go func() {
		s, err := Open(context.Background(), Options{Path: path})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// A process that died while it wrote leaves its half behind in the WAL, and its locks to nobody.
func TestWhatWasNotCommittedIsNotThere(t *testing.T) {
	db := file(filepath.Join(t.TempDir(), "bus.db"))
	s := db.open(t, Options{})
	post(t, s, say("room", "alice", "before"))
	tx, err := handle(db.open(t, Options{})).Write.BeginTx(t.Context(), &sql.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE bus SET last_id = 100"); err != nil {
		t.Fatal(err)
	}
	if head, err := s.Head(t.Context()); err != nil || head != 1 {
		t.Errorf("head %d, %v: what is not committed is seen", head, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if r := post(t, s, say("room", "alice", "after")); r.ID != 2 {
		t.Errorf("%+v", r)
	}
	verify(t, s)
}
