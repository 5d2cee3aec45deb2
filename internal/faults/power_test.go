package faults

import "sync"

// power is what clients need to hear an answer. A nil power is always on.
type power struct {
	mu  sync.RWMutex
	off bool // guarded by mu
}

// set returns when everything heard before is dealt with.
func (p *power) set(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = !on
}

// hears does what is to be done about an answer, unless the power is off.
func (p *power) hears(do func()) bool {
	if p == nil {
		do()
		return true
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.off {
		return false
	}
	do()
	return true
}
