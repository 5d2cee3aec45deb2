package bridge

import (
	"context"
	"fmt"
	"math"
	"time"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/hub"
	"crosstalk/models"
)

const (
	silence  = 50 * time.Second // what clients and proxies allow a call that shows no sign of life
	progress = 15 * time.Second
	stride   = time.Second // between moments at which waits report, so that the process wakes up for many of them at once
)

// waiting is what one wait was asked to do.
type waiting struct {
	ask    hub.Ask
	role   models.Role
	most   time.Duration
	sliced bool // shorter than asked for, because the client takes no progress
	capped bool // as long as any wait may be
}

func (b *Bridge) waitForReply(ctx context.Context, c *Call, in *catalog.Args) (*fence.Answer, error) {
	w, err := b.waitFor(c, in)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	stop := b.report(ctx, c, w)
	defer stop()
	came, err := b.hub.Wait(ctx, c.Who, w.ask, w.role, w.most)
	stop()
	if err != nil {
		return nil, err
	}
	a := blank(in)
	switch came.Outcome {
	case hub.Came:
		b.cameTo(a, w, came.Reading)
		b.shows(c, came.Reading)
	case hub.Superseded:
		a.Sayf("This wait in %s was superseded by a newer wait of %s: nothing is lost, the newer one hears what comes; do not wait again.\n",
			place(w.ask.Channel), fence.Name(w.ask.Instance))
	case hub.Mutual:
		a.Sayf("MUTUAL WAIT: %s waits in %s as well, and everybody there waits for somebody else to speak. You were chosen.\n"+
			"If you have something to say, send it now with send_message. To stand by, wait again with role='parked'. Nobody listens for you until then.\n",
			fence.Name(came.Peer), place(w.ask.Channel))
	case hub.Draining:
		a.Sayf(catalog.Restarting+" Nothing is lost: call wait_for_reply%s again in a few seconds.\n", w.args())
	default:
		b.nothingCame(a, w, came.Reading, time.Since(began))
	}
	return a, nil
}

// waitFor reads what the caller wants.
func (b *Bridge) waitFor(c *Call, in *catalog.Args) (waiting, error) {
	w := waiting{
		ask: hub.Ask{
			Channel: in.Channels(), After: in.Whole("after_id").Ptr(), Instance: in.NeedWho("instance_id"), Limit: maxLimit, Conn: c.Conn,
		},
		role: models.Role(in.Text("role")),
	}
	persistent := in.Flag("persistent", true)
	seconds, minutes := in.Number("timeout_seconds", 90), in.Number("max_wait_minutes", defaultCeiling.Minutes())
	in.Number("poll_interval_seconds", 0) // nothing is polled
	if err := in.Err(); err != nil {
		return w, err
	}
	var err error
	if w.role, err = models.ParseRole(w.role); err != nil {
		return w, err
	}
	if persistent {
		seconds = minutes * 60
	}
	seconds = math.Max(0, math.Min(seconds, b.opt.WaitCeiling.Seconds()))
	w.most = time.Duration(seconds * float64(time.Second))
	w.capped = w.most >= b.opt.WaitCeiling
	if c.Progress == nil && w.most > silence {
		w.most, w.sliced = silence, true
	}
	return w, named(&w.ask)
}

// report sends progress at once and then every so often, until the wait is over or stop is called and returns.
func (b *Bridge) report(ctx context.Context, c *Call, w waiting) (stop func()) {
	if c.Progress == nil {
		return func() {}
	}
	began, last := time.Now(), time.Duration(-1)
	tell := func() {
		passed := time.Since(began).Round(time.Second)
		if passed <= last || passed > 0 && passed >= w.most || ctx.Err() != nil {
			return
		}
		last = passed
		if err := c.Progress(ctx, passed.Seconds(), "waiting in #"+w.ask.Channel+" for "+passed.String()); err != nil {
			b.log.Debug("progress was not sent", "error", err)
		}
	}
	tell()
	return b.pulse.Join(tell)
}

// cameTo writes the messages that ended a wait.
func (b *Bridge) cameTo(a *fence.Answer, w waiting, r *hub.Reading) {
	fit(r, a.Room()-keepFree, w.ask.Channel == models.Every)
	checkHead(a, w.ask, r, 0)
	b.writeReading(a, w.ask, r)
	a.Sayf("\nThis wait is over: nobody listens until you call wait_for_reply again.\n")
}

// nothingCame says what the end of a wait means, and what can be done.
func (b *Bridge) nothingCame(a *fence.Answer, w waiting, r *hub.Reading, lasted time.Duration) {
	a.Sayf("No new messages in %s. Last message ID: %d\n", place(w.ask.Channel), r.LastID)
	span := lasted.Round(time.Second)
	switch {
	case w.sliced:
		a.Sayf("After %s still nothing, call again: wait_for_reply%s. Your client asked for no progress, so each call waits %s at most.\n",
			span, w.args(), silence)
	case w.capped:
		a.Sayf("This wait has ended after %s, at the transport-safe ceiling: clients and proxies cut calls that last longer.\n", span)
	default:
		a.Sayf("This wait has ended after %s, as you asked.\n", span)
	}
	a.Sayf("Nobody listens for you now. The others may be busy or offline (list_instances shows who is online), " +
		"or a peer might also be waiting for you: if you owe an answer, send it.\n")
	if !w.sliced {
		a.Sayf("TO KEEP LISTENING call wait_for_reply%s again, while your turn lasts.\n", w.args())
	}
	a.Sayf("If your turn ends first, tell your user that you will see new messages when you next call check_messages, not that you are listening.\n")
}

// args are the arguments with which to wait again.
func (w waiting) args() string {
	s := fmt.Sprintf(" channel=%q%s", w.ask.Channel, as(w.ask.Instance))
	if w.role == models.RoleParked {
		s += ` role="parked"`
	}
	return s
}
