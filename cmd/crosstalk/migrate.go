package main

import (
	"errors"
	"fmt"
	"strings"

	"crosstalk/models/store"
)

// migrateCommand looks at the tables of a database, or brings them up to date.
type migrateCommand struct {
	Status migrateStatus `cmd:"" help:"Say which version the tables have, and what this build would change. Changes nothing."`
	Up     migrateUp     `cmd:"" help:"Bring the tables up to date."`
}

// Help says when it is needed.
func (migrateCommand) Help() string {
	return `Every command brings the tables up to date when it opens the database, and several may start at the same time. This one is
for those who want to do so beforehand, for instance as a database user with more rights. There is no way back: an older
build refuses a newer database.

Examples:

    crosstalk migrate status
    DATABASE_URL=postgres://owner:secret@db.example.com/team crosstalk migrate up`
}

type migrateStatus struct {
	databaseSettings `embed:""`
}

// Run prints what there is and what would be added.
func (m *migrateStatus) Run(p *process) error {
	db, err := m.database(p)
	if err != nil {
		return err
	}
	v, err := store.VersionOf(p.ctx, db.options(nil))
	if err != nil {
		return fmt.Errorf("database %s: %w", db, err)
	}
	_, err = fmt.Fprintf(p.stdout, "database %s\nversion %d of %d\n", db, v.Has, v.Known)
	if len(v.Pending) > 0 && err == nil {
		_, err = fmt.Fprintf(p.stdout, "to come: %s\n", strings.Join(v.Pending, ", "))
	}
	if v.Has > v.Known && err == nil {
		err = errors.New("the database is newer than this build, which refuses it: use a newer crosstalk")
	}
	return err
}

type migrateUp struct {
	databaseSettings `embed:""`
}

// Run opens the database, which brings it up to date.
func (m *migrateUp) Run(p *process) error {
	db, err := m.database(p)
	if err != nil {
		return err
	}
	was, err := store.VersionOf(p.ctx, db.options(nil))
	if err != nil {
		return fmt.Errorf("database %s: %w", db, err)
	}
	s, err := store.Open(p.ctx, db.options(nil))
	if err != nil {
		return fmt.Errorf("database %s: %w", db, err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "database %s\nversion %d, it was %d\n", db, max(was.Known, was.Has), was.Has)
	return err
}
