package backup

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"crosstalk/models/store/sqlite"
)

// Options say how.
type Options struct {
	Force bool                  // a file that has the name already is replaced
	Tell  func(done, all int64) // hears each second how many bytes are written, of about how many
}

// Report says what is in a database.
type Report struct {
	File     string `json:"file"`
	Bytes    int64  `json:"bytes"`
	BusID    string `json:"bus_id"`
	LastID   int64  `json:"last_id"`
	Messages int64  `json:"messages"`
	Channels int64  `json:"channels"`
	Kept     string `json:"kept,omitempty"` // where the database is that was there before
}

// tries is how often a copy is begun anew, because somebody opened a database that nobody had open before.
const tries = 3

// Write copies the database at db into a new file.
func Write(ctx context.Context, db, file string, opt Options) (r Report, err error) {
	switch info, err := os.Stat(file); {
	case partOf(db, file):
		return r, fmt.Errorf("%s belongs to the database: name another file", file)
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return r, err
	case sameFile(db, info):
		return r, fmt.Errorf("%s is the database itself: name another file", file)
	case !info.Mode().IsRegular():
		return r, fmt.Errorf("%s is no file that could be replaced: name a new one", file)
	case !opt.Force:
		return r, there(file)
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
		return r, fmt.Errorf("there is no folder %s: make it first", filepath.Dir(file))
	}
	if err := usable(ctx, db); err != nil {
		return r, err
	}
	temp := beside(file)
	defer func() { err = errors.Join(err, remove(temp)) }()
	for try := 1; ; try++ {
		if err = copied(ctx, db, temp, opt.Tell); err == nil || try == tries || ctx.Err() != nil || !errors.Is(err, sqlite.ErrChanged) {
			break
		}
		if err := remove(temp); err != nil {
			return r, err
		}
	}
	if err != nil {
		return r, fmt.Errorf("copy the database: %w", err)
	}
	if r, err = look(ctx, temp); err != nil {
		return r, fmt.Errorf("the copy cannot be used: %w", err)
	}
	r.File = file
	return r, name(temp, file, opt.Force)
}

func there(file string) error {
	return fmt.Errorf("%s is there already: name another file, or say --force to replace it", file)
}

// sameFile tells whether a file, or a folder, is that of the other name.
func sameFile(db string, info fs.FileInfo) bool {
	own, err := os.Stat(db)
	return err == nil && os.SameFile(own, info)
}

// partOf tells whether a file has the name of one that stands beside the database, be it there or not: to replace the log
// would lose what was acknowledged, and a log that is none of its own spoils a database.
func partOf(db, file string) bool {
	names := []string{db}
	if real, err := filepath.EvalSymlinks(db); err == nil {
		names = append(names, real)
	}
	folder, err := os.Stat(filepath.Dir(file))
	if err != nil {
		return false
	}
	for _, name := range names {
		end, is := cutFold(filepath.Base(file), filepath.Base(name))
		if is && slices.Contains([]string{"-wal", "-shm", "-journal", ".lock", ".bell", ".next", ".turn"}, end) && sameFile(filepath.Dir(name), folder) {
			return true
		}
	}
	return false
}

// cutFold returns what of a name follows a beginning, without regard to upper and lower case, as some file systems have none.
func cutFold(name, beginning string) (end string, found bool) {
	if len(name) < len(beginning) || !strings.EqualFold(name[:len(beginning)], beginning) {
		return "", false
	}
	return strings.ToLower(name[len(beginning):]), true
}

// beside is a name that nobody has, in the same folder.
func beside(file string) string {
	return filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+"."+rand.Text()[:8])
}

// remove removes a file of ours and what SQLite may have put beside it.
func remove(temp string) (err error) {
	for _, end := range []string{"", "-journal", "-wal", "-shm"} {
		if rerr := os.Remove(temp + end); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// name gives the finished file its name. Between the first look and now somebody may have made one of that name.
func name(temp, file string, force bool) error {
	if !force {
		switch err := os.Link(temp, file); {
		case err == nil:
			return sqlite.Sync(filepath.Dir(file)) // temp is removed by whoever made it
		case errors.Is(err, fs.ErrExist):
			return there(file)
		}
		// The file system knows no links.
		if _, err := os.Lstat(file); err == nil {
			return there(file)
		}
	}
	if err := os.Rename(temp, file); err != nil {
		return err
	}
	return sqlite.Sync(filepath.Dir(file))
}

// copied copies, and tells how far it is by the size of what it has written.
func copied(ctx context.Context, from, to string, tell func(done, all int64)) error {
	if tell == nil {
		return sqlite.Copy(ctx, from, to)
	}
	over := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			done, err := os.Stat(to)
			all, aerr := os.Stat(from)
			if err == nil && aerr == nil {
				tell(done.Size(), max(all.Size(), done.Size()))
			}
		}
	})
	err := sqlite.Copy(ctx, from, to)
	close(over)
	telling.Wait()
	return err
}

// look reads all of a file, and says what is in it.
func look(ctx context.Context, file string) (r Report, err error) {
	db, still, err := sqlite.ReadOnly(file)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := ours(ctx, db, file); err != nil {
		return r, err
	}
	if err := sqlite.Whole(ctx, db); err != nil {
		return r, err
	}
	if err := db.QueryRowContext(ctx, `SELECT bus_id, last_id, (SELECT coalesce(sum(message_count), 0) FROM channels),
		(SELECT count(*) FROM channels) FROM bus`).Scan(&r.BusID, &r.LastID, &r.Messages, &r.Channels); err != nil {
		return r, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return r, err
	}
	r.File, r.Bytes = file, info.Size()
	return r, still()
}

// usable refuses a database that would make no copy of use, before any is made.
func usable(ctx context.Context, path string) error {
	db, _, err := sqlite.ReadOnly(path)
	if err != nil {
		return err
	}
	return errors.Join(ours(ctx, db, path), db.Close())
}

// ours refuses what is no database of crosstalk, or one that this build cannot use.
func ours(ctx context.Context, db *sql.DB, file string) error {
	var version, tables int
	const query = `SELECT (SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('bus', 'channels', 'messages'))`
	if err := db.QueryRowContext(ctx, query).Scan(&version, &tables); err != nil {
		return err
	}
	known, err := sqlite.Known()
	switch {
	case err != nil:
		return err
	case tables < 3 || version == 0:
		return fmt.Errorf("%s is no database of crosstalk", file)
	case version > known:
		return fmt.Errorf("%s has schema version %d, this build knows %d: use a newer crosstalk", file, version, known)
	}
	return nil
}
