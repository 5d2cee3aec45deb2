package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"

	"crosstalk/hub"
	"crosstalk/hub/doorbell"
	"crosstalk/models"
	"crosstalk/models/store"
)

// databaseSettings say where messages are kept.
type databaseSettings struct {
	DB          string `group:"Storage" name:"db" placeholder:"FILE" complete:"file" from:"CROSSTALK_DB" help:"The SQLite database. Without it: ~/.crosstalk/crosstalk.db."`
	DatabaseURL string `group:"Storage" name:"database-url" placeholder:"URL" from:"DATABASE_URL" help:"A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL."`
}

// serverSettings are for those that stay on the database.
type serverSettings struct {
	ListenURL   string `group:"Storage" name:"listen-url" placeholder:"URL" from:"CROSSTALK_LISTEN_URL,DATABASE_LISTEN_URL" help:"The same PostgreSQL database past a pooler: there other nodes are heard at once, and not a second late."`
	Connections int    `group:"Storage" name:"database-connections" default:"5" placeholder:"N" from:"CROSSTALK_DATABASE_CONNECTIONS" help:"Make at most so many connections to PostgreSQL, and two to hear other nodes. At least 3; without it: 5."`
	SkipImport  bool   `group:"Storage" from:"CROSSTALK_SKIP_IMPORT" help:"Leave alone what a cross-claude-mcp has left in the same PostgreSQL database. Without it, it is taken over at the first start."`
}

// database is where a hub keeps its messages: a file, or a PostgreSQL database.
type database struct {
	file        string
	url, listen string
	connections int
	skipImport  bool
}

// database understands the settings. What is given goes before what is set by a variable.
func (d databaseSettings) database(p *process) (database, error) {
	given := d.DB != "" && !p.filled("db")
	switch {
	case d.DatabaseURL == "" || given && p.filled("database-url"):
		file, err := databasePath(d.DB, p.getenv)
		return database{file: file}, err
	case given:
		return database{}, misuse("--db and --database-url name two databases: give one of them")
	}
	return database{url: d.DatabaseURL, listen: d.DatabaseURL}, checkDatabaseURL("database URL", d.DatabaseURL)
}

// with adds what only those say that stay.
func (d database) with(s serverSettings) (database, error) {
	d.connections, d.skipImport = s.Connections, s.SkipImport
	if d.url == "" {
		return d, nil
	}
	var few, other error
	if s.Connections < store.MinConnections {
		few = misuse("--database-connections must be at least %d, not %d", store.MinConnections, s.Connections)
	}
	if s.ListenURL != "" {
		d.listen = s.ListenURL
		other = checkDatabaseURL("listen URL", s.ListenURL)
	}
	return d, errors.Join(few, other)
}

// checkDatabaseURL does not repeat what it refuses: there may be a password in it.
func checkDatabaseURL(what, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return misuse("the %s must look like postgres://user:password@host:5432/name", what)
	}
	return nil
}

func (d database) options(log *slog.Logger) store.Options {
	return store.Options{Path: d.file, URL: d.url, Connections: d.connections, Log: log}
}

// String names the database, without who uses it and with which password.
func (d database) String() string {
	if d.url == "" {
		return d.file
	}
	u, err := url.Parse(d.url)
	if err != nil {
		return "postgres://"
	}
	return (&url.URL{Scheme: "postgres", Host: u.Host, Path: u.Path}).String()
}

// short is a name that says no more than needed.
func (d database) short() string {
	if d.url == "" {
		return filepath.Base(d.file)
	}
	return d.String()
}

// bell tells other processes on a database that the log moved, and hears them.
type bell interface {
	hub.Bell
	Run(context.Context) error
}

// openBell makes the bell of the database; nil where there can be none.
func (d database) openBell(busID string, log *slog.Logger) (bell, error) {
	if d.url == "" {
		return doorbell.Open(d.file+".bell", log)
	}
	if u, err := url.Parse(d.listen); err == nil && u.Query().Get("pgbouncer") == "true" {
		return nil, fmt.Errorf("nobody can be heard through a pooler: give the database's own URL as --listen-url or DATABASE_LISTEN_URL")
	}
	return doorbell.Dial(d.listen, busID, log)
}

// silent is a bell that never rings: the log is looked at now and then.
type silent struct{}

// Trouble is what it is.
func (silent) Trouble() error {
	return models.Errorf(models.Unavailable, "there is none: messages of other processes may come a second late")
}

func (silent) Ring()                 {}
func (silent) Rung() <-chan struct{} { return nil }

// homeOf is the user's folder, empty where it is not known.
func homeOf(getenv func(string) string) string { return cmp.Or(getenv("HOME"), getenv("USERPROFILE")) }

// databasePath is where the database is that a setting names, which may be empty.
func databasePath(db string, getenv func(string) string) (string, error) {
	home := homeOf(getenv)
	rest, inHome := strings.CutPrefix(db, "~/")
	switch {
	case db == "":
		rest, inHome = ".crosstalk/crosstalk.db", true
	case db == "~" || strings.HasSuffix(db, "/"):
		return "", misuse("--db %q must be a file, not a folder", db)
	}
	if inHome && home == "" {
		return "", misuse("HOME is not set, so there is no place for the database: name a file with --db")
	}
	if inHome {
		return filepath.Join(home, rest), nil
	}
	return db, nil
}
