package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"crosstalk/cmd/crosstalk/remote"
	wsdial "crosstalk/hub/ws/dial"
	"crosstalk/models"
)

// tailCommand shows messages as they come.
type tailCommand struct {
	Channels []string    `arg:"" optional:"" help:"Channels, with # or without it. Without any, or with *, all of them."`
	Since    string      `placeholder:"WHEN" help:"Begin after this message, this long ago, or at this time: 1200, 90m, 7d, 2026-11-23T10:00."`
	Last     int         `short:"n" default:"10" placeholder:"N" help:"Without --since, begin with so many of the newest messages. Without it: 10."`
	JSON     bool        `name:"json" help:"Print JSON, one message on each line."`
	Hub      hubSettings `embed:""`
}

// Help shows what it is for.
func (*tailCommand) Help() string {
	return `It goes on until it is interrupted, also when the hub restarts or the network is gone for a while: then it tries again, and
misses and repeats nothing. What it says about that goes to standard error.

Examples:

    crosstalk tail '#build' ops
    crosstalk tail --since 2h --json | jq -r .content`
}

// Run prints until p's context ends or nobody reads any more.
func (t *tailCommand) Run(p *process) error {
	channels, err := channelNames(t.Channels)
	if err != nil {
		return err
	}
	when, err := parseSince(t.Since, time.Now())
	if err != nil {
		return err
	}
	if t.Last < 0 || t.Last > 200 {
		return misuse("--last must be a number from 0 to 200, not %d: --since shows more", t.Last)
	}
	return t.Hub.do(p, created, func(b *bus) error {
		out := newPrinter(p, t.JSON)
		after, err := t.begin(p.ctx, b, out, channels, when)
		if err == nil {
			err = follow(p, b, out, channels, after)
		}
		if p.ctx.Err() != nil {
			return nil // interrupted, as it is meant to end
		}
		return err
	})
}

// channelNames parses names; none are all.
func channelNames(args []string) ([]string, error) {
	if len(args) == 0 || slices.Contains(args, models.Every) {
		return []string{models.Every}, nil
	}
	var names []string
	for _, arg := range args {
		ch, err := models.ParseChannel(arg)
		if err != nil {
			return nil, usageError{err}
		}
		if !slices.Contains(names, ch) {
			names = append(names, ch)
		}
	}
	return names, nil
}

// begin prints what is shown first and returns where to go on.
func (t *tailCommand) begin(ctx context.Context, b *bus, out *printer, channels []string, when since) (int64, error) {
	switch {
	case when.id != nil:
		return *when.id, nil
	case !when.at.IsZero():
		return positionAt(ctx, b, channels, when.at)
	}
	head, err := headOf(ctx, b)
	if err != nil || t.Last == 0 {
		return head, err
	}
	newest, err := newestOf(ctx, b, channels, head, t.Last)
	if err != nil {
		return 0, err
	}
	for i := range newest {
		if err := out.message(&newest[i]); err != nil {
			return 0, err
		}
	}
	return head, nil
}

// follow prints what comes after a position.
func follow(p *process, b *bus, out *printer, channels []string, after int64) error {
	o := b.dial
	o.Channels, o.After = channels, &after
	o.Trouble = func(err error) {
		if err != nil {
			_, _ = fmt.Fprintf(p.stderr, "crosstalk: %s: trying again\n", line(err.Error()))
		} else {
			_, _ = fmt.Fprintln(p.stderr, "crosstalk: connected again, nothing was missed")
		}
	}
	c, err := wsdial.New(o)
	if err != nil {
		return usageError{err}
	}
	defer c.Close()
	for {
		event, err := c.Next(p.ctx)
		switch {
		case err != nil:
			return err
		case event.Replaced:
			_, _ = fmt.Fprintln(p.stderr, "crosstalk: the hub has another database now; its messages follow from the first on")
		case event.Lost == models.Every:
			_, _ = fmt.Fprintln(p.stderr, "crosstalk: some messages are gone: they were older than the hub keeps them")
		case event.Lost != "":
			_, _ = fmt.Fprintf(p.stderr, "crosstalk: some messages of #%s are gone: they were older than the hub keeps them\n", event.Lost)
		default:
			if err := out.message(event.Message); err != nil {
				return err
			}
		}
	}
}

// piece reads a part of a channel.
func piece(ctx context.Context, b *bus, ch string, q map[string]int64) (models.Page, error) {
	values := url.Values{}
	for k, v := range q {
		values.Set(k, strconv.FormatInt(v, 10))
	}
	var p models.Page
	return p, b.Get(ctx, "/api/messages"+remote.Path(ch), values, &p)
}

// headOf is the id of the hub's newest message. Every channel knows it that the key has to do with; where there is none
// yet, everything is to come.
func headOf(ctx context.Context, b *bus) (int64, error) {
	p, err := piece(ctx, b, models.General, map[string]int64{"limit": 1})
	if no, is := errors.AsType[*remote.Error](err); is && no.Status == http.StatusForbidden {
		var list channelList
		if err := b.Get(ctx, "/api/channels", url.Values{"limit": {"1"}}, &list); err != nil || len(list.Channels) == 0 {
			return 0, err
		}
		p, err = piece(ctx, b, list.Channels[0].Name, map[string]int64{"limit": 1})
	}
	return p.NextAfterID, err
}

