package main

import (
	"errors"
	"fmt"
	"time"

	"crosstalk/models/store/inspect"
)

// verifyCommand recounts a database.
type verifyCommand struct {
	databaseSettings `embed:""`
	JSON             bool `name:"json" help:"Print one JSON object for each check."`
}

// Help says what is looked at.
func (*verifyCommand) Help() string {
	return `Reads a database from end to end, as it is at one moment, and changes nothing: hubs may go on using it. It looks whether ids
and times are in order, whether the sequence numbers of each channel have no hole, whether all counts are what they
count, whether shared data is as long as is said of it, whether the search index has every message, and whether no read position is
beyond the log. The exit code is 1 if anything is wrong.

Examples:

    crosstalk verify
    crosstalk verify --db /backup/crosstalk-2026-11-23.db
    DATABASE_URL=postgres://crosstalk:secret@db.example.com/team crosstalk verify --json`
}

var errFaulty = errors.New("the database is not as it should be: see the lines that begin with fail, and do not remove your backups")

// Run prints what it finds.
func (c *verifyCommand) Run(p *process) (err error) {
	db, err := c.database(p)
	if err != nil {
		return err
	}
	from, err := inspect.Open(p.ctx, db.file, db.url)
	if err != nil {
		return fmt.Errorf("database %s: %w", db, err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	out := &checkup{p: p, out: newPrinter(p, c.JSON)}
	begin := time.Now()
	err = from.Verify(p.ctx, progress(p.stderr), func(f inspect.Finding) error {
		out.say(f.State, f.Check, 0, "%s", f.Text)
		return out.err
	})
	switch {
	case err != nil:
		return err
	case out.sick:
		return errFaulty
	}
	out.say("ok", "database", time.Since(begin), "%s is as it should be", db)
	return out.err
}
