package meter

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"crosstalk/models"
)

// Door counts what goes through one door. Its zero value is ready.
type Door struct {
	Accepted   atomic.Int64 // sends whose message was stored
	Duplicates atomic.Int64 // sends that repeated one that was
	Again      atomic.Int64 // messages that were shown before
	Slow       atomic.Int64 // conversations ended because the client took nothing
	Open       atomic.Int64 // conversations at the moment
	Sessions   atomic.Int64 // that are remembered at the moment
	Recovered  atomic.Int64 // streams that went on where the client had been
	Lost       atomic.Int64 // those where retention, or a change of the database, had taken what came next

	own      Cell
	rejected [len(codes)]atomic.Int64

	mu    sync.Mutex
	cells []*Cell // guarded by mu
}

// codes are all that an error can have.
var codes = [...]models.Code{
	models.Invalid, models.Unauthenticated, models.Forbidden, models.NotFound, models.Conflict,
	models.Paused, models.TooLarge, models.RateLimited, models.Unavailable, models.Internal,
}

// Accept counts a send that was answered without an error.
func (d *Door) Accept(duplicate bool) {
	if duplicate {
		d.Duplicates.Add(1)
	} else {
		d.Accepted.Add(1)
	}
}

// Reject counts a request that was refused or failed.
func (d *Door) Reject(err error) {
	code := models.CodeOf(err)
	if i := slices.Index(codes[:], code); i >= 0 {
		d.rejected[i].Add(1)
	}
}

// RejectCode counts one of which only the code is known.
func (d *Door) RejectCode(code models.Code) { d.Reject(&models.Error{Code: code}) }

// Rejected calls fn with every code there is, and how often it was the reason.
func (d *Door) Rejected(fn func(code models.Code, n int64)) {
	for i, code := range codes {
		fn(code, d.rejected[i].Load())
	}
}

// Resume counts a stream that a client wants to go on after what it has.
func (d *Door) Resume(recovered bool) {
	if recovered {
		d.Recovered.Add(1)
	} else {
		d.Lost.Add(1)
	}
}

// Deliver counts messages that were written to a client.
func (d *Door) Deliver(messages int) { d.own.delivered.Add(int64(messages)) }

// Arrive counts how long a message took from being handed in to being written to a client.
func (d *Door) Arrive(took time.Duration) { d.own.arrived.Add(took) }

// Cell returns a place of one's own to count in.
func (d *Door) Cell() *Cell {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &Cell{}
	d.cells = append(d.cells, c)
	return c
}

// Delivered is how many messages were written to clients.
func (d *Door) Delivered() int64 {
	n := d.own.delivered.Load()
	for _, c := range d.all() {
		n += c.delivered.Load()
	}
	return n
}

// Arrived is how long they took.
func (d *Door) Arrived() Spread {
	all := []Spread{d.own.arrived.Read()}
	for _, c := range d.all() {
		all = append(all, c.arrived.Read())
	}
	return Join(all...)
}

func (d *Door) all() []*Cell {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.cells)
}

// fewEnough is up to how many writes of a lap are all timed.
const fewEnough = 256

// Cell is where one goroutine counts that writes to clients all day. What it has counted anybody may read.
type Cell struct {
	delivered atomic.Int64
	arrived   Times

	// Owned by the goroutine.
	lap   int64
	turns int64 // of this lap
	every int64 // of this lap one in so many is timed

	_ [64]byte // other cells are in other cache lines
}

// Wrote counts a write that had messages in it. handedIn is when the oldest of them was, by Now; 0 if that is not known. lap
// is any number that changes every half second or so: by how much was written in the lap before it is decided which share is
// timed in this one. A write that is timed counts as often as it stands for others.
func (c *Cell) Wrote(messages int, handedIn, lap int64) {
	if lap != c.lap || c.every == 0 {
		c.every = 1 + max(c.turns-1, 0)/fewEnough
		c.lap, c.turns = lap, 0
	}
	c.turns++
	if handedIn > 0 && c.turns%c.every == 0 {
		c.arrived.AddSome(time.Duration(Now()-handedIn), c.every)
	}
	c.delivered.Add(int64(messages))
}
