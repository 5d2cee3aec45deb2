package names

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"crosstalk/models"
	"crosstalk/models/store/access"
)

const (
	lookEvery = time.Second
	maxCommon = 10_000 // names in memory that are everybody's
)

// Book is one process's copy of who owns which name.
type Book struct {
	// Set by New, then constant.
	table *access.Table
	log   *slog.Logger
	ring  func()        // tells other processes that something changed
	kick  chan struct{} // size 1

	any atomic.Bool // there is an owned name

	// Guarded by mu.
	mu      sync.RWMutex
	owned   map[string]access.Name // by fold
	common  map[string]bool        // ids that cannot be claimed any more
	writes  int                    // of this process, which a copy that was read meanwhile lacks
	version int64                  // of the copy
}

// unread is no version: the book is to be read anew.
const unread = -1

// New reads the book. ring is called after a change; nil: nobody needs to hear.
func New(ctx context.Context, t *access.Table, ring func(), log *slog.Logger) (*Book, error) {
	if ring == nil {
		ring = func() {}
	}
	b := &Book{table: t, log: log, ring: ring, kick: make(chan struct{}, 1), version: unread}
	return b, b.load(ctx)
}

// load reads the book anew if anything changed.
func (b *Book) load(ctx context.Context) error {
	for {
		b.mu.RLock()
		writes, known := b.writes, b.version
		b.mu.RUnlock()
		version, err := b.table.Version(ctx)
		if err != nil || version == known {
			return err
		}
		var list []access.Name
		if list, err = b.table.Names(ctx); err != nil {
			return err
		}
		owned := make(map[string]access.Name, len(list))
		for _, n := range list {
			owned[n.Fold] = n
		}
		b.mu.Lock()
		if b.writes == writes {
			b.owned, b.common, b.version = owned, map[string]bool{}, version
			b.any.Store(len(owned) > 0)
		}
		b.mu.Unlock()
	}
}

// wrote has change note what this process has written. Somebody else may have written since, and the book have been
// read, so that the note is out of date. So the book is read again, soon.
func (b *Book) wrote(change func()) {
	b.mu.Lock()
	change()
	b.writes++
	b.version = unread
	b.mu.Unlock()
}

// Run keeps the book up to date until ctx ends.
func (b *Book) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.kick:
		case <-ticker.C:
		}
		if err := b.load(ctx); err != nil && ctx.Err() == nil {
			b.log.Debug("names were not read", "error", err)
		}
	}
}

// Look has Run look at once: another process has changed something.
func (b *Book) Look() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// find returns the owned name that id is, or looks like.
func (b *Book) find(id string) (n access.Name, owned bool) {
	if !b.any.Load() {
		return n, false
	}
	fold := models.FoldInstance(id)
	b.mu.RLock()
	defer b.mu.RUnlock()
	n, owned = b.owned[fold]
	return n, owned
}

// Check refuses a name that is not who's to use. An empty one is nobody's.
func (b *Book) Check(who models.Principal, id string) error {
	if n, owned := b.find(id); owned && id != "" {
		return refusal(n, who, id)
	}
	return nil
}

// refusal says why an owned name is not for who; nil if it is.
func refusal(n access.Name, who models.Principal, id string) error {
	switch {
	case n.Owner == who.Name && n.Instance == id:
		return nil
	case n.Owner == who.Name:
		return models.Errorf(models.Invalid, "%q looks like your own name %q: write it as you registered it", id, n.Instance)
	}
	return models.Errorf(models.Forbidden, "the name %q belongs to another key, or looks like one that does: use a name of your own", id)
}

// Owns tells whether a name is who's own.
func (b *Book) Owns(who models.Principal, id string) bool {
	n, owned := b.find(id)
	return owned && n.Owner == who.Name && n.Instance == id
}

// Claim is Check for one who speaks or registers: a name that nobody has registered becomes who's own, if who has a
// credential of its own.
func (b *Book) Claim(ctx context.Context, who models.Principal, id string) error {
	if !who.Named() {
		return b.Check(who, id)
	}
	if n, owned := b.find(id); owned {
		return refusal(n, who, id)
	}
	b.mu.RLock()
	common, version := b.common[id], b.version
	b.mu.RUnlock()
	if common {
		return nil
	}
	n, err := b.table.Claim(ctx, who.Name, id)
	if err != nil {
		return err
	}
	if n.Owner == "" {
		b.isCommon(id, version)
		return nil
	}
	b.claimed(n)
	b.ring()
	return refusal(n, who, id)
}

// claimed notes whose a name is.
func (b *Book) claimed(n access.Name) {
	b.wrote(func() {
		b.owned[n.Fold] = n
		b.any.Store(true)
	})
}

// isCommon notes that a name is everybody's, if that was found out when the book was of this version.
func (b *Book) isCommon(id string, version int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.version == version && len(b.common) < maxCommon {
		b.common[id] = true
	}
}

// Release makes a name free, as if it had never registered. Only its owner may, and an admin.
func (b *Book) Release(ctx context.Context, who models.Principal, id string) error {
	if !b.Owns(who, id) {
		if err := who.Need(models.ScopeAdmin); err != nil {
			return models.Errorf(models.Forbidden, "only the key that a name belongs to may release it, or one of scope admin")
		}
	}
	was, err := b.table.Release(ctx, id)
	if err != nil {
		return err
	}
	b.released(id)
	b.ring()
	if !was {
		return models.Errorf(models.NotFound, "nobody of the name %q has registered", id)
	}
	return nil
}

// released notes that a name is free.
func (b *Book) released(id string) {
	b.wrote(func() {
		if n, owned := b.owned[models.FoldInstance(id)]; owned && n.Instance == id {
			delete(b.owned, n.Fold)
		}
		clear(b.common)
	})
}
