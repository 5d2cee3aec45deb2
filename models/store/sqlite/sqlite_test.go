package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/semver"
	lite "zombiezen.com/go/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func read[T any](t testing.TB, db *sql.DB, query string) (v T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&v); err != nil {
		t.Fatal(query, err)
	}
	return v
}

func TestTheVersionIsSound(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "bus.db"))
	// Before 3.51.3 a checkpoint that raced with a reset of the WAL could corrupt the file.
	if v := read[string](t, db.Write, "SELECT sqlite_version()"); semver.Compare("v"+v, "v3.51.3") < 0 {
		t.Errorf("this is SQLite %s", v)
	}
	for _, option := range []string{"ENABLE_FTS5"} {
		if read[int](t, db.Read, "SELECT sqlite_compileoption_used('"+option+"')") != 1 {
			t.Errorf("built without %s", option)
		}
	}
}

func TestAnOlderVersionIsRefused(t *testing.T) {
	for version, ok := range map[string]bool{
		"3.51.3": true, "3.53.0": true, "3.100.0": true, "4.0.0": true,
		"3.51.2": false, "3.51.0": false, "3.41.2": false, "3.9.3": false, "": false,
	} {
		if err := sound(version); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "needs 3.51.3 or newer") {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestAnUnsafeConnectionIsRefused(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "bus.db"))
	for pragma, ok := range map[string]bool{"synchronous = 1": false, "synchronous = 0": false, "synchronous = 2": true} {
		if _, err := db.Write.Exec("PRAGMA " + pragma); err != nil {
			t.Fatal(err)
		}
		if err := db.check(t.Context()); (err == nil) != ok {
			t.Errorf("%s: %v", pragma, err)
		}
	}
	other, err := sql.Open(driver, dsn(filepath.Join(t.TempDir(), "other.db"), "immediate", "journal_mode(DELETE)", "synchronous(FULL)"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := (&DB{Write: other}).check(t.Context()); err == nil || !strings.Contains(err.Error(), "journal mode delete") {
		t.Errorf("without a WAL: %v", err)
	}
}

func TestReadersAreFewAndStay(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "bus.db"))
	for range 5 {
		var wg sync.WaitGroup
		for range 5 * readers {
			wg.Go(func() {
				read[int](t, db.Read, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT max(i) FROM n")
			})
		}
		wg.Wait()
	}
	if s := db.Read.Stats(); s.MaxOpenConnections != readers || s.OpenConnections > readers || s.MaxIdleClosed > 0 {
		t.Errorf("%+v", s)
	}
}

func TestACommitSurvivesPowerLoss(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "bus.db"))
	for query, want := range map[string]string{
		"PRAGMA synchronous":  "2", // FULL: an fsync at every commit; 1, NORMAL, would lose the last ones
		"PRAGMA journal_mode": "wal",
		"PRAGMA busy_timeout": "10000",
		"PRAGMA auto_vacuum":  "2",
		"PRAGMA query_only":   "0",
	} {
		if got := read[string](t, db.Write, query); got != want {
			t.Errorf("%s is %s, not %s", query, got, want)
		}
		got := ""
		if err := db.Log.each(query, func(row *lite.Stmt) { got = row.ColumnText(0) }); err != nil || got != want {
			t.Errorf("%s is %s, not %s, for the log: %v", query, got, want, err)
		}
	}
}

func TestOnlyWhatIsDerivedWaitsForALaterFsync(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "bus.db"))
	var committed []string
	look := func(l *Log) error {
		return l.each("PRAGMA synchronous", func(row *lite.Stmt) { committed = append(committed, row.ColumnText(0)) })
	}
	for _, by := range []func(func(*Log) error) error{db.log, db.derive, db.derive, db.log, db.log, db.derive} {
		if err := by(look); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"2", "1", "1", "2", "2", "1"}; !slices.Equal(committed, want) {
		t.Errorf("committed by %v, not %v", committed, want)
	}
	// SQLite does not change this within a transaction: one that will not end lets no message be stored.
	if err := db.Log.Do("BEGIN"); err != nil {
		t.Fatal(err)
	}
	if err := db.log(look); err == nil || !strings.Contains(err.Error(), "set how to commit") || len(committed) != 6 {
		t.Errorf("a log that commits later stored something: %v", err)
	}
	if err := errors.Join(db.Log.Do("ROLLBACK"), db.log(look)); err != nil || committed[len(committed)-1] != "2" {
		t.Errorf("afterwards it committed by %v: %v", committed, err)
	}
}

func TestWritingHasOneConnectionAndTakesTheLockAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	db, other := open(t, path), open(t, path)
	if n := db.Write.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections write", n)
	}
	tx, err := db.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := other.Write.Exec("PRAGMA busy_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	// Nothing is written yet, and yet the lock is taken.
	if second, err := other.Write.BeginTx(t.Context(), nil); err == nil {
		_ = second.Rollback()
		t.Error("two transactions hold the write lock")
	}
	for name, held := range map[string]*DB{"of another process": other, "of this process": db} {
		held.Log.conn.SetBusyTimeout(time.Millisecond)
		err := held.Log.transact(func() error { t.Errorf("a second transaction %s holds the write lock", name); return nil })
		if lite.ErrCode(err).ToPrimary() != lite.ResultBusy {
			t.Errorf("the log of %s: %v", name, err)
		}
	}
}

