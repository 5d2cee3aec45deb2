package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"crosstalk/cmd/crosstalk/remote"
	"crosstalk/models"
)

// listSettings are what lists have in common.
type listSettings struct {
	Limit int  `default:"200" placeholder:"N" help:"List at most so many. Without it: 200."`
	JSON  bool `name:"json" help:"Print JSON, one object on each line."`
}

func (l listSettings) check(most int) error {
	if l.Limit < 1 || l.Limit > most {
		return misuse("--limit must be a number from 1 to %d, not %d", most, l.Limit)
	}
	return nil
}

func (l listSettings) query() url.Values { return url.Values{"limit": {strconv.Itoa(l.Limit)}} }

// mostListed is what a hub lists at most at once.
const mostListed = 1000

// channelsCommand is about channels.
type channelsCommand struct {
	List channelsListCommand `cmd:"" default:"withargs" help:"List channels."`
	Keep channelsKeepCommand `cmd:"" help:"Say what a channel keeps, whatever the hub keeps in others."`
}

// channelsKeepCommand sets a channel's own retention.
type channelsKeepCommand struct {
	Channel  string      `arg:"" help:"The channel."`
	Days     int64       `placeholder:"N" help:"Messages of the last N days."`
	Messages int64       `placeholder:"N" help:"The newest N messages, at least 100."`
	All      bool        `help:"All, for good."`
	Default  bool        `help:"What the hub keeps, as at first."`
	Hub      hubSettings `embed:""`
}

// Run sets it and says what holds.
func (c *channelsKeepCommand) Run(p *process) error {
	ways, ask := 0, map[string]int64{}
	for _, given := range []bool{c.Days != 0 || c.Messages != 0, c.All, c.Default} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return misuse("say what to keep: --days, --messages or both, or --all, or --default")
	}
	keeps := kept(nil, nil)
	if !c.Default {
		ask["keep_days"], ask["keep_messages"] = c.Days, c.Messages
		keeps = kept(&c.Days, &c.Messages)
	}
	ch, err := models.ParseChannel(c.Channel)
	if err != nil {
		return usageError{err}
	}
	return c.Hub.do(p, there, func(b *bus) error {
		if err := b.Post(p.ctx, "/api/channels"+remote.Path(ch)+"/retention", ask, nil, true); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "#%s keeps %s\n", ch, keeps)
		return err
	})
}

type channelsListCommand struct {
	Query   string       `arg:"" optional:"" help:"Only those that have this in their name or description."`
	Unread  string       `placeholder:"NAME" help:"Also count what this instance has not read."`
	Listing listSettings `embed:""`
	Hub     hubSettings  `embed:""`
}

// channelList is a hub's answer.
type channelList struct {
	Channels []models.Channel `json:"channels"`
}

// Run prints one line for each.
func (c *channelsListCommand) Run(p *process) error {
	if err := c.Listing.check(mostListed); err != nil {
		return err
	}
	path, q := "/api/channels", c.Listing.query()
	if c.Query != "" {
		if c.Unread != "" {
			return misuse("--unread goes with the list of all channels, not with a search")
		}
		path, q["q"] = path+"/search", []string{c.Query}
	}
	if c.Unread != "" {
		q.Set("instance_id", c.Unread)
	}
	return c.Hub.do(p, there, func(b *bus) error {
		var list channelList
		if err := b.Get(p.ctx, path, q, &list); err != nil {
			return err
		}
		out := newPrinter(p, c.Listing.JSON)
		if out.json {
			return each(out, list.Channels)
		}
		head := []string{"CHANNEL", "MESSAGES", "LAST", "SENDERS", "DESCRIPTION"}
		if c.Unread != "" {
			head = slices.Insert(head, 2, "UNREAD")
		}
		var rows [][]string
		for _, ch := range list.Channels {
			row := []string{"#" + ch.Name, strconv.FormatInt(ch.MessageCount, 10)}
			if c.Unread != "" {
				row = append(row, count(ch.Unread))
			}
			rows = append(rows, append(row, ago(ch.LastMessageAt), ch.ActiveSenders, ch.Description))
		}
		return out.table(head, rows)
	})
}

