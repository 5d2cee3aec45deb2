package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"crosstalk/models"
	"crosstalk/models/meter"
	"crosstalk/models/store"
)

const (
	ringsBytes = 64 << 20        // bounds all rings together: beyond, the least recently used are emptied
	feedPage   = 500             // messages a read when other processes wrote
	lookEvery  = time.Second     // at the log, whether the bell rang or not
	setBack    = 2 * time.Second // that the log ends before the position, before that is believed
	leastRest  = time.Millisecond
	mostRest   = 8 * time.Millisecond
)

// feed is this process's position in the log. What the writer commits right behind it goes to the
// rooms at once. If somebody else wrote in between, the log is read from the position on.
type feed struct {
	// Set by newFeed, then constant.
	store  *store.Store
	bell   Bell
	log    *slog.Logger
	behind chan struct{} // size 1
	most   int           // bytes that all rings may hold

	mostSeats int
	onRing    func() // who else listens to the bell
	meter     *meter.Hub

	position atomic.Int64 // all up to here is in the rings; advanced after they have it
	began    atomic.Int64 // looks at the log
	looked   atomic.Int64 // when the last one went well, Unix ms

	// Guarded by mu. A room's own lock comes after it.
	mu    sync.Mutex
	rooms map[string]*room
	taken int // seats in all rooms
	bytes int
	cold  *room // ends of the list by last push
	hot   *room

	shrunk time.Time // since when the log ends before the position; owned by run
}

func newFeed(st *store.Store, o Options, head int64, m *meter.Hub) *feed {
	f := &feed{store: st, bell: o.Bell, log: o.Log, behind: make(chan struct{}, 1), most: ringsBytes, mostSeats: maxSeats, meter: m, rooms: map[string]*room{}}
	f.position.Store(head)
	f.looked.Store(time.Now().UnixMilli())
	return f
}

// committed is the store's report of a batch. It runs between the commit and its acknowledgement.
func (f *feed) committed(batch []models.Message) {
	f.mu.Lock()
	next := batch[0].ID <= f.position.Load()+1
	var touched []*room
	if next {
		touched = f.add(batch, f.store.Meter().Oldest.Load())
	}
	f.mu.Unlock()
	for _, r := range touched {
		r.wake()
	}
	if !next {
		f.look()
	}
	if f.bell != nil {
		f.bell.Ring()
	}
}

// look has run read the log.
func (f *feed) look() {
	select {
	case f.behind <- struct{}{}:
	default:
	}
}

// add passes messages to their rooms, those that are new, and returns the rooms to wake. handedIn is when the first of
// them was; 0: not known.
func (f *feed) add(batch []models.Message, handedIn int64) (touched []*room) {
	position := f.position.Load()
	every := f.rooms[models.Every]
	for i := range batch {
		if batch[i].ID <= position {
			continue
		}
		position = batch[i].ID
		room := f.rooms[batch[i].Channel]
		if room == nil && every == nil {
			continue
		}
		e := newEntry(batch[i], handedIn)
		if room != nil {
			touched = f.push(room, e, touched)
		}
		if every != nil {
			touched = f.push(every, e, touched)
		}
	}
	f.position.Store(position)
	for _, r := range touched {
		r.touched = false
	}
	for f.bytes > f.most && f.cold != f.hot {
		f.bytes -= f.cold.clear()
		f.unlink(f.cold)
	}
	f.meter.RingBytes.Store(int64(f.bytes))
	return touched
}

func (f *feed) push(r *room, e *Entry, touched []*room) []*room {
	f.bytes += r.push(e)
	if f.hot != r {
		f.unlink(r)
		f.link(r)
	}
	if !r.touched {
		r.touched = true
		touched = append(touched, r)
	}
	return touched
}

// link makes r the room last pushed to.
func (f *feed) link(r *room) {
	r.cool, r.warm = f.hot, nil
	if f.hot != nil {
		f.hot.warm = r
	} else {
		f.cold = r
	}
	f.hot = r
}

// unlink takes r out of the list, if it is there.
func (f *feed) unlink(r *room) {
	if r.cool != nil {
		r.cool.warm = r.warm
	} else if f.cold == r {
		f.cold = r.warm
	}
	if r.warm != nil {
		r.warm.cool = r.cool
	} else if f.hot == r {
		f.hot = r.cool
	}
	r.cool, r.warm = nil, nil
}

// maxSeats bounds the channels that all subscribers of this process subscribe to together: 0.3 KB each.
const maxSeats = 500_000

// reserve takes seats for a subscriber, or says that there are not so many.
func (f *feed) reserve(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.taken+n > f.mostSeats {
		return models.After(models.Errorf(models.RateLimited,
			"%d subscriptions of all callers are open, and this hub takes no more: end some, or subscribe to * once", f.taken), 5*time.Second)
	}
	f.taken += n
	return nil
}

// free gives back so many seats.
func (f *feed) free(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken -= n
}