func TestReadersCannotWriteAndDoNotWait(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "bus.db"))
	tx, err := db.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE bus SET last_id = 7"); err != nil {
		t.Fatal(err)
	}
	for range 2 * readers {
		if got := read[int](t, db.Read, "SELECT last_id FROM bus"); got != 0 {
			t.Errorf("a reader sees %d before the commit", got)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := read[int](t, db.Read, "SELECT last_id FROM bus"); got != 7 {
		t.Errorf("a reader sees %d after the commit", got)
	}
	for range 2 * readers {
		if _, err := db.Read.Exec("UPDATE bus SET last_id = 8"); err == nil {
			t.Fatal("a reader wrote")
		}
	}
}

func TestAnyPathWillDo(t *testing.T) {
	for _, name := range []string{
		"plain.db", "with blank.db", "what?.db", "a#b.db", "100%.db", "%41.db", "a&mode=memory.db", "?mode=memory", "a;b.db",
		"häuser 二.db", "quote'\".db", "a+b.db", "back\\slash.db", "file:x.db", "[x].db", ":memory:", "x?_pragma=synchronous(0)&y.db",
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "bus #1 50%? of it")
			if err := MakeFolder(filepath.Join(folder, name)); err != nil {
				t.Fatal(err)
			}
			db := open(t, filepath.Join(folder, name))
			if _, err := db.Write.Exec("UPDATE bus SET last_id = 42"); err != nil {
				t.Fatal(err)
			}
			if got := read[int](t, open(t, filepath.Join(folder, name)).Read, "SELECT last_id FROM bus"); got != 42 {
				t.Errorf("opened again it reads %d", got)
			}
			if got := read[int](t, db.Write, "PRAGMA synchronous"); got != 2 {
				t.Errorf("synchronous is %d", got)
			}
			files, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if !strings.HasPrefix(f.Name(), name) {
					t.Errorf("the database is in the file %q", f.Name())
				}
			}
		})
	}
}

func TestARelativePathStaysInItsFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"bus.db", "./bus 2.db", "sub/bus.db", "a:b.db"} {
		if err := MakeFolder(name); err != nil {
			t.Fatal(err)
		}
		open(t, name)
		if _, err := os.Stat(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilesAreTheirOwnersAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "folder")
	path := filepath.Join(folder, "bus.db")
	if err := MakeFolder(path); err != nil {
		t.Fatal(err)
	}
	db := open(t, path)
	if _, err := db.Write.Exec("UPDATE bus SET last_id = 42"); err != nil {
		t.Fatal(err)
	}
	defer db.Turn.Take()()
	lock := Lock(path)
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Unlock() }()
	seen := 0
	err := filepath.WalkDir(filepath.Dir(folder), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		seen++
		return err
	})
	if err != nil || seen < 7 { // two folders, the database, -wal, -shm and the locks
		t.Errorf("%v, %d files", err, seen)
	}
}

func TestWhatIsNoDatabaseIsRefused(t *testing.T) {
	for name, content := range map[string]string{
		"a text":            strings.Repeat("This is a letter to a friend. ", 100),
		"a broken database": "SQLite format 3\x00" + strings.Repeat("\xff", 8000),
	} {
		path := filepath.Join(t.TempDir(), "bus.db")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if db, err := Open(t.Context(), path); err == nil {
			_ = db.Close()
			t.Errorf("%s was opened", name)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != content {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
	if db, err := Open(t.Context(), filepath.Join(t.TempDir(), "no", "such", "folder.db")); err == nil {
		_ = db.Close()
		t.Error("a folder appeared")
	}
	if db, err := Open(t.Context(), t.TempDir()); err == nil {
		_ = db.Close()
		t.Error("a folder was opened")
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	version := read[int](t, db.Read, "PRAGMA user_version")
	if _, err := db.Write.Exec(fmt.Sprint("PRAGMA user_version = ", version+1)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = Open(t.Context(), path)
	if err == nil {
		_ = db.Close()
		t.Fatal("it was opened")
	}
	want := fmt.Sprintf("the database has schema version %d, this build knows %d: use a newer crosstalk", version+1, version)
	if err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestALogIsNotLeftToAnotherFile(t *testing.T) {
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "bus.db"), filepath.Join(dir, "copy.db")
	other, err := Open(t.Context(), copied)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write.Exec("UPDATE bus SET bus_id = 'copy'"); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Moved(); err != nil {
		t.Error(err)
	}
	if err := os.Rename(copied, path); err != nil {
		t.Skip(err) // a system that does not replace files which are open
	}
	if err := db.Moved(); err == nil || !strings.Contains(err.Error(), "another file was put in the place of "+path) {
		t.Error(err)
	}
	for range readers { // those that are open go on
		c, err := db.Read.Conn(t.Context())
		if err == nil {
			defer func() { _ = c.Close() }()
		} else if !strings.Contains(err.Error(), "another file was put") {
			t.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	again, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if got := read[string](t, again.Read, "SELECT bus_id FROM bus"); got != "copy" {
		t.Errorf("the copy has become %q", got)
	}
	if kept, err := filepath.Glob(path + "-wal.before-*"); err != nil || len(kept) != 1 {
		t.Errorf("the old log is %v, %v", kept, err)
	}
}