// each prints a list as JSON.
func each[T any](out *printer, list []T) error {
	for i := range list {
		if err := out.object(list[i]); err != nil {
			return err
		}
	}
	return nil
}

func count(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

// ago says how long ago something was, roughly.
func ago(t *models.Time) string {
	if t == nil || *t == 0 {
		return "-"
	}
	switch d := time.Since(t.Time()); {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	default:
		return fmt.Sprintf("%d days ago", d/(24*time.Hour))
	}
}

// instancesCommand is about who takes part.
type instancesCommand struct {
	List    instancesListCommand    `cmd:"" default:"withargs" help:"List who has been here, and who is online."`
	Release instancesReleaseCommand `cmd:"" help:"Make a name free, as if it had never registered."`
}

type instancesReleaseCommand struct {
	Name string      `arg:"" help:"The name. Whoever it belongs to loses it; its messages stay."`
	Hub  hubSettings `embed:""`
}

// Run frees the name.
func (c *instancesReleaseCommand) Run(p *process) error {
	return c.Hub.do(p, there, func(b *bus) error {
		if err := b.Delete(p.ctx, "/api/instances"+remote.Path(c.Name), nil); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "%s is free\n", name(c.Name))
		return err
	})
}

type instancesListCommand struct {
	Online  bool         `help:"Only those that are online."`
	Listing listSettings `embed:""`
	Hub     hubSettings  `embed:""`
}

// Run prints one line for each.
func (c *instancesListCommand) Run(p *process) error {
	if err := c.Listing.check(mostListed); err != nil {
		return err
	}
	q := c.Listing.query()
	if c.Online {
		q.Set("status", string(models.Online))
	}
	return c.Hub.do(p, there, func(b *bus) error {
		var list struct {
			Instances []models.Instance `json:"instances"`
		}
		if err := b.Get(p.ctx, "/api/instances", q, &list); err != nil {
			return err
		}
		out := newPrinter(p, c.Listing.JSON)
		if out.json {
			return each(out, list.Instances)
		}
		var rows [][]string
		for _, i := range list.Instances {
			rows = append(rows, []string{name(i.ID), string(i.Status), ago(&i.LastSeen), string(i.Kind), i.Model, i.Description})
		}
		return out.table([]string{"INSTANCE", "STATUS", "SEEN", "KIND", "MODEL", "DESCRIPTION"}, rows)
	})
}

// searchCommand finds messages.
type searchCommand struct {
	Words   []string    `arg:"" help:"Words, all of which a message has; or a piece of text, of recent messages."`
	Channel string      `placeholder:"NAME" help:"Only there."`
	Sender  string      `placeholder:"NAME" help:"Only by this instance."`
	Limit   int         `default:"10" placeholder:"N" help:"Show at most so many, the newest. Without it: 10."`
	JSON    bool        `name:"json" help:"Print JSON, one message on each line."`
	Hub     hubSettings `embed:""`
}

// errNothingFound makes a search in vain fail, as it does for grep.
var errNothingFound = errors.New("nothing was found")

// Run prints what it finds, newest first.
func (s *searchCommand) Run(p *process) error {
	if s.Limit < 1 || s.Limit > 200 {
		return misuse("--limit must be a number from 1 to 200, not %d", s.Limit)
	}
	q := url.Values{"q": {strings.Join(s.Words, " ")}, "limit": {strconv.Itoa(s.Limit)}}
	if s.Channel != "" {
		q.Set("channel", s.Channel)
	}
	if s.Sender != "" {
		q.Set("sender", s.Sender)
	}
	return s.Hub.do(p, there, func(b *bus) error {
		var found struct {
			Messages []models.Message `json:"messages"`
		}
		if err := b.Get(p.ctx, "/api/search", q, &found); err != nil {
			return err
		}
		out := newPrinter(p, s.JSON)
		for i := range found.Messages {
			if err := out.message(&found.Messages[i]); err != nil {
				return err
			}
		}
		if len(found.Messages) == 0 {
			return errNothingFound
		}
		return nil
	})
}
