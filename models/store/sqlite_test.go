package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gofrs/flock"

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
			scan(t, s, &ids, "SELECT rowid FROM message_words ORDER BY rowid")
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
		eventually(t, name+" stands in line", inLine)
		if len(answered) > 0 {
			t.Errorf("%s was answered while another process had its turn", name)
		}
		release()
		if err := <-answered; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
