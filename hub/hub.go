package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"crosstalk/hub/health"
	"crosstalk/hub/limits"
	"crosstalk/hub/loops"
	"crosstalk/hub/names"
	"crosstalk/models"
	"crosstalk/models/meter"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

// Bell tells other processes on the same store that the log moved, and hears them. It may ring too
// often and, now and then, not at all: the log is the truth, and the hub looks at it every second.
type Bell interface {
	Ring()                 // never blocks
	Rung() <-chan struct{} // of size 1
	Trouble() error        // what is wrong with it, for everybody to read; nil: nothing. Never blocks
}

// Options are the settings of a Hub.
type Options struct {
	Bell      Bell           // nil: no other process writes to the store
	Limits    *limits.Limits // nil: none
	LoopGuard bool           // two agents that talk only to each other are stopped
	Grace     time.Duration  // two that wait for each other are left alone for; 0: 30 s
	Log       *slog.Logger
}

// Hub is one process's room of the bus.
type Hub struct {
	// Set by New, then constant.
	store    *store.Store
	access   *access.Table
	log      *slog.Logger
	feed     *feed
	presence *presence
	waits    *waits
	inbox    *inbox
	names    *names.Book
	limits   *limits.Limits
	stored   *limits.Stored
	loops    *loops.Guard // nil: none
	meter    *meter.Hub
	watch    *health.Watch
	draining chan struct{}

	drain sync.Once
}

// New makes the hub of a store. Messages are delivered while Run runs.
func New(st *store.Store, o Options) (*Hub, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	head, err := st.Head(context.Background())
	if err != nil {
		return nil, err
	}
	counts := &meter.Hub{}
	var ring func()
	trouble := func() error { return nil }
	if o.Bell != nil {
		o.Bell = counted{o.Bell, counts}
		ring, trouble = o.Bell.Ring, o.Bell.Trouble
	}
	table := access.New(st)
	owned, err := names.New(context.Background(), table, ring, o.Log)
	if err != nil {
		return nil, err
	}
	w := newWaits(st, o, counts)
	h := &Hub{
		store: st, access: table, log: o.Log, names: owned, feed: newFeed(st, o, head, counts), presence: newPresence(st, w, o.Log),
		limits: o.Limits, stored: limits.NewStored(o.Limits, st), waits: w, inbox: newInbox(), meter: counts, draining: make(chan struct{}),
	}
	h.feed.onRing = func() {
		w.look()
		owned.Look()
	}
	if o.LoopGuard {
		h.loops = loops.New(st)
	}
	h.watch = health.New(health.Sources{Store: st, Delivery: h.feed.marks, Doorbell: trouble})
	st.OnCommit(func(batch []models.Message) {
		h.loops.Committed(batch)
		h.feed.committed(batch)
	})
	return h, nil
}

// Run owns the hub's goroutines. It returns once ctx has ended and they have.
func (h *Hub) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.feed.run(ctx) })
	g.Go(func() error { return h.presence.run(ctx) })
	g.Go(func() error { return h.names.Run(ctx) })
	g.Go(func() error { return h.waits.run(ctx) })
	g.Go(func() error { return h.stored.Run(ctx) })
	g.Go(func() error { return h.watch.Run(ctx) })
	return g.Wait()
}

// Drain answers all who wait: what they wait for will not come from this process.
func (h *Hub) Drain() { h.drain.Do(func() { close(h.draining) }) }

// Meter is what is counted here.
func (h *Hub) Meter() *meter.Hub { return h.meter }

// MayMeasure refuses who may not read what is counted: it tells of all channels, though of none by name.
func (h *Hub) MayMeasure(who models.Principal) error { return who.NeedAll() }

// RingLimit is how many bytes all rings may hold.
const RingLimit = ringsBytes

// Position is the id of the newest message that was passed on here, and when the log was last looked at.
func (h *Hub) Position() (id int64, looked models.Time) {
	return h.feed.position.Load(), models.Time(h.feed.looked.Load())
}

