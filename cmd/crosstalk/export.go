package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"crosstalk/models"
)

// exportCommand writes out a channel.
type exportCommand struct {
	Channel string      `arg:"" help:"The channel, with # or without it."`
	Format  string      `enum:"jsonl,markdown" default:"jsonl" placeholder:"FORMAT" help:"jsonl, one message on each line, or markdown. Without it: jsonl."`
	Since   string      `placeholder:"WHEN" help:"Begin after this message, this long ago, or at this time: 1200, 90m, 7d, 2026-11-23T10:00."`
	Output  string      `short:"o" placeholder:"FILE" complete:"file" help:"Write there, in one piece or not at all. Without it: standard output."`
	Hub     hubSettings `embed:""`
}

// Help says what is in it.
func (*exportCommand) Help() string {
	return `What is stored when the export begins is written, oldest first. How far it is stands on standard error, if it takes
longer.

Examples:

    crosstalk export '#plans' --format markdown -o plans.md
    crosstalk export build --since 7d | jq -r 'select(.message_type == "status") | .content'`
}

// Run writes it page by page.
func (e *exportCommand) Run(p *process) error {
	ch, err := models.ParseChannel(e.Channel)
	if err != nil {
		return usageError{err}
	}
	when, err := parseSince(e.Since, time.Now())
	if err != nil {
		return err
	}
	return e.Hub.do(p, there, func(b *bus) error {
		write := func(w io.Writer) error {
			buf := bufio.NewWriterSize(w, 64<<10)
			if err := e.write(p, b, buf, ch, when); err != nil {
				return err
			}
			return buf.Flush()
		}
		if e.Output != "" {
			return writeFile(e.Output, write)
		}
		return write(p.stdout)
	})
}

func (e *exportCommand) write(p *process, b *bus, w *bufio.Writer, ch string, when since) (err error) {
	after := int64(0)
	switch {
	case when.id != nil:
		after = *when.id
	case !when.at.IsZero():
		if after, err = positionAt(p.ctx, b, []string{ch}, when.at); err != nil {
			return err
		}
	}
	head, err := headOf(p.ctx, b)
	if err != nil {
		return err
	}
	out := &printer{w: w, json: true}
	if e.Format == "markdown" {
		_, _ = fmt.Fprintf(w, "# %s\n", ch) // an error stays with the writer
	}
	newest, err := piece(p.ctx, b, ch, map[string]int64{"before_id": head + 1, "limit": 1})
	if err != nil {
		return err
	}
	tell, first := progress(p.stderr), int64(0)
	for {
		part, err := piece(p.ctx, b, ch, map[string]int64{"after_id": after, "limit": 200})
		if err != nil {
			return err
		}
		if after > 0 && !part.Recovered {
			_, _ = fmt.Fprintf(p.stderr, "crosstalk: messages after %d are gone: they were older than the hub keeps them\n", after)
		}
		for i := range part.Messages {
			m := &part.Messages[i]
			if m.ID > head {
				return nil
			}
			if e.Format == "markdown" {
				err = markdown(w, m)
			} else {
				err = out.object(m)
			}
			if err != nil {
				return err
			}
			if first == 0 {
				first = m.Seq
			}
		}
		after = part.NextAfterID
		if !part.More || after >= head {
			return nil
		}
		if n := len(part.Messages); n > 0 && len(newest.Messages) > 0 {
			tell(part.Messages[n-1].Seq-first+1, newest.Messages[0].Seq-first+1)
		}
	}
}

// markdown writes one message under a heading of its own. Its text is quoted, so that no heading in it passes for one.
func markdown(w io.Writer, m *models.Message) error {
	head := fmt.Sprintf("\n## %d, %s, %s", m.ID, strings.ReplaceAll(name(m.Sender), "`", "'"), m.CreatedAt)
	if m.Type != models.TypeMessage {
		head += ", " + line(string(m.Type))
	}
	if m.InReplyTo != nil {
		head += fmt.Sprintf(", to %d", *m.InReplyTo)
	}
	_, err := fmt.Fprintf(w, "%s\n\n> %s\n", head, paragraph(m.Content, "> "))
	return err
}
