package hub

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"

	"crosstalk/hub/roll"
	"crosstalk/models"
)

// Subscription says what a subscriber wants.
type Subscription struct {
	Channels []string // parsed names, or models.Every alone
	After    *int64   // what it has; nil: all there is now
	Hide     string   // an instance whose own messages are passed over
	Wake     func()   // called when there may be more; must not block nor call the Subscriber. nil: use Next
}

// Subscriber is a cursor, and a token that says there may be more. The next message is the one after
// its cursor, from the rooms' rings if it is still there, else from the log: history, live, resume
// and slow readers are this one path. Its methods but Close are for one goroutine at a time.
type Subscriber struct {
	// Set by Subscribe, then constant.
	hub       *Hub
	left      func() // gives back what counted against the limits
	seats     []*seat
	hide      string
	only      models.Patterns // what it may read of all channels; empty: all
	wake      func()
	token     chan struct{} // size 1; nil with a Wake of its own
	head      int64
	recovered map[string]bool

	// Owned by the goroutine that reads.
	cursor int64
	rows   int // how many the next read of the log asks for
}

// Reads of the log adapt to the size of what they find, between these.
const (
	minRows = 4
	maxRows = 128
)

// Subscribe opens one stream, in id order, over all the channels named.
func (h *Hub) Subscribe(ctx context.Context, who models.Principal, want Subscription) (*Subscriber, error) {
	if err := h.names.Check(who, want.Hide); err != nil {
		return nil, err
	}
	for _, ch := range want.Channels {
		if err := who.NeedReads(ch); err != nil {
			return nil, err
		}
	}
	left, err := h.limits.Subscribe(who, len(want.Channels))
	if err != nil {
		return nil, err
	}
	s, err := h.subscribe(ctx, who, want)
	if err != nil {
		left()
		return nil, err
	}
	s.left = left
	h.meter.Subscribers.Add(1)
	return s, nil
}

// subscribe is Subscribe for what was allowed and counted.
func (h *Hub) subscribe(ctx context.Context, who models.Principal, want Subscription) (*Subscriber, error) {
	s := &Subscriber{hub: h, hide: want.Hide, only: who.Channels, wake: want.Wake, rows: minRows, recovered: map[string]bool{}}
	if s.wake == nil {
		s.token = make(chan struct{}, 1)
		s.wake = func() {
			select {
			case s.token <- struct{}{}:
			default:
			}
		}
	}
	head, err := h.store.Head(ctx)
	if err != nil {
		return nil, err
	}
	for _, ch := range want.Channels {
		if s.recovered[ch], err = h.recovers(ctx, ch, want.After, head); err != nil {
			return nil, err
		}
	}
	if err := h.feed.reserve(len(want.Channels)); err != nil {
		return nil, err
	}
	for _, ch := range want.Channels {
		s.seats = append(s.seats, h.feed.join(ch, s))
	}
	// From here on the rooms keep what comes. What this process has seen by now counts as there before.
	s.head = max(head, h.feed.position.Load())
	s.cursor = s.head
	if want.After != nil {
		s.cursor = min(*want.After, s.head)
	}
	return s, nil
}

// recovers says whether a channel still has all that came after an id.
func (h *Hub) recovers(ctx context.Context, ch string, after *int64, head int64) (bool, error) {
	if after == nil || *after >= head {
		return after == nil || *after == head, nil
	}
	pruned, err := h.store.Pruned(ctx, ch)
	return *after >= pruned, err
}

// Head is the id of the bus's newest message when the stream began.
func (s *Subscriber) Head() int64 { return s.head }

// Recovered is false if retention has removed messages of the channel that came after After, or if
// After was past the head: the reader then has a gap, or another bus.
func (s *Subscriber) Recovered(ch string) bool { return s.recovered[ch] }

// Position is the id up to which everything was returned or passed over.
func (s *Subscriber) Position() int64 { return s.cursor }

// Close ends the stream. It may be called from any goroutine, once.
func (s *Subscriber) Close() {
	for _, p := range s.seats {
		s.hub.feed.leave(p)
	}
	s.hub.feed.free(len(s.seats))
	s.left()
	s.hub.meter.Subscribers.Add(-1)
}

// Ready appends to dst what is in memory, about maxBytes of it. behind says that what comes next
// must be Read from the log.
func (s *Subscriber) Ready(dst []*Entry, maxBytes int) (out []*Entry, behind bool) {
	top := s.hub.feed.position.Load()
	if s.cursor >= top {
		return dst, false
	}
	begin := len(dst)
	last := top
	for _, p := range s.seats {
		var end int64
		var ok bool
		if dst, end, ok = p.room.since(dst, s.cursor, top, maxBytes); !ok {
			return dst[:begin], true
		}
		last = min(last, end)
	}
	return s.take(dst, begin, last), false
}

