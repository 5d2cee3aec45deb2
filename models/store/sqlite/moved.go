package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// file is the database's as it was when it was opened.
type file struct {
	path  string
	place fs.FileInfo
}

// Moved says whether the file was removed, or another one put in its place. SQLite goes on with the one that it opened.
func (f *file) Moved() error {
	switch now, err := os.Stat(f.path); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s was removed", f.path)
	case err == nil && !os.SameFile(now, f.place):
		return fmt.Errorf("another file was put in the place of %s", f.path)
	}
	return nil
}

// putAside gives the log of a file that was moved another name. SQLite leaves it there, and would take it for the log of
// whatever file has the name next: a backup that somebody has put there would be overwritten with it.
func (db *DB) putAside() error {
	if db.wal == nil || db.Moved() == nil {
		return nil
	}
	name := db.path + "-wal"
	if now, err := os.Stat(name); err != nil || !os.SameFile(now, db.wal) {
		return nil
	}
	return errors.Join(os.Rename(name, name+".before-"+time.Now().UTC().Format("20060102T150405Z")), os.Remove(db.path+"-shm"))
}

// connector opens the connections of a pool, of which some may come late: one to another file would take the log that is there for
// that one's.
type connector struct {
	driver sqldriver.Driver
	dsn    string
	file   *file
}

// Connect is for database/sql.
func (c *connector) Connect(context.Context) (sqldriver.Conn, error) {
	if err := c.file.Moved(); err != nil {
		return nil, err
	}
	return c.driver.Open(c.dsn)
}

// Driver is for database/sql.
func (c *connector) Driver() sqldriver.Driver { return c.driver }
