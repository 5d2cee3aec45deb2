package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"crosstalk/models"
	"crosstalk/models/store/inspect"
)

// statsCommand says how large a database is.
type statsCommand struct {
	databaseSettings `embed:""`
	JSON             bool `name:"json" help:"Print one JSON object."`
}

// Help says what is shown.
func (*statsCommand) Help() string {
	return `Shows how many messages each channel has, how many bytes of text, and from when they are, what
it keeps, the largest channel first; then shared data, the database, and how far the search index is behind. It changes nothing, and hubs may go on using the database.

Examples:

    crosstalk stats --db ./team.db
    DATABASE_URL=postgres://crosstalk:secret@db.example.com/team crosstalk stats --json | jq .database_bytes`
}

// Run prints sizes.
func (c *statsCommand) Run(p *process) (err error) {
	db, err := c.database(p)
	if err != nil {
		return err
	}
	from, err := inspect.Open(p.ctx, db.file, db.url)
	if err != nil {
		return fmt.Errorf("database %s: %w", db, err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	m, err := from.Measure(p.ctx)
	if err != nil {
		return fmt.Errorf("database %s: %w", db, err)
	}
	out := newPrinter(p, c.JSON)
	if out.json {
		return out.object(m)
	}
	var rows [][]string
	for _, ch := range m.Channels {
		rows = append(rows, []string{"#" + ch.Name, strconv.FormatInt(ch.Messages, 10), bytesText(ch.Bytes), when(ch.Oldest), when(ch.Newest), kept(ch.KeepDays, ch.KeepMessages)})
	}
	if err := out.table([]string{"CHANNEL", "MESSAGES", "CONTENT", "OLDEST", "NEWEST", "KEEPS"}, rows); err != nil {
		return err
	}
	said := fmt.Sprintf("\nmessages     %d, %s of content, the newest %d\nshared data  %d, %s\ndatabase     %s", m.Messages, bytesText(m.ContentBytes),
		m.LastID, m.DataItems, bytesText(m.DataBytes), bytesText(m.DatabaseBytes))
	if m.FreeBytes != nil && m.WALBytes != nil {
		said += fmt.Sprintf(", %s of it free; log beside it %s", bytesText(*m.FreeBytes), bytesText(*m.WALBytes))
	}
	index := fmt.Sprintf("%d messages behind", m.IndexLag)
	if m.IndexStale != nil && *m.IndexStale > 0 {
		index += fmt.Sprintf(", %d removed ones still in it", *m.IndexStale)
	}
	_, err = fmt.Fprintf(out.w, "%s\nindex        %s\n", said, index)
	return err
}

// kept says what a channel keeps.
func kept(days, messages *int64) string {
	if days == nil || messages == nil {
		return "what the hub keeps"
	}
	var all []string
	if *days > 0 {
		all = append(all, fmt.Sprintf("%d days", *days))
	}
	if *messages > 0 {
		all = append(all, fmt.Sprintf("%d messages", *messages))
	}
	if len(all) == 0 {
		return "all"
	}
	return strings.Join(all, ", ")
}

func when(t *models.Time) string {
	if t == nil {
		return "-"
	}
	return moment(t.Time(), time.Now())
}