// Read is Ready, but goes to the log where memory has it no more. Nothing appended: all was read.
func (s *Subscriber) Read(ctx context.Context, dst []*Entry, maxBytes int) ([]*Entry, error) {
	begin := len(dst)
	for {
		dst, behind := s.Ready(dst, maxBytes)
		if !behind {
			if len(dst) > begin || s.cursor >= s.hub.feed.position.Load() {
				return dst, nil
			}
			continue // all that came was hidden
		}
		dst, err := s.readLog(ctx, dst, maxBytes)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || len(dst) > begin {
			return dst, err
		}
	}
}

// Next is Read that waits until there is something.
func (s *Subscriber) Next(ctx context.Context, dst []*Entry, maxBytes int) ([]*Entry, error) {
	for begin := len(dst); ; {
		out, err := s.Read(ctx, dst, maxBytes)
		if err != nil || len(out) > begin {
			return out, err
		}
		select {
		case <-s.token:
		case <-ctx.Done():
			return dst, ctx.Err()
		case <-s.hub.draining:
			return dst, models.Errorf(models.Unavailable, "the server is restarting: connect again")
		}
	}
}

// readLog appends what comes next in the log.
func (s *Subscriber) readLog(ctx context.Context, dst []*Entry, maxBytes int) ([]*Entry, error) {
	s.hub.meter.RingMisses.Add(1)
	begin, size := len(dst), 0
	top := s.hub.feed.position.Load()
	last := top
	for _, p := range s.seats {
		batch, err := s.hub.store.After(ctx, p.room.channel, s.cursor, top, s.rows)
		if err != nil {
			return dst[:begin], err
		}
		for i := range batch {
			dst = append(dst, newEntry(batch[i], 0))
			size += len(dst[len(dst)-1].Event)
		}
		if len(batch) == s.rows {
			last = min(last, batch[len(batch)-1].ID)
		}
	}
	if size > 2*maxBytes {
		s.rows = max(minRows, s.rows/2)
	} else if size < maxBytes/2 {
		s.rows = min(maxRows, s.rows*2)
	}
	return s.take(dst, begin, last), nil
}

// take brings what was gathered from all rooms into one order, keeps it up to the id to which it is
// complete, and moves the cursor there.
func (s *Subscriber) take(dst []*Entry, begin int, last int64) []*Entry {
	got := dst[begin:]
	if len(s.seats) > 1 {
		slices.SortFunc(got, func(a, b *Entry) int { return cmp.Compare(a.ID, b.ID) })
	}
	got = slices.DeleteFunc(got, func(e *Entry) bool {
		return e.ID > last || s.hide != "" && e.Sender == s.hide || s.only != "" && !s.only.Match(e.Channel)
	})
	s.cursor = last
	return dst[:begin+len(got)]
}

// Watcher hears who comes and goes, beginning with all who are online.
type Watcher struct {
	// Set by Watch, then constant.
	presence *presence
	wake     func()
	only     models.Patterns // of whom it may know; empty: of all

	place atomic.Pointer[roll.Place] // nil: nobody has looked yet
}

// Watch calls wake whenever there is something for Next to tell, as far as who may know of it, until Close. wake must not block.
func (h *Hub) Watch(who models.Principal, wake func()) *Watcher {
	p := h.presence
	w := &Watcher{presence: p, wake: wake, only: who.Channels}
	p.mu.Lock()
	p.watchers[w] = true
	p.mu.Unlock()
	p.changed()
	return w
}

// Next tells what changed since, of each instance the latest, until tell answers that it had no room for that. more says so.
// A watcher that has missed too much is told so by an error.
func (w *Watcher) Next(tell func(instance string, s models.Status) bool) (more bool, err error) {
	place := w.place.Load()
	if place == nil {
		return false, nil
	}
	more, behind := place.Next(func(id string, online bool) bool {
		if online {
			return tell(id, models.Online)
		}
		return tell(id, models.Offline)
	})
	if behind {
		return false, models.Errorf(models.Unavailable, "too slow: more have gone than can be told; come back and resume")
	}
	return more, nil
}

// Close ends it.
func (w *Watcher) Close() {
	w.presence.mu.Lock()
	defer w.presence.mu.Unlock()
	delete(w.presence.watchers, w)
}
