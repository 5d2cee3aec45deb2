package hub

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"crosstalk/hub/roll"
	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

const (
	flushEvery   = 5 * time.Second        // signs of life to the store
	holdEvery    = time.Minute            // held names count as seen, well within store.Fresh
	settle       = 100 * time.Millisecond // between looks when much happens
	maxUnwritten = 10_000                 // signs in memory; more wait for the next call
)

// presence knows who is there: signs of life in memory, flushed in batches, and the names that live
// connections of this process hold.
type presence struct {
	// Set by newPresence, then constant.
	store *store.Store
	log   *slog.Logger
	kick  chan struct{} // size 1
	waits *waits        // open ones keep this process's row fresh, too

	writing sync.Mutex // held while signs are on their way to the store; mu comes after it

	// Guarded by mu.
	mu       sync.Mutex
	signs    map[string]store.Sign // not written yet
	held     map[string]string     // instance -> session
	gone     bool                  // a sign says that somebody went: others wait for that
	watchers map[*Watcher]bool

	// Owned by run.
	rolls map[models.Patterns]*roll.Roll // by what the watchers may know of
	kept  time.Time                      // when held names were last noted
}

func newPresence(st *store.Store, w *waits, log *slog.Logger) *presence {
	return &presence{
		store: st, waits: w, log: log, kick: make(chan struct{}, 1), signs: map[string]store.Sign{},
		held: map[string]string{}, watchers: map[*Watcher]bool{}, rolls: map[models.Patterns]*roll.Roll{},
	}
}

// Register notes an instance. What it leaves out stays as it was. Who may only read may have a name, but has nothing to
// say of it.
func (h *Hub) Register(ctx context.Context, who models.Principal, r models.Registration) error {
	if err := who.Need(models.ScopeRead); err != nil {
		return err
	}
	if !who.May(models.ScopeWrite) && (r.Description != "" || r.Model != "") {
		return models.Errorf(models.Forbidden, "your key may only read: register without description and model")
	}
	if err := h.names.Claim(ctx, who, r.ID); err != nil {
		return err
	}
	r.Kind = kindOf(who, r.ID)
	h.presence.seen(r.ID, "") // and not gone, whatever waits to be written
	if err := h.noted(ctx, h.store.Register(ctx, r), who, access.Registered, r.ID); err != nil {
		return err
	}
	h.presence.changed()
	return nil
}

// kindOf is what an instance is that who registers: a person only under the name of who signed in.
func kindOf(who models.Principal, instance string) models.Kind {
	if who.Person == instance {
		return who.Kind()
	}
	return models.KindAgent
}

// Instances lists instances, the last seen first. An empty status lists all.
func (h *Hub) Instances(ctx context.Context, who models.Principal, status models.Status, limit int) ([]models.Instance, error) {
	if err := who.Need(models.ScopeRead); err != nil {
		return nil, err
	}
	h.presence.flush(ctx) // what cannot be written now is tried again later: the list is then that much older
	return h.store.Instances(ctx, who.Channels, status, limit)
}

// MayUse refuses a name that is not who's to use.
func (h *Hub) MayUse(who models.Principal, instance string) error {
	return h.names.Check(who, instance)
}

// Seen notes that an instance just called.
func (h *Hub) Seen(who models.Principal, instance string) {
	if instance != "" && h.names.Check(who, instance) == nil {
		h.presence.seen(instance, "")
	}
}

// Hold registers an instance and ties it to the live connection who.Session until Release: it is
// online while held, and what it says over that connection is verified. held is false when another
// live connection holds the name; the caller may go on without.
func (h *Hub) Hold(ctx context.Context, who models.Principal, instance string) (held bool, err error) {
	if err := who.Need(models.ScopeRead); err != nil {
		return false, err
	}
	if err := h.names.Claim(ctx, who, instance); err != nil {
		return false, err
	}
	if err := h.store.Register(ctx, models.Registration{ID: instance, Kind: kindOf(who, instance)}); err != nil {
		return false, err
	}
	h.presence.letGo(ctx, instance)
	h.presence.seen(instance, "")
	held, err = h.store.Hold(ctx, instance, who.Session)
	if held {
		h.presence.hold(instance, who.Session)
	}
	h.presence.changed()
	return held, err
}

// Release lets go of a name. The instance stays online until it has not been seen for a while.
func (h *Hub) Release(who models.Principal, instance string) {
	h.presence.release(instance, who.Session)
}

// Leave says that an instance goes: it is offline from now on, and its name free if who held it. Of a name that is not
// who's to use it says nothing.
func (h *Hub) Leave(who models.Principal, instance string) {
	if who.Need(models.ScopeRead) != nil || h.names.Check(who, instance) != nil {
		return
	}
	h.presence.leave(instance, who.Session)
}

// Holder says since when a live connection other than who's holds an instance; 0: none does.
func (h *Hub) Holder(ctx context.Context, who models.Principal, instance string) (models.Time, error) {
	if err := h.names.Check(who, instance); err != nil {
		return 0, err
	}
	h.presence.letGo(ctx, instance)
	session, since, err := h.store.Holder(ctx, instance)
	if session == who.Session {
		since = 0
	}
	return since, err
}

