package bridge

import (
	"context"
	"fmt"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/bridge/memory"
	"crosstalk/models"
)

func (b *Bridge) sendMessage(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	d := models.Draft{
		Channel: in.Channel(), Sender: in.NeedWho("sender"), Content: in.Need("content", "..."),
		Type: models.MessageType(in.Text("message_type")), InReplyTo: in.Whole("in_reply_to").Value,
		IdempotencyKey: in.Text("idempotency_key"),
	}
	given := in.Text("channel")
	if err := in.Err(); err != nil {
		return nil, err
	}
	d, err := models.ParseDraft(d)
	if err != nil {
		return nil, err
	}
	news, err := b.news(ctx, c.Who, d.Channel)
	if err != nil {
		return nil, err
	}
	used := ""
	if given == "" {
		used = b.hub.LastUsed(ctx, c.Who, d.Sender)
	}
	// Before it is sent, because a wait that it ends is one no more.
	there, unknown := b.hub.Audience(ctx, c.Who, d.Channel, d.Sender)
	r, err := b.publish(ctx, c, d)
	if err != nil {
		return nil, err
	}
	a := fence.New(0)
	a.Sayf("Message #%d sent to #%s as %s [%s]", r.ID, d.Channel, fence.Quote(d.Sender), d.Type)
	if d.InReplyTo > 0 {
		a.Sayf(" (reply to #%d)", d.InReplyTo)
	}
	if unknown != nil { // sent it is; whom it reaches is not worth an error
		a.Sayf(".\n")
	} else {
		a.Sayf(": %s.\n", audience(there))
	}
	b.sendNotes(a, d, r, given, used, news, there)
	return a, nil
}

// publish stores a message, or finds the one that the caller means.
func (b *Bridge) publish(ctx context.Context, c *Call, d models.Draft) (models.Receipt, error) {
	send := memory.SendOf(c.Who, d)
	r, again := b.lost.Find(send)
	if again {
		r.Duplicate = true
	} else {
		var err error
		// A caller that goes away does not stop it half way: what became of it must be known.
		if r, err = b.hub.Publish(context.WithoutCancel(ctx), c.Who, d); err != nil {
			return r, err
		}
	}
	c.meter().Accept(r.Duplicate)
	c.then(func(_ context.Context, written bool) { b.lost.Note(send, r, written) })
	if err := b.hub.Acted(context.WithoutCancel(ctx), c.Who, d.Sender, c.Conn, d.Channel); err != nil {
		b.log.Warn("a send was not noted: what was shown before it will be shown again", "error", err)
	}
	return r, nil
}

// sendNotes says what the sender should know besides, each in a line.
func (b *Bridge) sendNotes(a *fence.Answer, d models.Draft, r models.Receipt, given, used string, news channelNews, there models.Audience) {
	if r.Notice != "" {
		a.Sayf("Take care: %s.\n", r.Notice)
	}
	if r.Duplicate {
		a.Sayf("It was sent before: this is that message, not a second one.\n")
	}
	if given == "" && used != "" && used != models.General {
		a.Sayf("No channel was named: sent to #general (you last used #%s).\n", fence.Channel(used))
	}
	if given != "" && given != d.Channel && given != "#"+d.Channel {
		a.Sayf("You wrote %s: channel names are lower case, with hyphens.\n", fence.Quote(given))
	}
	if news.unknown && r.Seq <= 1 && !r.Duplicate {
		a.Sayf("#%s is a new channel.%s\n", d.Channel, similarNote(news.similar, " If you meant one of them, send it there."))
	}
	switch d.Type {
	case models.TypeRequest:
		a.Sayf("For the answer call wait_for_reply channel=%q%s.\n", d.Channel, as(d.Sender))
	case models.TypeResponse:
		a.Sayf("If nothing is to follow, send message_type=\"done\" as well: that ends the exchange, and the other side stops waiting.\n")
	case models.TypeDone:
		return
	}
	if there.Open == 0 && len(there.Waiting) == 0 {
		a.Sayf("It is kept for whoever reads #%s later; list_instances shows who is online.\n", d.Channel)
	}
}

// audience says in a clause whom a message reaches now.
func audience(there models.Audience) string {
	var open, waits string
	switch there.Open {
	case 0:
	case 1:
		open = "1 has it open"
	default:
		open = fmt.Sprintf("%d have it open", there.Open)
	}
	switch len(there.Waiting) {
	case 0:
	case 1:
		waits = fence.Name(there.Waiting[0]) + " waits"
	default:
		waits = fence.List(there.Waiting, 5, fence.Name) + " wait"
	}
	switch {
	case open != "" && waits != "":
		return open + ", " + waits
	case open == "" && waits == "":
		return "nobody is here"
	}
	return open + waits
}

// as names the caller in a call that is suggested, unless the name is so long that it can be left to it.
func as(instance string) string {
	if instance == "" || len(instance) > 60 {
		return ""
	}
	return " instance_id=" + fence.Quote(instance)
}
