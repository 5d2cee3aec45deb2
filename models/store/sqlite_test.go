package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"

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
			tx, err := s.db.Write.BeginTx(context.Background(), nil)
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
			if err := s.write.Exec("INSERT INTO message_words(message_words) VALUES ('integrity-check')").Error; err != nil {
				t.Errorf("the index is broken: %v", err)
			}
			return ids
		},
	}
}
