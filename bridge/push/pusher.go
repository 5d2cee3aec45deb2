package push

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"crosstalk/models"
)

const (
	maxDue      = 32 // messages pushed one by one; more that wait at once are counted instead
	maxChannels = 50 // listened to at once
	firstRetry  = 50 * time.Millisecond
	lastRetry   = 2 * time.Second
)

// Notify sends a notification to the client.
type Notify func(ctx context.Context, method string, params map[string]any) error

// Follow opens a stream of a channel's messages, from the next one on; those that own sent are left out. wake is called
// when there may be more, and must not block.
type Follow func(ctx context.Context, who models.Principal, channel, own string, wake func()) (Stream, error)

// Stream is one channel's messages as they come, of the hub in this process or of one elsewhere.
type Stream interface {
	Head() int64                                        // the newest message when it began
	Read(ctx context.Context) ([]models.Message, error) // what has come, a part at a time; none: nothing yet
	Close()
}

// Options are the settings of a Pusher.
type Options struct {
	Follow       Follow
	Log          *slog.Logger
	VerifiedOnly bool                   // push nothing of senders that are not verified
	Own          func(name string) bool // the client's own names: it knows what it said
}

// Pusher pushes the new messages of the channels that are listened to, while Run runs.
type Pusher struct {
	// Set by New, then constant.
	opt  Options
	wake chan struct{} // size 1: there may be more

	// Guarded by mu.
	mu       sync.Mutex
	channels map[string]*channel
	running  bool
	sending  time.Time // when the notification on its way was handed over; zero: none is
	trouble  string    // why the last one failed
}

// channel is one that is listened to.
type channel struct {
	// Set by Listen, then constant.
	name  string
	sub   Stream
	since models.Time

	// Guarded by Pusher.mu.
	pushed, counted, withheld int
	last                      int64
	failed                    string // why it cannot be read now
}

// New makes a pusher that listens to nothing yet.
func New(o Options) *Pusher {
	return &Pusher{opt: o, wake: make(chan struct{}, 1), channels: map[string]*channel{}}
}

// listen begins to push a channel's messages, from the next one on. from is the newest one there is now;
// own is a name of the client's, whose messages are not for it.
func (p *Pusher) listen(ctx context.Context, who models.Principal, name, own string) (from int64, already bool, err error) {
	p.mu.Lock()
	known, full := p.channels[name] != nil, len(p.channels) >= maxChannels
	p.mu.Unlock()
	if known {
		return 0, true, nil
	}
	if full {
		return 0, false, models.Errorf(models.Invalid, "%d channels are pushed already: call stop_listening for one of them first", maxChannels)
	}
	sub, err := p.opt.Follow(ctx, who, name, own, p.poke)
	if err != nil {
		return 0, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.channels[name] != nil { // by a call at the same moment
		sub.Close()
		return 0, true, nil
	}
	p.channels[name] = &channel{name: name, sub: sub, since: models.TimeOf(time.Now())}
	p.poke()
	return sub.Head(), false, nil
}

// stop ends the push of a channel and says whether there was any.
func (p *Pusher) stop(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := p.channels[name]
	if ch == nil {
		return false
	}
	delete(p.channels, name)
	ch.sub.Close()
	return true
}

func (p *Pusher) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run pushes until ctx ends. Then nothing is listened to any more.
func (p *Pusher) Run(ctx context.Context, notify Notify) error {
	p.mark(func() { p.running = true })
	defer p.close()
	for {
		again := p.round(ctx, notify)
		retry := time.NewTimer(again)
		select {
		case <-ctx.Done():
			retry.Stop()
			return nil
		case <-p.wake:
		case <-retry.C:
		}
		retry.Stop()
	}
}

func (p *Pusher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ch := range p.channels {
		ch.sub.Close()
	}
	clear(p.channels)
	p.running = false
}

// mark changes what is guarded by mu.
func (p *Pusher) mark(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// due is what one round has to push: messages one by one, or of a channel with too many only their number.
type due struct {
	ch    *channel
	msg   *models.Message // nil: count
	count int
	id    int64 // the last of them
}

// round pushes what has come since the last one. again says when to look without being woken.
func (p *Pusher) round(ctx context.Context, notify Notify) (again time.Duration) {
	const never, soon = time.Hour, time.Second
	again = never
	p.mu.Lock()
	channels := make([]*channel, 0, len(p.channels))
	for _, ch := range p.channels {
		channels = append(channels, ch)
	}
	p.mu.Unlock()
	var all []due
	for _, ch := range channels {
		list, err := p.read(ctx, ch)
		if ctx.Err() == nil {
			p.note(ch, err)
		}
		if err != nil {
			again = soon
		}
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b due) int { return cmp.Compare(a.id, b.id) })
	for _, d := range all {
		if !p.push(ctx, notify, d) {
			break
		}
	}
	return again
}

// note keeps whether a channel can be read, and logs it when it cannot any more.
func (p *Pusher) note(ch *channel, err error) {
	text := ""
	if err != nil {
		text = models.Text(err)
	}
	p.mu.Lock()
	was := ch.failed
	ch.failed = text
	p.mu.Unlock()
	if text != "" && was == "" {
		p.opt.Log.Warn("a channel cannot be read for pushing", "channel", ch.name, "error", err)
	}
}

// read takes what came in a channel: up to maxDue messages, or else their number.
func (p *Pusher) read(ctx context.Context, ch *channel) (list []due, err error) {
	withheld, count, last := 0, 0, int64(0)
	for err == nil {
		var got []models.Message
		if got, err = ch.sub.Read(ctx); len(got) == 0 {
			break
		}
		for i := range got {
			e := &got[i]
			switch {
			case p.opt.Own(e.Sender):
				continue
			case p.opt.VerifiedOnly && !e.Verified:
				withheld++
				continue
			}
			if count, last = count+1, e.ID; count <= maxDue {
				list = append(list, due{ch: ch, msg: e, count: 1, id: e.ID})
			}
		}
	}
	if withheld > 0 {
		p.mark(func() { ch.withheld += withheld })
	}
	if count > maxDue {
		list = []due{{ch: ch, count: count, id: last}}
	}
	return list, err
}

// push sends one notification, again and again until the client takes it. It returns false when ctx has
// ended; what a channel had that is not listened to any more is left out.
func (p *Pusher) push(ctx context.Context, notify Notify, d due) bool {
	params := hint(d.ch.name, d.count, d.id)
	if d.msg != nil {
		params = whole(d.msg)
	}
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		listening := true
		p.mark(func() {
			listening = p.channels[d.ch.name] == d.ch
			p.sending = time.Now()
		})
		if !listening {
			p.mark(func() { p.sending = time.Time{} })
			return true
		}
		err := notify(ctx, "notifications/claude/channel", params)
		p.mark(func() { p.sent(d, err) })
		if err == nil {
			return true
		}
		retry := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			retry.Stop()
			return false
		case <-retry.C:
		}
	}
}

// sent notes what became of a notification; mu is held.
func (p *Pusher) sent(d due, err error) {
	p.sending = time.Time{}
	if err != nil {
		p.trouble = err.Error()
		return
	}
	p.trouble = ""
	d.ch.last = d.id
	if d.msg != nil {
		d.ch.pushed++
	} else {
		d.ch.counted += d.count
	}
}
