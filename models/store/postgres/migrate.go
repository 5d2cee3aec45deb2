package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations
var migrations embed.FS

// version is one step of the schema.
type version struct{ name, text string }

// versions are all that this build knows, in order.
func versions() (list []version) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	for _, file := range files {
		text, err := migrations.ReadFile(file)
		if err != nil {
			panic(err) // what Glob found is in the program
		}
		list = append(list, version{strings.TrimSuffix(path.Base(file), ".sql"), string(text)})
	}
	return list
}

// Status says which version of the schema the database has, and which ones this build knows.
func Status(ctx context.Context, url string) (version int, known []string, err error) {
	c, err := parse(url)
	if err != nil {
		return 0, nil, explain(err)
	}
	conn, err := pgx.ConnectConfig(ctx, c.ConnConfig)
	if err != nil {
		return 0, nil, explain(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, v := range versions() {
		known = append(known, v.name)
	}
	version, err = versionOf(ctx, conn)
	return version, known, err
}

// migrate brings the tables up to the newest version this build knows: forwards only, in one transaction, which holds
// a lock, so that of several processes that start at once one does it and the others find it done.
func migrate(ctx context.Context, c config) error {
	own := c
	own.ConnConfig = c.Copy()
	own.wait(migrationTime)
	conn, err := pgx.ConnectConfig(ctx, own.ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	known := versions()
	version, err := versionOf(ctx, conn)
	if err != nil || version == len(known) {
		return err
	}
	begin := append(c.begin(), "SET LOCAL statement_timeout = 0", "SELECT pg_advisory_xact_lock("+migrateLock+")")
	if _, err := conn.Exec(ctx, strings.Join(begin, "; ")); err != nil {
		return err
	}
	if version, err = versionOf(ctx, conn); err != nil {
		return err
	}
	if version > len(known) {
		return fmt.Errorf("the database has schema version %d, this build knows %d: use a newer crosstalk", version, len(known))
	}
	for n, v := range known[version:] {
		if err := apply(ctx, conn, v, version+n+1); err != nil {
			return fmt.Errorf("migrate to %s: %w", v.name, err)
		}
	}
	_, err = conn.Exec(ctx, "COMMIT")
	return err
}

// versionOf reads which version the database has. One in which nobody has been yet has none. It asks the catalog and
// not to_regclass, whose answer can be from before a lock was waited for.
func versionOf(ctx context.Context, conn *pgx.Conn) (version int, err error) {
	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'crosstalk' AND tablename = 'schema_version')").Scan(&there)
	if err == nil && there {
		err = conn.QueryRow(ctx, "SELECT max(version) FROM crosstalk.schema_version").Scan(&version)
	}
	return version, err
}

func apply(ctx context.Context, conn *pgx.Conn, v version, number int) error {
	if !strings.HasPrefix(v.name, fmt.Sprintf("%04d_", number)) {
		return fmt.Errorf("it should be number %d", number)
	}
	if number == 1 {
		if err := makeSchema(ctx, conn); err != nil {
			return err
		}
	}
	// Without parameters several statements go at once.
	if _, err := conn.Exec(ctx, "SET LOCAL search_path = crosstalk; "+v.text); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, fmt.Sprintf("UPDATE crosstalk.schema_version SET version = %d", number))
	return err
}

// makeSchema makes the schema unless somebody who may has done so for us.
func makeSchema(ctx context.Context, conn *pgx.Conn) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'crosstalk')").Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := conn.Exec(ctx, "CREATE SCHEMA crosstalk"); err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, "CREATE TABLE crosstalk.schema_version (version INTEGER NOT NULL); INSERT INTO crosstalk.schema_version VALUES (0)")
	return err
}