// ReleaseName makes a name free, as if it had never registered, whoever holds it.
func (h *Hub) ReleaseName(ctx context.Context, who models.Principal, instance string) error {
	h.presence.flush(ctx) // what is known of it now is not written over a later owner's
	if err := h.noted(ctx, h.names.Release(ctx, who, instance), who, access.Released, instance); err != nil {
		return err
	}
	h.inbox.forgetUses()
	h.presence.changed()
	return nil
}

// seen notes a sign of life, and the channel that was used unless it is empty.
func (p *presence) seen(id, ch string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sign, known := p.signs[id]
	if known || len(p.signs) < maxUnwritten {
		sign.ID, sign.At, sign.Left = id, models.TimeOf(time.Now()), false
		if ch != "" {
			sign.Channel = ch
		}
		p.signs[id] = sign
	}
}

// lastUsed is the channel of a sign that is not written yet.
func (p *presence) lastUsed(id string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signs[id].Channel
}

// speaks notes a sign of life and says whether who holds the name.
func (p *presence) speaks(who models.Principal, id, ch string) bool {
	p.seen(id, ch)
	if who.Session == "" {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[id] == who.Session
}

func (p *presence) hold(id, session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[id] = session
}

func (p *presence) release(id, session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[id] != session {
		return
	}
	delete(p.held, id)
	p.signs[id] = store.Sign{ID: id, At: models.TimeOf(time.Now()), Gone: session}
	p.gone = true
	p.changed()
}

// leave releases a name and says that its instance is gone, unless somebody else holds it here.
func (p *presence) leave(id, session string) {
	p.release(id, session)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[id] != "" {
		return
	}
	sign := p.signs[id]
	sign.ID, sign.At, sign.Left = id, models.TimeOf(time.Now()), true
	p.signs[id] = sign
	p.gone = true
	p.changed()
}

// letGo writes at once that a name is free, if that is not written yet.
func (p *presence) letGo(ctx context.Context, id string) {
	p.writing.Lock()
	p.mu.Lock()
	gone := p.signs[id].Gone != ""
	p.mu.Unlock()
	p.writing.Unlock()
	if gone {
		p.flush(ctx)
	}
}

// changed has run look at once.
func (p *presence) changed() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

func (p *presence) run(ctx context.Context) error {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			p.flush(context.WithoutCancel(ctx)) // names held here are let go of for the next process
			return nil
		case <-p.kick:
			if p.hasGone() {
				p.flush(ctx)
			}
			p.announce(ctx)
			p.pause(ctx)
		case <-ticker.C:
			p.keep()
			p.flush(ctx)
			p.announce(ctx)
		}
	}
}

func (p *presence) hasGone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// pause lets changes that come together be announced together.
func (p *presence) pause(ctx context.Context) {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// keep notes the held names and those that wait as seen.
func (p *presence) keep() {
	now := time.Now()
	if now.Sub(p.kept) < holdEvery {
		return
	}
	p.kept = now
	waiting := p.waits.instances(models.Every)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range waiting { // all at one time, as they are written in few statements then
		if sign, known := p.signs[id]; known || len(p.signs) < maxUnwritten {
			sign.ID, sign.At, sign.Left = id, models.TimeOf(now), false
			p.signs[id] = sign
		}
	}
	for id := range p.held {
		p.signs[id] = store.Sign{ID: id, At: models.TimeOf(now)}
	}
}

// flush writes the signs of life. Those that cannot be written are kept.
func (p *presence) flush(ctx context.Context) {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	signs := slices.Collect(maps.Values(p.signs))
	clear(p.signs)
	p.gone = false
	holding := len(p.held) > 0 || p.waits.any()
	p.mu.Unlock()
	if len(signs) == 0 && !holding {
		return
	}
	if err := p.store.Seen(ctx, signs, holding); err != nil {
		p.log.Debug("presence is not written", "error", err)
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, sign := range signs {
			if _, newer := p.signs[sign.ID]; !newer {
				p.signs[sign.ID] = sign
			}
		}
	}
}

// announce looks who is online and wakes the watchers for whom that is new.
func (p *presence) announce(ctx context.Context) {
	p.mu.Lock()
	watchers, held := slices.Collect(maps.Keys(p.watchers)), maps.Clone(p.held)
	p.mu.Unlock()
	rolls, news := map[models.Patterns]*roll.Roll{}, map[models.Patterns]bool{}
	for _, w := range watchers {
		if rolls[w.only] == nil {
			ids, err := p.store.OnlineIDs(ctx, w.only)
			if err != nil {
				return // said where it was found; the next look tells what changed
			}
			if w.only == "" {
				ids = slices.AppendSeq(ids, maps.Keys(held))
			}
			if p.rolls[w.only] == nil {
				p.rolls[w.only] = roll.New()
			}
			rolls[w.only] = p.rolls[w.only]
			news[w.only] = rolls[w.only].Update(ids)
		}
		if w.place.Load() == nil {
			w.place.Store(rolls[w.only].Enter())
			w.wake()
		} else if news[w.only] {
			w.wake()
		}
	}
	p.rolls = rolls
}
