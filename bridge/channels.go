package bridge

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/hub"
	"crosstalk/models"
)

const (
	maxChannels    = 10_000 // looked through for similar names
	maxListed      = 500    // rows of a list, as far as they fit
	maxSimilar     = 5
	maxDescription = 200 // characters of a description in a list
)

// channelNews is what there is to say of a channel that a message goes to.
type channelNews struct {
	unknown bool // there is none of that name
	similar []string
}

// news finds out whether a channel exists, and if not, which have a similar name.
func (b *Bridge) news(ctx context.Context, who models.Principal, ch string) (channelNews, error) {
	if b.known.Has(ch) {
		return channelNews{}, nil
	}
	names, err := b.channelNames(ctx, who)
	if err != nil || slices.Contains(names, ch) {
		return channelNews{}, err
	}
	return channelNews{unknown: true, similar: similar(ch, names)}, nil
}

func (b *Bridge) channelNames(ctx context.Context, who models.Principal) ([]string, error) {
	all, err := b.hub.Channels(ctx, who, maxChannels, "")
	if err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	b.known.Add(names...)
	return names, nil
}

// similar lists up to five names that one may have meant: those that contain it or are contained in it,
// and those that two letters make the difference to. The nearest come first.
func similar(name string, names []string) []string {
	type near struct {
		name string
		far  int
	}
	var found []near
	for _, other := range names {
		far, ok := distance(name, other)
		switch {
		case other == name:
		case ok && far < min(len(name), len(other)):
			found = append(found, near{other, far})
		case strings.Contains(other, name) || strings.Contains(name, other):
			found = append(found, near{other, max(len(other), len(name)) - min(len(other), len(name))})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return cmp.Compare(a.far, b.far) })
	list := []string{}
	for _, n := range found[:min(len(found), maxSimilar)] {
		list = append(list, n.name)
	}
	return list
}

// distance is how many letters must be changed, added or removed to make b of a. ok is false if that is
// more than two.
func distance(a, b string) (far int, ok bool) {
	const most = 2
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return 0, false
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			step := diagonal
			if a[i] != b[j] {
				step = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], step
		}
	}
	return row[len(b)], row[len(b)] <= most
}

// similarNote is a sentence about similar channels, or nothing.
func similarNote(names []string, then string) string {
	if len(names) == 0 {
		return ""
	}
	return " Similar: " + fence.List(names, maxSimilar, tagged) + "." + then
}

func tagged(channel string) string { return "#" + fence.Channel(channel) }

// nothingThere helps on when a channel has nothing to show: perhaps another one was meant.
func (b *Bridge) nothingThere(ctx context.Context, c *Call, a *fence.Answer, ask hub.Ask) {
	if ask.Channel == models.Every || ask.After != nil {
		return
	}
	news, err := b.news(ctx, c.Who, ask.Channel)
	if err != nil {
		return // it was only to help
	}
	if news.unknown {
		a.Sayf("There is no channel #%s yet: the first message makes it.%s\n", ask.Channel, similarNote(news.similar, ""))
	} else {
		a.Sayf("Nothing was ever said there, or retention has removed it.\n")
	}
}

func (b *Bridge) createChannel(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	given := in.Need("name", "auth-dev")
	if err := in.Err(); err != nil {
		return nil, err
	}
	name, description := in.ParseChannel(given), in.Text("description")
	if err := in.Err(); err != nil {
		return nil, err
	}
	news, err := b.news(ctx, c.Who, name)
	if err != nil {
		return nil, err
	}
	if err := b.hub.CreateChannel(ctx, c.Who, name, description); err != nil {
		return nil, err
	}
	b.known.Add(name)
	a := fence.New(0)
	if news.unknown {
		a.Sayf("Channel #%s created.", name)
	} else {
		a.Sayf("Channel #%s exists already: use it.", name)
	}
	if given != name && given != "#"+name {
		a.Sayf(" You wrote %s: channel names are lower case, with hyphens.", fence.Quote(given))
	}
	a.Sayf("%s\nNext: send_message channel=%q.\n", similarNote(news.similar, " If one of them is for the same, use that instead."), name)
	return a, nil
}

func (b *Bridge) listChannels(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	all, err := b.hub.Channels(ctx, c.Who, maxListed, "")
	if err != nil {
		return nil, err
	}
	a := fence.New(0)
	a.Sayf("%s, latest activity first:\n", fence.Count(len(all), "channel", "channels"))
	if left := channelLines(a, all, len(all), maxDescription); left > 0 {
		a.Sayf("%d more did not fit: find_channel looks for a name.\n", left)
	}
	return a, nil
}

// channelLines writes a line for each channel, as many as are wanted and there is room for, and returns
// how many are left.
func channelLines(a *fence.Answer, list []models.Channel, most, description int) (left int) {
	for i := range list {
		ch := &list[i]
		if i == most || a.Room() < keepFree+4*description {
			return len(list) - i
		}
		a.Sayf("#%s: %s", fence.Channel(ch.Name), fence.Count(int(ch.MessageCount), "message", "messages"))
		if ch.PausedAt != nil {
			a.Sayf(", paused by a person: sends are refused")
		}
		if ch.LastMessageAt != nil {
			a.Sayf(", last %s", ch.LastMessageAt)
		}
		if ch.ActiveSenders != "" {
			a.Sayf(", from %s", fence.List(strings.Split(ch.ActiveSenders, ", "), maxSimilar, fence.Name))
		}
		if ch.Description != "" {
			a.Sayf(" ")
			a.Inline(ch.Description, description)
		}
		a.Sayf("\n")
	}
	return 0
}

func (b *Bridge) findChannel(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	query := in.Need("query", "auth")
	if err := in.Err(); err != nil {
		return nil, err
	}
	found, err := b.hub.FindChannels(ctx, c.Who, query, maxListed)
	if err != nil {
		return nil, err
	}
	a := fence.New(0)
	if len(found) > 0 {
		a.Sayf("%s for %s, latest activity first:\n", fence.Count(len(found), "channel", "channels"), fence.Quote(query))
		if left := channelLines(a, found, len(found), maxDescription); left > 0 {
			a.Sayf("%d more did not fit: look for a longer part of the name.\n", left)
		}
		return a, nil
	}
	names, err := b.channelNames(ctx, c.Who)
	if err != nil {
		return nil, err
	}
	near := []string{}
	if name, err := models.ParseChannel(query); err == nil {
		near = similar(name, names)
	}
	a.Sayf("No channel matches %s.%s list_channels shows all; create_channel makes one.\n", fence.Quote(query), similarNote(near, ""))
	return a, nil
}
