package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"crosstalk/models/store/backup"
)

// backupCommand copies a database that is in use.
type backupCommand struct {
	File             string `arg:"" complete:"file" help:"The file to make."`
	Force            bool   `help:"Replace the file if it is there."`
	databaseSettings `embed:""`
	JSON             bool `name:"json" help:"Print one JSON object."`
}

// Help says what comes of it.
func (*backupCommand) Help() string {
	return `Copies a SQLite database while hubs and AI clients go on using it. The copy is of one moment, has everything in it, keys
too, and only its owner may read it. It is read from end to end before it gets its name. How far it is stands on standard error,
if it takes longer. A PostgreSQL database is copied with pg_dump: see docs/operations.md.

Examples:

    crosstalk backup /backup/crosstalk-$(date +%F).db
    crosstalk backup --force --db ./team.db /backup/team.db`
}

// Run copies.
func (b *backupCommand) Run(p *process) error {
	db, err := b.database(p)
	if err != nil {
		return err
	}
	if db.url != "" {
		return errors.New("PostgreSQL has its own tool for this: pg_dump --format=custom --schema=crosstalk --file=FILE \"$DATABASE_URL\"")
	}
	if _, err := os.Stat(db.file); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database at %s: name the file with --db", db)
	}
	r, err := backup.Write(p.ctx, db.file, b.File, backup.Options{Force: b.Force, Tell: written(p.stderr)})
	if err != nil {
		return err
	}
	return told(p, b.JSON, r, fmt.Sprintf("%s: %s", line(r.File), contents(r)))
}

// restoreCommand puts a copy in the place of a database.
type restoreCommand struct {
	File             string `arg:"" complete:"file" help:"The copy, which crosstalk backup has made."`
	databaseSettings `embed:""`
	JSON             bool `name:"json" help:"Print one JSON object."`
}

// Help says what comes of it.
func (*restoreCommand) Help() string {
	return `Puts a copy in the place of a SQLite database, which nobody may have open: stop the hub and AI clients first, and run this
as the user that the hub runs as. What was there is kept beside it. The database gets a new bus_id, so that clients start over
where they know more than the copy does. Keys are as they were when the copy was made: revoke again those that were
revoked since. PostgreSQL is restored with pg_restore: see docs/operations.md.

Examples:

    crosstalk restore /backup/crosstalk-2026-11-23.db
    crosstalk restore /backup/team.db --db ./team.db`
}

// Run restores.
func (c *restoreCommand) Run(p *process) error {
	db, err := c.database(p)
	if err != nil {
		return err
	}
	if db.url != "" {
		return errors.New("PostgreSQL has its own tool for this, pg_restore: docs/operations.md says how")
	}
	r, err := backup.Restore(p.ctx, c.File, db.file, backup.Options{Tell: written(p.stderr)})
	if err != nil {
		return err
	}
	said := fmt.Sprintf("%s is restored: %s, bus_id %s", line(r.File), contents(r), r.BusID)
	if r.Kept != "" {
		said += "\nwhat was there before is " + line(r.Kept)
	}
	return told(p, c.JSON, r, said)
}

func contents(r backup.Report) string {
	return fmt.Sprintf("%d messages in %d channels, the newest %d; %s", r.Messages, r.Channels, r.LastID, bytesText(r.Bytes))
}

func told(p *process, asJSON bool, r any, said string) error {
	out := newPrinter(p, asJSON)
	if out.json {
		return out.object(r)
	}
	_, err := fmt.Fprintln(out.w, said)
	return err
}

// written tells how far a copy is.
func written(to io.Writer) func(done, all int64) {
	return func(done, all int64) {
		_, _ = fmt.Fprintf(to, "%s of about %s\n", bytesText(done), bytesText(all))
	}
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if n < 10<<20 || unit == "GiB" {
			return fmt.Sprintf("%.1f %s", float64(n)/(1<<10), unit)
		}
		n >>= 10
	}
	return ""
}
