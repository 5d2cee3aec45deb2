package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/imports"
)

// importCommand has a subcommand for each program that messages may come from.
type importCommand struct {
	CrossClaude importCrossClaude `cmd:"" name:"cross-claude" help:"Take over what a cross-claude-mcp has kept."`
}

// importCrossClaude takes over what a cross-claude-mcp has kept.
type importCrossClaude struct {
	From             string `arg:"" optional:"" name:"path-or-url" help:"Its SQLite file or PostgreSQL URL. Without it: ~/.cross-claude-mcp/messages.db."`
	databaseSettings `embed:""`
	LogLevel         string `enum:"debug,info,warn,error" default:"warn" placeholder:"LEVEL" from:"CROSSTALK_LOG_LEVEL" help:"debug, info, warn or error, on standard error."`
}

// Help says what to expect.
func (i *importCrossClaude) Help() string {
	return `Channels, messages, instances, shared data and read positions are taken over; messages keep their ids, so that clients go on
with the after_id they know. The database that is read is not changed, and cross-claude-mcp may go on running. Either all
is taken over or nothing. It may be run again: what is here already is not added again, what has come since is. What this hub
could not have accepted, such as an empty name, is mended or left out, and the report says so.

Examples:

    crosstalk import cross-claude
    crosstalk import cross-claude /backup/messages.db --db ./team.db
    crosstalk import cross-claude "$OLD_DATABASE_URL"`
}

// Run imports and prints a report.
func (i *importCrossClaude) Run(p *process) (err error) {
	if i.From == "" {
		if i.From = crossClaudeFile(p.getenv); i.From == "" {
			return misuse("HOME is not set: name the database of cross-claude-mcp")
		}
	}
	// Before our own is opened, so that a wrong path leaves no trace.
	from, err := imports.Open(p.ctx, i.From)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	db, err := i.database(p)
	if err != nil {
		return err
	}
	st, err := store.Open(p.ctx, db.options(newLog(p.stderr, i.LogLevel, "text")))
	if err != nil {
		return fmt.Errorf("database %s: %w", db, err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	report, err := imports.CrossClaude(p.ctx, st, from, imports.Options{Tell: progress(p.stderr)})
	switch {
	case models.CodeOf(err) != models.Internal && err != nil:
		return errors.New(models.Text(err))
	case err != nil:
		return fmt.Errorf("nothing was imported: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "From %s\nto %s\n\n%s%s", from.Name(), db, report.String(), aging(report.Oldest))
	return err
}

// aging warns of what retention is about to remove.
func aging(oldest models.Time) string {
	if oldest == 0 || time.Since(oldest.Time()) < 30*24*time.Hour {
		return ""
	}
	return fmt.Sprintf("\nThe oldest message is of %s. crosstalk serve removes messages after 30 days: start it with --cleanup-days 0 to keep all.\n", oldest.Time().Format(time.DateOnly))
}

// progress tells every second how far it has come.
func progress(to io.Writer) func(done, all int64) {
	last := time.Now()
	return func(done, all int64) {
		if time.Since(last) >= time.Second {
			last = time.Now()
			_, _ = fmt.Fprintf(to, "%d of %d messages\n", done, all)
		}
	}
}

// crossClaudeFile is where a cross-claude-mcp on this machine keeps its messages; empty without a home.
func crossClaudeFile(getenv func(string) string) string {
	if home := homeOf(getenv); home != "" {
		return filepath.Join(home, ".cross-claude-mcp", "messages.db")
	}
	return ""
}

// hintImport tells whoever starts with an empty database that there are messages to take over.
func hintImport(ctx context.Context, st *store.Store, db database, p *process) {
	file := crossClaudeFile(p.getenv)
	if info, err := os.Stat(file); err != nil || info.IsDir() || info.Size() == 0 {
		return
	}
	if head, err := st.Head(ctx); err != nil || head > 0 {
		return
	}
	command := "crosstalk import cross-claude"
	if own, err := databasePath("", p.getenv); db.url == "" && (err != nil || own != db.file) {
		command += " --db " + shellWord(db.file)
	}
	_, _ = fmt.Fprintf(p.stderr, "crosstalk: cross-claude-mcp has left messages in %s. To take them over, before the first message comes in here: %s\n", file, command)
}

// shellWord quotes what a shell would not take as one word.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/._-+=:,@%", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return s
	}
	return shellQuote(s)
}
