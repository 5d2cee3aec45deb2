package hub

import (
	"sort"
	"sync"

	"crosstalk/models"
)

// Entry is one message as it is delivered: encoded once, shared by all its readers, never changed.
type Entry struct {
	models.Message
	Event []byte // {"type":"message","message":Message}

	// HandedIn is when the message was, or another one that was stored with it, by meter.Now; 0 where that is not known: of
	// what was read from the log.
	HandedIn int64
}

const (
	eventHead = `{"type":"message","message":`
	eventTail = `}`
)

func newEntry(m models.Message, handedIn int64) *Entry {
	event := make([]byte, 0, 320+len(m.Content)+len(m.Content)/16)
	event = m.AppendJSON(append(event, eventHead...))
	return &Entry{Message: m, Event: append(event, eventTail...), HandedIn: handedIn}
}

// JSON is the Message inside Event.
func (e *Entry) JSON() []byte { return e.Event[len(eventHead) : len(e.Event)-len(eventTail)] }

// ringBytes bounds what one room keeps in memory for readers that are a little behind.
const ringBytes = 1 << 20

// room is a channel (or all of them) while somebody subscribes to it: who that is, and the newest
// entries, so that readers a little behind need not go to the log.
type room struct {
	channel string

	mu    sync.Mutex
	seats []*seat
	ring  []*Entry // every entry of the channel with id > floor that the feed has passed
	floor int64
	bytes int

	// Guarded by feed.mu.
	warm    *room // the room pushed to next after this one, and the one before: least recently first
	cool    *room
	touched bool
}

// seat is one subscriber's place in a room.
type seat struct {
	room  *room
	sub   *Subscriber
	index int // in room.seats
}

// push adds an entry, which is newer than all, and returns by how much the ring grew.
func (r *room) push(e *Entry) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.bytes
	r.ring = append(r.ring, e)
	r.bytes += len(e.Event)
	for r.bytes > ringBytes && len(r.ring) > 1 {
		r.floor = r.ring[0].ID
		r.bytes -= len(r.ring[0].Event)
		r.ring[0] = nil
		r.ring = r.ring[1:]
	}
	return r.bytes - was
}

// clear empties the ring: those behind read the log. It returns by how much it shrank.
func (r *room) clear() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.bytes
	if n := len(r.ring); n > 0 {
		r.floor = r.ring[n-1].ID
	}
	r.ring, r.bytes = nil, 0
	return was
}

// since appends the entries with after < id <= top to dst, about maxBytes of them. last is the id up
// to which that is all there is. ok is false if some of them are no more in the ring.
func (r *room) since(dst []*Entry, after, top int64, maxBytes int) (out []*Entry, last int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.floor > after {
		return dst, after, false
	}
	i := len(r.ring)
	if i > 0 && r.ring[i-1].ID > after {
		i = sort.Search(i, func(i int) bool { return r.ring[i].ID > after })
	}
	for ; i < len(r.ring) && r.ring[i].ID <= top; i++ {
		if maxBytes <= 0 {
			return dst, r.ring[i-1].ID, true
		}
		dst = append(dst, r.ring[i])
		maxBytes -= len(r.ring[i].Event)
	}
	return dst, top, true
}

func (r *room) sit(s *Subscriber) *seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	place := &seat{room: r, sub: s, index: len(r.seats)}
	r.seats = append(r.seats, place)
	return place
}

// leave gives the seat up and returns how many are still taken.
func (p *seat) leave() int {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.seats) - 1
	r.seats[p.index] = r.seats[last]
	r.seats[p.index].index = p.index
	r.seats[last] = nil
	r.seats = r.seats[:last]
	if cap(r.seats) > 64 && last < cap(r.seats)/4 {
		r.seats = append(make([]*seat, 0, last*2), r.seats...)
	}
	return last
}

func (r *room) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.seats {
		p.sub.wake()
	}
}

// others counts the seats of those that hear a channel here, and do not hide instance.
func (r *room) others(ch, instance string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range r.seats {
		if (instance == "" || p.sub.hide != instance) && p.sub.only.Match(ch) {
			n++
		}
	}
	return n
}
