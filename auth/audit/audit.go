package audit

import (
	"context"
	"sync"

	"crosstalk/models"
	"crosstalk/models/store/access"
)

const (
	maxSeen   = 50_000 // pairs of caller and address in memory
	maxFresh  = 1000   // new pairs between two flushes, which write them in one transaction
	maxFailed = 1000   // addresses with wrong keys between two flushes; what is more is one sum
	others    = "others"
)

// Log is one process's. All methods may be called from any goroutine; of nil too, which keeps nothing.
type Log struct {
	table *access.Table

	// Guarded by mu.
	mu     sync.Mutex
	seen   map[sight]bool
	fresh  []access.Event
	failed map[string]int64 // by address
}

// sight is a caller at an address.
type sight struct{ principal, address string }

// New makes the Log of a table; nil for none.
func New(t *access.Table) *Log {
	if t == nil {
		return nil
	}
	return &Log{table: t, seen: map[sight]bool{}, failed: map[string]int64{}}
}

// Seen notes from where a caller calls.
func (l *Log) Seen(who models.Principal) {
	if l == nil || who.Name == "" || who.Address == "" {
		return
	}
	key := sight{who.Name, who.Address}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[key] || len(l.fresh) >= maxFresh { // one that finds no room is new again when it comes next
		return
	}
	if len(l.seen) >= maxSeen {
		clear(l.seen)
	}
	l.seen[key] = true
	l.fresh = append(l.fresh, access.EventOf(who, access.NewAddress, who.Address))
}

// Failed counts a wrong key.
func (l *Log) Failed(address string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.failed[address]; !known && len(l.failed) >= maxFailed {
		address = others
	}
	l.failed[address]++
}

// Flush writes what was gathered.
func (l *Log) Flush(ctx context.Context) {
	if l == nil {
		return
	}
	l.mu.Lock()
	events := l.fresh
	for address, n := range l.failed {
		e := access.EventOf(models.Principal{Address: address}, access.FailedLogins, "")
		e.Count = n
		events = append(events, e)
	}
	l.fresh = nil
	clear(l.failed)
	l.mu.Unlock()
	l.table.Note(ctx, events...)
}