// join seats a subscriber in a room, which is made for the first.
func (f *feed) join(ch string, s *Subscriber) *seat {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rooms[ch]
	if r == nil {
		r = &room{channel: ch, floor: f.position.Load()}
		f.rooms[ch] = r
	}
	return r.sit(s)
}

// leave gives a seat up; a room ends with its last.
func (f *feed) leave(p *seat) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.leave() == 0 {
		f.bytes -= p.room.clear()
		f.meter.RingBytes.Store(int64(f.bytes))
		f.unlink(p.room)
		delete(f.rooms, p.room.channel)
	}
}

// seats counts the streams that have a channel open in this process, but those that hide instance,
// which are its own.
func (f *feed) seats(ch, instance string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range []*room{f.rooms[ch], f.rooms[models.Every]} {
		if r != nil {
			n += r.others(ch, instance)
		}
	}
	return n
}

// run reads what other processes wrote, when told and every second. It fails only when the log has lost what it had, or is lost itself.
func (f *feed) run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	e := newEar(f.bell)
	failing := false
	for {
		heard := false
		select {
		case <-ctx.Done():
			return nil
		case <-f.behind:
		case <-e.rung:
			heard = true
			f.meter.Heard.Add(1)
			f.onRing()
		case <-e.rested:
			e.listen()
			continue
		case <-ticker.C:
		}
		f.began.Add(1)
		news, err := f.catchUp(ctx)
		if heard {
			e.heard(news)
		}
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case err == nil:
			f.looked.Store(time.Now().UnixMilli())
		case errors.Is(err, errSetBack) || errors.Is(err, errGone):
			return err
		case !failing:
			f.log.Error("log cannot be read", "error", err)
		}
		failing = err != nil
	}
}

// marks are the number of looks at the log that began, when the last one went well, and the position: each only grows.
func (f *feed) marks() (began, looked, position int64) {
	return f.began.Load(), f.looked.Load(), f.position.Load()
}

// ear listens to a bell. A bell that is a file sounds for what this process wrote as for what others did, and a look
// for nothing costs 40 us; so after each ring that brought nothing it rests, longer each time, before it hears the
// next. No ring is lost by that: one that comes meanwhile is heard in the end.
type ear struct {
	bell   Bell
	rung   <-chan struct{} // nil while it rests
	rested <-chan time.Time
	rest   time.Duration
}

func newEar(b Bell) *ear {
	e := &ear{bell: b}
	e.listen()
	return e
}

func (e *ear) listen() {
	if e.rested = nil; e.bell != nil {
		e.rung = e.bell.Rung()
	}
}

// heard says whether the last ring brought news.
func (e *ear) heard(news bool) {
	if news {
		e.rest = 0
		return
	}
	e.rest = min(max(2*e.rest, leastRest), mostRest)
	e.rung, e.rested = nil, time.After(e.rest)
}

// catchUp passes on all that the log has beyond the position, and says whether that was anything.
func (f *feed) catchUp(ctx context.Context) (news bool, err error) {
	was := f.position.Load()
	if err := f.store.Moved(); err != nil {
		return false, fmt.Errorf("%w: %w", errGone, err)
	}
	head, err := f.store.Head(ctx)
	if err == nil {
		err = f.regress(head, was)
	}
	if err != nil {
		return false, err
	}
	for ctx.Err() == nil {
		position := f.position.Load()
		if position >= head || f.skip(head) {
			return news, nil
		}
		news = true
		batch, err := f.store.After(ctx, models.Every, position, head, feedPage)
		if err != nil {
			return news, err
		}
		f.lag(batch)
		f.mu.Lock()
		touched := f.add(batch, 0)
		if len(batch) < feedPage { // what is missing up to head, retention took
			f.position.Store(max(head, f.position.Load()))
		}
		f.mu.Unlock()
		for _, r := range touched {
			r.wake()
		}
	}
	return news, nil
}

// lag notes how late this process reads what another one stored.
func (f *feed) lag(batch []models.Message) {
	if n := len(batch); n > 0 {
		f.meter.Lag.Add(time.Since(batch[n-1].CreatedAt.Time()))
	}
}

// errGone ends the hub: what it goes on storing would be lost with it.
var errGone = errors.New("the database was taken away")

// errSetBack ends the hub: ids that its subscribers have passed would be given to other messages. They come back to the
// next process and are told that their cursor is past the head.
var errSetBack = errors.New("the database was set back: a backup was restored, or a standby took over that had not all")

// regress says whether the log, which ends at head, has been further when it was looked at before.
func (f *feed) regress(head, was int64) error {
	switch {
	case head >= was:
		f.shrunk = time.Time{}
	case f.shrunk.IsZero():
		f.shrunk = time.Now()
	case time.Since(f.shrunk) >= setBack:
		return fmt.Errorf("%w (the log ends at %d, and has been at %d)", errSetBack, head, was)
	}
	return nil
}

// skip moves the position to head if nobody subscribes.
func (f *feed) skip(head int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rooms) > 0 {
		return false
	}
	f.position.Store(max(head, f.position.Load()))
	return true
}