// tip is where a channel ends.
type tip struct {
	channel string
	id      int64
	at      time.Time
}

// active yields where the channels named end, or all, the latest first. One without a message is left out. It asks for
// no more than is taken.
func active(ctx context.Context, b *bus, names []string) iter.Seq2[tip, error] {
	if slices.Contains(names, models.Every) {
		return func(yield func(tip, error) bool) { allActive(ctx, b, yield) }
	}
	return func(yield func(tip, error) bool) {
		var ends []tip
		for _, ch := range names {
			p, err := piece(ctx, b, ch, map[string]int64{"limit": 1})
			if err != nil {
				yield(tip{}, err)
				return
			}
			for _, m := range p.Messages {
				ends = append(ends, tip{ch, m.ID, m.CreatedAt.Time()})
			}
		}
		slices.SortFunc(ends, func(a, b tip) int { return cmp.Compare(b.id, a.id) })
		for _, e := range ends {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// allActive goes through the hub's list of channels, piece by piece.
func allActive(ctx context.Context, b *bus, yield func(tip, error) bool) {
	q, last := url.Values{"limit": {strconv.Itoa(mostListed)}}, int64(math.MaxInt64)
	for {
		var list channelList
		if err := b.Get(ctx, "/api/channels", q, &list); err != nil {
			yield(tip{}, err)
			return
		}
		for _, c := range list.Channels {
			if c.LastID == nil || c.LastMessageAt == nil || *c.LastID >= last { // from here on nothing, or an older hub's first piece again
				return
			}
			if last = *c.LastID; !yield(tip{c.Name, last, c.LastMessageAt.Time()}, nil) {
				return
			}
		}
		if len(list.Channels) < mostListed {
			return
		}
		q.Set("before_id", strconv.FormatInt(last, 10))
	}
}

// newestOf is the last n messages of the channels up to an id, oldest first.
func newestOf(ctx context.Context, b *bus, names []string, head int64, n int) (newest []models.Message, err error) {
	for ch, err := range active(ctx, b, names) {
		if err != nil {
			return nil, err
		}
		if len(newest) == n && ch.id < newest[0].ID {
			break
		}
		p, err := piece(ctx, b, ch.channel, map[string]int64{"limit": int64(n), "before_id": head + 1})
		if err != nil {
			return nil, err
		}
		newest = append(newest, p.Messages...)
		slices.SortFunc(newest, func(a, b models.Message) int { return cmp.Compare(a.ID, b.ID) })
		newest = newest[max(0, len(newest)-n):]
	}
	return newest, nil
}

// positionAt finds the id after which all that the channels have is from a time or later. Ids and times go the same way,
// so the first channel is searched by halves, and of each other one only what is left between.
func positionAt(ctx context.Context, b *bus, names []string, at time.Time) (int64, error) {
	cursor, err := headOf(ctx, b)
	if err != nil {
		return 0, err
	}
	older := int64(0) // every message up to it is from before
	for ch, err := range active(ctx, b, names) {
		if err != nil {
			return 0, err
		}
		if ch.at.Before(at) {
			break
		}
		young := int64(0) // the first of this channel that is known not to be
		end := cursor
		for x := older; older < end; x = older + (end-older)/2 {
			p, err := piece(ctx, b, ch.channel, map[string]int64{"after_id": x, "limit": 1})
			switch {
			case err != nil:
				return 0, err
			case len(p.Messages) == 0 || p.Messages[0].ID > cursor:
				end = x
			case p.Messages[0].CreatedAt.Time().Before(at):
				older = p.Messages[0].ID
			default:
				end, young = x, p.Messages[0].ID
			}
		}
		if young > 0 {
			cursor = young - 1
		}
	}
	return cursor, nil
}

// since is where reading begins: after a message, or at a time. The zero since says neither.
type since struct {
	id *int64
	at time.Time
}

func parseSince(s string, now time.Time) (since, error) {
	if s == "" {
		return since{}, nil
	}
	if id, err := strconv.ParseInt(s, 10, 64); err == nil && id >= 0 {
		return since{id: &id}, nil
	}
	if days, err := strconv.ParseFloat(trimUnit(s, "d"), 64); err == nil && days >= 0 && days < models.MaxKeepDays {
		return since{at: now.Add(-time.Duration(days * 24 * float64(time.Hour)))}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return since{at: now.Add(-d)}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return since{at: t}, nil
		}
	}
	return since{}, misuse("--since must be the number of a message, a time that has passed such as 90m or 7d, or a moment such as 2026-11-23 or 2026-11-23T10:00, not %.40q", s)
}

// trimUnit is the number before a unit, or nothing.
func trimUnit(s, unit string) string {
	if len(s) > len(unit) && s[len(s)-len(unit):] == unit {
		return s[:len(s)-len(unit)]
	}
	return ""
}
