package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"crosstalk/internal/eventually"
)

func TestRoomThatIsFreeIsGivenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	db := open(t, path)
	for _, statement := range []string{
		"CREATE TABLE junk (id INTEGER PRIMARY KEY, x BLOB)",
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) INSERT INTO junk SELECT i, randomblob(4000) FROM n",
		"DELETE FROM junk WHERE id % 20 > 0",
	} {
		if _, err := db.Write.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	was := read[int](t, db.Read, "PRAGMA page_count")
	eventually.True(t, "the file has shrunk", func() bool {
		done, err := db.Tend(t.Context())
		if err != nil || done == nil {
			t.Fatal("nobody else tends", err)
		}
		if err := done(); err != nil {
			t.Fatal(err)
		}
		return read[int](t, db.Read, "PRAGMA freelist_count") <= shrinkSpare+read[int](t, db.Read, "PRAGMA page_count")/10
	})
	if now := read[int](t, db.Read, "PRAGMA page_count"); was < 1500 || now > 900 || now < shrinkSpare {
		t.Errorf("%d pages are left of %d", now, was)
	}
	if got := read[int](t, db.Read, "SELECT count(*) FROM junk WHERE length(x) = 4000"); got != 75 {
		t.Errorf("%d rows are left", got)
	}
	if err := Whole(t.Context(), db.Read); err != nil {
		t.Error(err)
	}
	if _, err := db.Write.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 900*4096 {
		t.Errorf("%v, %v", info, err)
	}
}
