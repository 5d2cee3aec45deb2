package pulse

import (
	"sync"
	"time"
)

// Pulse is a wheel that turns once in the time after which everybody is called again. A moment is one of its slots.
type Pulse struct {
	// Set by New, then constant.
	stride time.Duration // between two moments
	lap    int64         // moments in one turn

	mu sync.Mutex
	// Guarded by mu.
	slots   [][]*member
	count   int
	began   time.Time   // moment 0
	at      int64       // the moment up to which everybody was called
	timer   *time.Timer // of the next beat
	next    int64       // numbers the beats: one that was called off too late does nothing
	beating bool

	turn []*member // owned by beat
}

// member is one who is called.
type member struct {
	// Guarded by Pulse.mu.
	slot, index int
	due         int64

	mu sync.Mutex // held while fn runs
	// Guarded by mu.
	fn func() // nil: he has left
}

// New makes a Pulse that calls everybody about so often, a multiple of stride, and at most half of that too early or late.
func New(every, stride time.Duration) *Pulse {
	lap := int64(every / stride)
	return &Pulse{stride: stride, lap: lap, slots: make([][]*member, lap)}
}

// Join has fn called from now on, for the first time when the wheel has turned once. It is not called any more when leave
// has returned, which it must not call itself.
func (p *Pulse) Join(fn func()) (leave func()) {
	m := &member{fn: fn}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 && !p.beating {
		p.began, p.at = time.Now(), 0
	}
	m.due = int64((time.Since(p.began)+p.stride/2)/p.stride) + p.lap
	m.slot = int(m.due % p.lap)
	m.index = len(p.slots[m.slot])
	p.slots[m.slot] = append(p.slots[m.slot], m)
	if p.count++; p.count == 1 && !p.beating { // else somebody is called sooner
		p.rest()
	}
	return func() { p.leave(m) }
}

func (p *Pulse) leave(m *member) {
	m.mu.Lock()
	gone := m.fn == nil
	m.fn = nil
	m.mu.Unlock()
	if gone {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	slot := p.slots[m.slot]
	last := slot[len(slot)-1]
	slot[m.index], last.index = last, m.index
	slot[len(slot)-1] = nil
	p.slots[m.slot] = slot[:len(slot)-1]
	if p.count--; p.count == 0 {
		p.timer.Stop()
		p.next++
	}
}

// rest sets the timer for the next moment at which there is somebody. Its caller holds mu, and there is.
func (p *Pulse) rest() {
	moment := p.at + 1
	for len(p.slots[moment%p.lap]) == 0 {
		moment++
	}
	p.next++
	n := p.next
	p.timer = time.AfterFunc(time.Until(p.began.Add(time.Duration(moment)*p.stride)), func() { p.beat(n) })
}

// beat calls those who are due. It is the nth.
func (p *Pulse) beat(n int64) {
	p.mu.Lock()
	if n != p.next {
		p.mu.Unlock()
		return
	}
	p.beating = true
	now := int64(time.Since(p.began) / p.stride)
	for p.at = max(p.at, now-p.lap); p.at < now; { // a process can have been stopped for long
		p.at++
		for _, m := range p.slots[p.at%p.lap] {
			if m.due <= p.at {
				m.due = p.at + p.lap
				p.turn = append(p.turn, m)
			}
		}
	}
	p.mu.Unlock()
	for _, m := range p.turn {
		m.call()
	}
	clear(p.turn)
	p.turn = p.turn[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beating = false
	if p.count > 0 {
		p.rest()
	}
}

func (m *member) call() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fn != nil {
		m.fn()
	}
}
