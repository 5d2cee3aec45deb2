package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"crosstalk/cmd/crosstalk/remote"
	"crosstalk/models"
)

// speaker is who a command speaks as.
type speaker struct {
	As string `placeholder:"NAME" from:"CROSSTALK_AS" help:"Who speaks. Without it: your user name."`
}

func (s speaker) name(p *process) (string, error) {
	for _, as := range []string{s.As, p.getenv("USER"), p.getenv("USERNAME"), p.getenv("LOGNAME")} {
		if as != "" {
			return as, nil
		}
	}
	return "", misuse("say who speaks, with --as NAME or CROSSTALK_AS")
}

// sendCommand stores one message.
type sendCommand struct {
	Channel        string        `arg:"" help:"The channel, with # or without it. It is created if need be."`
	Text           []string      `arg:"" optional:"" help:"What to say. Without it, or with -, standard input."`
	Type           string        `enum:"message,request,response,status,handoff,done" default:"message" placeholder:"TYPE" help:"message, request, response, status, handoff or done. Without it: message."`
	ReplyTo        int64         `placeholder:"ID" help:"The message that this one answers."`
	Wait           time.Duration `placeholder:"TIME" help:"Wait so long for an answer, such as 60s or 10m, and print it."`
	IdempotencyKey string        `placeholder:"KEY" help:"Whatever is sent with the same key within 24 hours is stored once."`
	JSON           bool          `name:"json" help:"Print JSON, one object on each line."`
	Speaker        speaker       `embed:""`
	Hub            hubSettings   `embed:""`
}

// Help shows how scripts use it.
func (*sendCommand) Help() string {
	return `The answer is the first message on the channel by somebody else that is not a reply to another message. It alone goes
to standard output. The exit code is 3 when none came in time.

Examples:

    crosstalk send '#build' 'main is green'
    make test 2>&1 | tail -20 | crosstalk send build --type status --as ci
    crosstalk send ops --type request --wait 10m 'deploy 1.4?' || echo nobody answered`
}

// noAnswer ends a command that waited in vain.
type noAnswer struct{ waited time.Duration }

func (e noAnswer) Error() string { return fmt.Sprintf("no answer within %s", e.waited) }

// receiptAnswer is what a hub says to a message.
type receiptAnswer struct {
	OK          bool   `json:"ok"`
	ID          int64  `json:"id"`
	Channel     string `json:"channel"`
	MessageType string `json:"message_type"`
	Seq         int64  `json:"seq"`
	Duplicate   bool   `json:"duplicate"`
}

// Run sends, and waits if it shall.
func (s *sendCommand) Run(p *process) error {
	as, err := s.Speaker.name(p)
	if err != nil {
		return err
	}
	if _, err := models.ParseChannel(s.Channel); err != nil {
		return usageError{err}
	}
	if s.ReplyTo < 0 || s.Wait < 0 {
		return misuse("--reply-to is the number of a message, and --wait a time: neither can be less than 0")
	}
	text, err := words(p, s.Text)
	if err != nil {
		return err
	}
	if s.IdempotencyKey == "" {
		s.IdempotencyKey = rand.Text()
	}
	return s.Hub.do(p, created, func(b *bus) error {
		var sent receiptAnswer
		err := b.Post(p.ctx, "/api/messages", map[string]any{
			"channel": s.Channel, "sender": as, "content": text, "message_type": s.Type, "in_reply_to": s.ReplyTo,
			"idempotency_key": s.IdempotencyKey,
		}, &sent, true)
		if err != nil {
			return err
		}
		out := newPrinter(p, s.JSON)
		switch {
		case s.JSON:
			err = out.object(sent)
		case s.Wait > 0:
			_, _ = fmt.Fprintf(p.stderr, "sent %d to #%s, waiting up to %s for an answer\n", sent.ID, sent.Channel, s.Wait)
		default:
			_, err = fmt.Fprintf(p.stdout, "sent %d to #%s\n", sent.ID, sent.Channel)
		}
		if err != nil || s.Wait == 0 {
			return err
		}
		return s.await(p, b, out, as, sent)
	})
}

// await prints the answer.
func (s *sendCommand) await(p *process, b *bus, out *printer, as string, sent receiptAnswer) error {
	m, err := answerTo(p.ctx, b, as, sent, s.Wait)
	switch {
	case err != nil:
		return err
	case s.JSON:
		return out.object(m)
	}
	_, _ = fmt.Fprintf(p.stderr, "%d from %s:\n", m.ID, name(m.Sender)) // the answer itself is what counts
	text := m.Content
	if !strings.HasSuffix(text, "\n") && !out.screen {
		text += "\n"
	}
	return out.text(text)
}

// answerTo waits for the answer, through restarts of the hub.
func answerTo(ctx context.Context, b *bus, as string, sent receiptAnswer, patience time.Duration) (*models.Message, error) {
	end := time.Now().Add(patience)
	bounded, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for after := sent.ID; ; {
		// A little beyond the end, so that the hub's own answer ends the wait.
		left := min(max(time.Until(end), 0).Seconds(), 30)
		q := url.Values{"after_id": {strconv.FormatInt(after, 10)}, "wait": {strconv.FormatFloat(left, 'f', 3, 64)}, "instance_id": {as}}
		var page models.Page
		err := b.Get(bounded, "/api/messages"+remote.Path(sent.Channel), q, &page)
		for i := range page.Messages {
			if m := &page.Messages[i]; m.InReplyTo == nil || *m.InReplyTo == sent.ID {
				return m, nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case bounded.Err() != nil:
			return nil, noAnswer{patience}
		case err != nil && !remote.Passes(err, true):
			return nil, err
		case err == nil:
			after = page.NextAfterID
		}
	}
}

// words is the text of a message: the arguments, else standard input.
func words(p *process, args []string) (string, error) {
	text := strings.Join(args, " ")
	if len(args) == 0 || len(args) == 1 && args[0] == "-" {
		if terminal(p.stdin) {
			_, _ = fmt.Fprintln(p.stderr, "Type the message, and end it with Ctrl-D on a line of its own.")
		}
		b, err := input(p.stdin, models.MaxContent)
		if err != nil {
			return "", err
		}
		text = strings.TrimSuffix(strings.TrimSuffix(b, "\n"), "\r")
	}
	switch {
	case strings.TrimSpace(text) == "":
		return "", misuse("there is nothing to send: the text is empty")
	case !utf8.ValidString(text):
		return "", misuse("the text is not valid UTF-8: convert it, for instance with iconv -t UTF-8")
	}
	return text, nil
}

// input reads all of in, but not more than may be sent.
func input(in io.Reader, most int) (string, error) {
	if in == nil {
		return "", misuse("there is no input")
	}
	b, err := io.ReadAll(io.LimitReader(in, int64(most)+2)) // a line's end may be dropped
	switch {
	case err != nil:
		return "", fmt.Errorf("read the input: %w", err)
	case len(b) > most+1:
		return "", misuse("the input is larger than %s", size(most))
	}
	return string(b), nil
}

func size(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
