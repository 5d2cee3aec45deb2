package roll

import (
	"slices"
	"sort"
	"sync"
)

const (
	maxGone   = 10_000 // of those who have gone; then half of them are forgotten
	holesKept = 100    // at least, before the list is written anew
)

// Roll is who is online. Any number of goroutines may use it.
type Roll struct {
	mu sync.Mutex
	// Guarded by mu.
	list    []entry        // by version
	at      map[string]int // of a name in list
	version int64
	gone    int   // names in list that are not online
	holes   int   // in list
	lost    int64 // the version of the newest name that was forgotten
}

// entry is the latest of a name.
type entry struct {
	id      string // empty: the name has come or gone since, and stands further back
	version int64
	online  bool
}

// New makes a roll of nobody.
func New() *Roll { return &Roll{at: map[string]int{}} }

// Update has these be online and nobody else, and says whether that is new.
func (r *Roll) Update(ids []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.version
	here := make(map[string]bool, len(ids))
	for _, id := range ids {
		here[id] = true
		if i, known := r.at[id]; !known || !r.list[i].online {
			r.put(id, true)
		}
	}
	var gone []string
	for id, i := range r.at {
		if r.list[i].online && !here[id] {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	for _, id := range gone {
		r.put(id, false)
	}
	r.tidy()
	return r.version != before
}

// put writes the latest of a name at the end of the list. Its caller holds mu.
func (r *Roll) put(id string, online bool) {
	if i, known := r.at[id]; known {
		if !r.list[i].online {
			r.gone--
		}
		r.list[i].id = ""
		r.holes++
	}
	if !online {
		r.gone++
	}
	r.version++
	r.at[id] = len(r.list)
	r.list = append(r.list, entry{id, r.version, online})
}

// tidy forgets those who went first where they are too many, and closes holes. Its caller holds mu.
func (r *Roll) tidy() {
	over := 0
	if r.gone > maxGone {
		over = r.gone - maxGone/2
	}
	if over == 0 && r.holes <= len(r.list)/2+holesKept {
		return
	}
	kept := make([]entry, 0, len(r.list)-r.holes-over)
	for _, e := range r.list {
		switch {
		case e.id == "":
		case !e.online && over > 0:
			delete(r.at, e.id)
			r.lost = e.version
			over--
			r.gone--
		default:
			r.at[e.id] = len(kept)
			kept = append(kept, e)
		}
	}
	r.list, r.holes = kept, 0
}

// Place is how far one watcher has heard. One goroutine at a time may use it.
type Place struct {
	roll  *Roll
	since int64 // who had gone by then was never there for this watcher
	heard int64
}

// Enter makes the place of a watcher that has heard nothing: first it hears of all who are online.
func (r *Roll) Enter() *Place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Place{roll: r, since: r.version}
}

// Next tells what changed, until tell answers that it had no room for that; it comes again. more says so. behind says that some
// have gone of whom it cannot be told any more, and then tells nothing.
func (p *Place) Next(tell func(id string, online bool) bool) (more, behind bool) {
	r := p.roll
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.heard < r.lost && p.since < r.lost {
		return false, true
	}
	for i := sort.Search(len(r.list), func(i int) bool { return r.list[i].version > p.heard }); i < len(r.list); i++ {
		e := &r.list[i]
		if e.id != "" && (e.online || e.version > p.since) && !tell(e.id, e.online) {
			return true, false
		}
		p.heard = e.version
	}
	return false, false
}
