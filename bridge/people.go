package bridge

import (
	"context"
	"fmt"
	"time"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/models"
)

const (
	registerRows        = 15 // channels, and instances
	registerDescription = 80 // characters
)

func (b *Bridge) register(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	r, err := models.ParseRegistration(models.Registration{
		ID: in.NeedWho("instance_id"), Description: in.Text("description"), Model: in.Text("model"),
	})
	if wrong := in.Err(); wrong != nil {
		err = wrong
	}
	if err != nil {
		return nil, err
	}
	if err := b.claim(ctx, c, r.ID); err != nil {
		return nil, err
	}
	if err := b.hub.Register(ctx, c.Who, r); err != nil {
		return nil, err
	}
	channels, err := b.hub.Channels(ctx, c.Who, registerRows+1, "")
	if err != nil {
		return nil, err
	}
	online, err := b.hub.Instances(ctx, c.Who, models.Online, registerRows+2)
	if err != nil {
		return nil, err
	}
	a := fence.New(0)
	a.Sayf("Registered as %s.\n\n", fence.Quote(r.ID))
	next := b.activeChannels(a, channels)
	others := online[:0]
	for _, o := range online {
		if o.ID != r.ID {
			others = append(others, o)
		}
	}
	a.Sayf("\nOnline now, besides you:\n")
	if len(others) == 0 {
		a.Sayf("nobody\n")
	} else if instanceLines(a, others, registerRows, registerDescription) > 0 {
		a.Sayf("and more: list_instances shows all.\n")
	}
	a.Sayf("\nNext: check_messages channel=%q%s to see what was said there, or channel=\"*\" for all channels you used before. "+
		"Then send_message with sender=%s. Pass channel and your name in every call.\n", next, as(r.ID), fence.Quote(r.ID))
	return a, nil
}

// activeChannels lists the channels in which something was said, and returns the one to look at first.
func (b *Bridge) activeChannels(a *fence.Answer, all []models.Channel) (next string) {
	next = models.General
	active := all[:0]
	for _, ch := range all {
		if ch.MessageCount > 0 {
			active = append(active, ch)
		}
	}
	if len(active) == 0 {
		a.Sayf("No channel has messages yet: create_channel makes one for your topic.\n")
		return next
	}
	a.Sayf("Active channels, latest first:\n")
	if channelLines(a, active, registerRows, registerDescription) > 0 {
		a.Sayf("and more: list_channels shows all.\n")
	}
	return active[0].Name
}

// claim takes a name for the caller, unless it is live elsewhere.
func (b *Bridge) claim(ctx context.Context, c *Call, id string) error {
	if err := b.hub.MayUse(c.Who, id); err != nil {
		return err // before it is told who has it
	}
	if since, taken := b.names.Take(c.Conn, id); taken {
		return b.inUse(ctx, c, id, since)
	}
	since, err := b.hub.Holder(ctx, c.Who, id)
	held := since == 0
	if err == nil && held && c.Who.Session != "" {
		held, err = b.hub.Hold(ctx, c.Who, id)
	}
	if err == nil && !held {
		err = b.inUse(ctx, c, id, since.Time())
	}
	if err != nil {
		b.names.Drop(c.Conn, id)
	}
	return err
}

// inUse says that a name is taken, since when, and which is free.
func (b *Bridge) inUse(ctx context.Context, c *Call, id string, since time.Time) error {
	all, err := b.hub.Instances(ctx, c.Who, "", maxChannels)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, i := range all {
		there[models.FoldInstance(i.ID)] = true
	}
	free := ""
	for n := 2; free == ""; n++ {
		if name := fmt.Sprintf("%s-%d", models.Cut(id, 0, models.MaxName-8), n); !there[models.FoldInstance(name)] {
			free = name
		}
	}
	return models.Errorf(models.Conflict, "%q is already in use by another live session, since %s. Register under another name, for example instance_id=%q.", id, models.TimeOf(since), free)
}

func (b *Bridge) listInstances(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	all, err := b.hub.Instances(ctx, c.Who, "", maxListed)
	if err != nil {
		return nil, err
	}
	a := fence.New(0)
	if len(all) == 0 {
		a.Sayf("Nobody has registered yet: register puts you on the list.\n")
		return a, nil
	}
	online := 0
	for _, i := range all {
		if i.Status == models.Online {
			online++
		}
	}
	a.Sayf("%s, %d online, last seen first:\n", fence.Count(len(all), "instance", "instances"), online)
	if left := instanceLines(a, all, len(all), maxDescription); left > 0 {
		a.Sayf("%d more, seen longer ago, did not fit.\n", left)
	}
	return a, nil
}

// instanceLines writes a line for each instance, as many as are wanted and there is room for, and returns
// how many are left.
func instanceLines(a *fence.Answer, list []models.Instance, most, description int) (left int) {
	for n := range list {
		i := &list[n]
		if n == most || a.Room() < keepFree+4*description {
			return len(list) - n
		}
		kind := models.KindAgent
		if i.Kind == models.KindHuman {
			kind = models.KindHuman
		}
		a.Sayf("%s [%s] %s, last seen %s", fence.Quote(i.ID), i.Status, kind, i.LastSeen)
		if i.Model != "" {
			a.Sayf(", model %s", fence.Name(i.Model))
		}
		if i.Description != "" {
			a.Sayf(" ")
			a.Inline(i.Description, description)
		}
		a.Sayf("\n")
	}
	return 0
}

// channelAndName reads what subscribe and unsubscribe are called with.
func channelAndName(in *catalog.Args) (ch, name string, err error) {
	in.Need("channel", "auth-dev")
	name = in.NeedWho("instance_id")
	if err := in.Err(); err != nil {
		return "", "", err
	}
	ch = in.Channel()
	if err := in.Err(); err != nil {
		return "", "", err
	}
	name, err = models.ParseInstance("instance_id", name)
	return ch, name, err
}

func (b *Bridge) subscribe(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	ch, name, err := channelAndName(in)
	if err != nil {
		return nil, err
	}
	// Without a connection, so that nothing shown before becomes read by this.
	if err := b.hub.Acted(ctx, c.Who, name, "", ch); err != nil {
		return nil, err
	}
	if b.push != nil {
		return b.push.On(ctx, c.Who, ch, b.names.Last(c.Conn))
	}
	a := fence.New(0)
	a.Sayf("Not listening: this session cannot be woken. #%s is counted among the channels of %s, so that check_messages channel=\"*\"%s covers it.\n"+
		"To hear an answer while your turn lasts call wait_for_reply. Afterwards tell your user that you will see new messages when you next check, "+
		"not that you are listening.\n", ch, fence.Quote(name), as(name))
	return a, nil
}

func (b *Bridge) unsubscribe(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	ch, name, err := channelAndName(in)
	if err != nil {
		return nil, err
	}
	if b.push != nil {
		return b.push.Off(ch), nil
	}
	a := fence.New(0)
	a.Sayf("Nothing of #%s was pushed to %s, and nothing will be. check_messages and wait_for_reply read it as before.\n", ch, fence.Quote(name))
	return a, nil
}

func (b *Bridge) listenLive(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	in.Need("channel", "auth-dev")
	ch := in.Channel()
	if err := in.Err(); err != nil {
		return nil, err
	}
	return b.push.On(ctx, c.Who, ch, b.names.Last(c.Conn))
}

func (b *Bridge) stopListening(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	in.Need("channel", "auth-dev")
	ch := in.Channel()
	if err := in.Err(); err != nil {
		return nil, err
	}
	return b.push.Off(ch), nil
}

func (b *Bridge) deliveryStatus(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	return b.push.Report(), nil
}
