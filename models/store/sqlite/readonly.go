package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrChanged says that a file changed while it was read.
var ErrChanged = errors.New("was written to while it was read")

// ReadOnly opens a database file of any program, and changes neither it nor its folder. still says at the end whether
// what was read is of one state of the file.
func ReadOnly(path string) (db *sql.DB, still func() error, err error) {
	mode := "&mode=ro"
	still = func() error { return nil }
	before, idle, err := idleWAL(path)
	if err != nil {
		return nil, nil, err
	}
	if idle {
		// To read it in the common way SQLite would put two files beside it, owned by whoever reads.
		mode = "&mode=ro&immutable=1"
		still = func() error {
			after, idle, err := idleWAL(path)
			if err == nil && (!idle || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
				err = fmt.Errorf("%s %w: try again", path, ErrChanged)
			}
			return err
		}
	}
	db, err = sql.Open(driver, dsn(path, "deferred", "query_only(1)")+mode)
	return db, still, err
}

// idleWAL says whether a file is a database in WAL mode that nobody has open: the last to close it removes the log.
func idleWAL(path string) (info fs.FileInfo, idle bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = f.Close() }()
	if info, err = f.Stat(); err != nil {
		return nil, false, err
	}
	head := make([]byte, 20)
	if _, err := io.ReadFull(f, head); err != nil || !bytes.HasPrefix(head, []byte("SQLite format 3\x00")) {
		return nil, false, fmt.Errorf("%s is no SQLite database", path)
	}
	_, err = os.Stat(path + "-wal")
	return info, head[18] == 2 && errors.Is(err, fs.ErrNotExist), nil
}
