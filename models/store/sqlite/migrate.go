package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

//go:embed migrations
var migrations embed.FS

// Status says which version of the schema a database has, which may not be there yet, and which ones this build knows.
func Status(ctx context.Context, path string) (version int, known []string, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, nil, err
	}
	for _, name := range files {
		known = append(known, strings.TrimSuffix(strings.TrimPrefix(name, "migrations/"), ".sql"))
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, known, nil
	}
	db, err := sql.Open(driver, dsn(path, "deferred", "query_only(1)"))
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return version, known, db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
}

// ours refuses a database in which another program keeps something, and leaves it as it is. Of one that cannot be looked at
// nothing is said here: to open it tells why.
func ours(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil
	}
	db, _, err := ReadOnly(path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var has, theirs string
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(CASE WHEN name = 'bus' THEN name END), ''), coalesce(min(name), '')
		FROM sqlite_master WHERE type = 'table'`).Scan(&has, &theirs)
	if err != nil || has != "" || theirs == "" {
		return nil
	}
	return fmt.Errorf("it belongs to another program, which keeps %s in it: name another file with --db. "+
		"What a cross-claude-mcp has kept is taken over by crosstalk import cross-claude FILE", theirs)
}

// migrate brings the tables up to the newest version this build knows. Each version is one file,
// applied in one transaction, forwards only.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if version > len(files) {
		return fmt.Errorf("the database has schema version %d, this build knows %d: use a newer crosstalk", version, len(files))
	}
	for n, name := range files[version:] {
		if err := apply(ctx, db, name, version+n+1); err != nil {
			return fmt.Errorf("migrate to %s: %w", name, err)
		}
	}
	return nil
}

func apply(ctx context.Context, db *sql.DB, name string, version int) error {
	if !strings.HasPrefix(name[strings.LastIndexByte(name, '/')+1:], fmt.Sprintf("%04d_", version)) {
		return fmt.Errorf("it should be number %d", version)
	}
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, string(text)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "PRAGMA user_version = "+strconv.Itoa(version)); err != nil {
		return err
	}
	return tx.Commit()
}
