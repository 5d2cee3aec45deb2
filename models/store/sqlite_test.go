package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"crosstalk/internal/eventually"
	"crosstalk/models"
	"crosstalk/models/store/sqlite"
)

func TestSQLite(t *testing.T) {
	contract(t, func(t testing.TB) database { return file(filepath.Join(t.TempDir(), "bus.db")) })
}

// open opens a database file until the test ends.
func open(t testing.TB, path string, opt Options) *Store {
	t.Helper()
	opt.Path = path
	s, err := Open(t.Context(), opt)
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// handle is the SQLite database of a Store.
func handle(s *Store) *sqlite.DB {
	db, _ := s.db.(*sqlite.DB)
	return db
}

// file is a database in one file.
func file(path string) database {
	return database{
		open: func(t testing.TB, opt Options) *Store { return open(t, path, opt) },
		hold: func(t testing.TB) func() {
			lock := sqlite.Lock(path)
			if err := lock.Lock(); err != nil {
				t.Fatal(err)
			}
			return func() { _ = lock.Unlock() }
		},
		block: func(t testing.TB) func() {
			s := open(t, path, Options{})
			tx, err := handle(s).Write.BeginTx(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			release := sync.OnceFunc(func() {
				if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
					t.Error(err)
				}
			})
			t.Cleanup(release) // before s is closed
			return release
		},
		indexed: func(t testing.TB, s *Store) (ids []int64) {
			t.Helper()
			var gone, stale int64
			scan(t, s, &ids, "SELECT rowid FROM message_words WHERE rowid IN (SELECT id FROM messages) ORDER BY rowid")
			scan(t, s, &gone, "SELECT count(*) FROM message_words WHERE rowid NOT IN (SELECT id FROM messages)")
			scan(t, s, &stale, "SELECT stale FROM bus")
			if gone > stale {
				t.Errorf("of %d messages that the index knows nothing is there, counted are %d", gone, stale)
			}
			if _, err := handle(s).Write.Exec("INSERT INTO message_words(message_words) VALUES ('integrity-check')"); err != nil {
				t.Errorf("the index is broken: %v", err)
			}
			return ids
		},
	}
}

func TestEveryWriteTakesItsTurn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bus.db")
	s, other := open(t, path, Options{}), open(t, path, Options{})
	register(t, s, models.Registration{ID: "alice"})
	inLine := func() bool {
		next := flock.New(path + ".next")
		free, err := next.TryLock()
		if err != nil {
			t.Fatal(err)
		}
		return next.Unlock() == nil && !free
	}
	for name, write := range map[string]func() error{
		"append":   func() error { _, err := s.Append(t.Context(), say("room", "alice", "hi")); return err },
		"register": func() error { return s.Register(t.Context(), models.Registration{ID: "bob"}) },
		"seen":     func() error { return s.Seen(t.Context(), nil, true) },
	} {
		release := handle(other).Turn.Take()
		answered := make(chan error, 1)
		go func() { answered <- write() }()
		eventually.True(t, name+" stands in line", inLine)
		if len(answered) > 0 {
			t.Errorf("%s was answered while another process had its turn", name)
		}
		release()
		if err := <-answered; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheIndexIsMadeAnewOnceMostOfItIsStale(t *testing.T) {
	t.Parallel()
	db := file(filepath.Join(t.TempDir(), "bus.db"))
	s, other := db.open(t, Options{Keep: time.Hour}), db.open(t, Options{Keep: time.Hour})
	release := db.hold(t)
	defer release()
	const n = 3 * indexBatch
	text := prose()
	fill(t, s, n, func(i int) models.Draft { return say(fmt.Sprint("room-", i%3), "alice", text()+" early").Draft })
	age(t, s, n-100, 2*time.Hour)
	prune(t, s)
	exec(t, s, "UPDATE bus SET stale = stale + 20000")
	want := sequence(n-99, n)
	find := func(text string, want []int64) {
		t.Helper()
		found, err := s.Search(t.Context(), models.Search{Text: text, Limit: 1000})
		slices.Reverse(found)
		if got := idsOf(found); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v, found: %v", err, got)
		}
	}
	step := func() (more bool) {
		t.Helper()
		more, err := s.renew(t.Context(), time.Now().Add(time.Microsecond))
		if err != nil {
			t.Fatal(err)
		}
		find("early", want)
		return more
	}
	// Half way messages come and others go, and another process takes over.
	step()
	fill(t, s, 10, func(int) models.Draft { return say("room-0", "alice", "late early").Draft })
	age(t, s, n-50, 2*time.Hour)
	prune(t, s)
	want = sequence(n-49, n+10)
	must(t, s.file.Renew(t.Context(), n, nil)) // as one that does not know of what was indexed meanwhile
	s = other
	eventually.True(t, "the index is made anew", func() bool { return !step() })
	var tables []string
	scan(t, s, &tables, "SELECT name FROM sqlite_schema WHERE name LIKE 'message_words_next%' OR name LIKE 'message_words_past%'")
	var stale, held int
	scan(t, s, &stale, "SELECT stale FROM bus")
	scan(t, s, &held, "SELECT count(*) FROM message_words")
	if len(tables) > 0 || stale != 50 || held != 110 {
		t.Errorf("%d are in the index, %d of them are said to be stale; left over: %q", held, stale, tables)
	}
	post(t, s, say("room-0", "alice", "early bird"))
	index(t, s)
	find("early bird", []int64{n + 11})
	release()
	verify(t, s)
}

// TestTheLogBesideTheFileStaysSmall writes and removes 12 MB. SQLite writes its log back every 4 MB, and begins it anew
// when no reader holds it up.
func TestTheLogBesideTheFileStaysSmall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bus.db")
	db := file(path)
	s := db.open(t, Options{KeepMessages: 10})
	release := db.hold(t)
	defer release()
	const n = 1500
	text := strings.Repeat("word ", 1600)
	fill(t, s, n, func(int) models.Draft { return say("room", "alice", text).Draft })
	prune(t, s)
	release()
	s.wrote.Store(true)
	eventually.True(t, "the file is given back", func() bool {
		var free int
		scan(t, s, &free, "SELECT freelist_count FROM pragma_freelist_count")
		return free < n // of the two pages that each message had
	})
	const most = 8 << 20
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() > most {
		t.Errorf("the log has %d bytes, %v; at most %d are fine", info.Size(), err, most)
	}
	if got := everything(t, s); len(got) != 10 {
		t.Errorf("%d are left", len(got))
	}
}