// counted is a bell whose rings from here are counted.
type counted struct {
	Bell
	meter *meter.Hub
}

func (c counted) Ring() {
	c.meter.Rung.Add(1)
	c.Bell.Ring()
}

// BusID names the database; it changes when the database is replaced.
func (h *Hub) BusID() string { return h.store.BusID() }

// Database names what kind of database the store has.
func (h *Hub) Database() string { return h.store.Database() }

// Head returns the id of the newest message.
func (h *Hub) Head(ctx context.Context) (int64, error) { return h.store.Head(ctx) }

// Health is how the hub was a second ago at most. It costs next to nothing.
func (h *Hub) Health() health.Report {
	r := *h.watch.Report()
	select {
	case <-h.draining:
		r.Status, r.Error = health.Unready, models.Errorf(models.Unavailable, "server: shutting down")
	default:
	}
	return r
}

// oneself refuses a person who would speak under another name than the one that it signed in with.
func oneself(who models.Principal, sender string) error {
	if who.Person == "" || who.Person == sender {
		return nil
	}
	return models.Errorf(models.Forbidden, "you are signed in as %q: speak under this name, or sign in under another", who.Person)
}

// Publish stores a checked draft and returns once it is on disk. Its delivery to those that
// subscribe does not hold it up.
func (h *Hub) Publish(ctx context.Context, who models.Principal, d models.Draft) (models.Receipt, error) {
	if err := oneself(who, d.Sender); err != nil {
		return models.Receipt{}, err
	}
	if err := who.NeedWrites(d.Channel); err != nil {
		return models.Receipt{}, err
	}
	if err := h.names.Claim(ctx, who, d.Sender); err != nil {
		return models.Receipt{}, err
	}
	if err := h.mayReply(ctx, who, d.InReplyTo); err != nil {
		return models.Receipt{}, err
	}
	if err := h.limits.Publish(who); err != nil {
		return models.Receipt{}, err
	}
	peer, exchanged, err := h.loops.Check(ctx, who, d.Channel, d.Sender)
	if err != nil {
		return h.answered(ctx, who, d, err)
	}
	room, err := h.stored.Message(ctx, who, d.Channel, len(d.Content))
	if err != nil {
		return h.answered(ctx, who, d, err)
	}
	d.Kind = who.Kind()
	verified := h.presence.speaks(who, d.Sender, d.Channel) || h.names.Owns(who, d.Sender)
	r, err := h.store.Append(ctx, store.Append{Draft: d, Principal: who.Name, Verified: verified})
	room.Settle(err == nil && !r.Duplicate)
	r.Notice = loops.Notice(d.Channel, peer, exchanged)
	return r, err
}

// answered returns what a message that is refused now was answered when it was stored, if its sender has only asked
// again.
func (h *Hub) answered(ctx context.Context, who models.Principal, d models.Draft, refused error) (models.Receipt, error) {
	if r, found, err := h.store.Answered(ctx, store.Append{Draft: d, Principal: who.Name}); found && err == nil {
		return r, nil
	}
	return models.Receipt{}, refused
}

// mayReply refuses to reply to what who cannot read, in the same words whether it is there or not.
func (h *Hub) mayReply(ctx context.Context, who models.Principal, id int64) error {
	if id <= 0 || !who.Restricted() {
		return nil
	}
	m, err := h.store.Message(ctx, models.Every, id)
	if models.CodeOf(err) == models.NotFound || err == nil && !who.Reads(m.Channel) {
		return models.Errorf(models.Invalid, "in_reply_to %d is no message that your key may read", id)
	}
	return err
}

// noted keeps what who did, unless it failed with err, which it returns.
func (h *Hub) noted(ctx context.Context, err error, who models.Principal, did access.Action, subject string) error {
	if err == nil {
		h.access.Note(ctx, access.EventOf(who, did, subject))
	}
	return err
}
