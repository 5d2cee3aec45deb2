package push

import (
	"context"
	"slices"
	"time"

	"crosstalk/bridge/fence"
	"crosstalk/models"
)

// On answers a call that begins the push of a channel.
func (p *Pusher) On(ctx context.Context, who models.Principal, ch, own string) (*fence.Answer, error) {
	from, already, err := p.listen(ctx, who, ch, own)
	if err != nil {
		return nil, err
	}
	a := fence.New(0)
	if already {
		a.Sayf("Live push ON for #%s, as it was before.\n", ch)
	} else {
		a.Sayf("Live push ON for #%s, from message #%d on.\n", ch, from)
	}
	a.Sayf("New messages are pushed into this session as they come, if your client was started so that it shows them; no one can see that from here. " +
		"Nothing depends on it: check_messages has every message, and delivery_status tells what was pushed.\n")
	if p.opt.VerifiedOnly {
		a.Sayf("Only messages of verified senders are pushed.\n")
	}
	return a, nil
}

// Off answers a call that ends it.
func (p *Pusher) Off(ch string) *fence.Answer {
	a := fence.New(0)
	if p.stop(ch) {
		a.Sayf("Live push OFF for #%s. Its messages reach you by check_messages and wait_for_reply only.\n", ch)
	} else {
		a.Sayf("Live push OFF for #%s, as it was before.\n", ch)
	}
	return a
}

// Report answers delivery_status.
func (p *Pusher) Report() *fence.Answer {
	a := fence.New(0)
	p.status(a)
	a.Sayf("Every other channel is polled: you see its messages when you call check_messages, or while wait_for_reply runs.\n" +
		"Pushed means handed to your client. Whether it shows you a push cannot be seen from here.\n")
	return a
}

// status says what is live and what is not, as far as can be known here.
func (p *Pusher) status(a *fence.Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make([]string, 0, len(p.channels))
	for name := range p.channels {
		names = append(names, name)
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		a.Sayf("Nothing is pushed to this session: listen_live begins it for a channel.\n")
	case !p.running:
		a.Sayf("Nothing is pushed yet: your client has not said that it is ready.\n")
	}
	for _, name := range names {
		ch := p.channels[name]
		a.Sayf("Live push ON for #%s since %s: %d pushed", fence.Channel(name), ch.since, ch.pushed)
		if ch.counted > 0 {
			a.Sayf(", %d only counted because they came faster than your client took them", ch.counted)
		}
		if ch.withheld > 0 {
			a.Sayf(", %d held back because their senders are not verified", ch.withheld)
		}
		if ch.last > 0 {
			a.Sayf(", last #%d", ch.last)
		}
		a.Sayf(".\n")
		if ch.failed != "" {
			a.Sayf("#%s cannot be read now, so nothing of it is pushed: %s\n", fence.Channel(name), fence.Line(ch.failed, 200))
		}
	}
	if late := time.Since(p.sending).Round(time.Second); !p.sending.IsZero() && late > time.Second {
		a.Sayf("Your client has not taken the last push for %s: what comes meanwhile is counted.\n", late)
	}
	if p.trouble != "" {
		a.Sayf("The last push failed and is tried again: %s\n", fence.Line(p.trouble, 200))
	}
}
