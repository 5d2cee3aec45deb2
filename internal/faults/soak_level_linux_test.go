package faults

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// levels are what the nodes hold over time. What a process has at most grown by from the second quarter of its life to the
// last is bounded, if it lived long enough to tell.
type levels struct {
	x *soak

	mu sync.Mutex
	// Guarded by mu.
	fresh map[*node]level // just started, with nobody there
	lives []*lifetime
	last  time.Time
}

// lifetime is one process.
type lifetime struct {
	node *node
	of   *child
	at   []time.Duration // since the first sample
	from time.Time
	seen []level
}

// What may be more in the end. Of the heap and the memory the caches of channels and statements fill in the first quarter;
// the rest is room for what happens to be under way.
const (
	longLife        = 4 * time.Minute
	moreGoroutines  = 12
	moreDescriptors = 12
	moreHeap        = 8 << 10 // KiB
	moreMemory      = 32      // MiB
	fewLeft         = 16      // goroutines and descriptors when all have gone
)

func newLevels(x *soak) *levels { return &levels{x: x, fresh: map[*node]level{}} }

func (l *levels) idle(t *testing.T, n *node) {
	t.Helper()
	l.fresh[n] = n.level(t)
}

// sample looks at both nodes, at most every few seconds.
func (l *levels) sample(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) < 5*time.Second || l.x.failed() != nil {
		return
	}
	l.last = time.Now()
	for _, n := range l.x.nodes {
		i := slices.IndexFunc(l.lives, func(life *lifetime) bool { return life.of == n.running() })
		if i < 0 {
			i, l.lives = len(l.lives), append(l.lives, &lifetime{node: n, of: n.running(), from: time.Now()})
		}
		life := l.lives[i]
		life.at = append(life.at, time.Since(life.from))
		life.seen = append(life.seen, n.level(t))
	}
}

// settle waits until a node that nobody uses any more holds little more than when it was new.
func (l *levels) settle(t *testing.T, n *node) {
	t.Helper()
	now := level{}
	l.x.soon(t.Context(), time.Minute, func() string {
		now = n.level(t)
		if was := l.fresh[n]; now.goroutines > was.goroutines+fewLeft || now.descriptors > was.descriptors+fewLeft {
			return fmt.Sprintf("%v does not let go of what it held: it was %v, and is %v with nobody there\n%s", n, was, now, n.profile(t, "goroutine?debug=1"))
		}
		return ""
	})
	t.Logf("%v %v was %v when new, and is %v when all have gone", l.x.store, n, l.fresh[n], now)
}

// judge fails the run where a process grew.
func (l *levels) judge() {
	for _, life := range l.lives {
		if life.length() < longLife {
			continue
		}
		for _, k := range kinds() {
			if grown := life.growth(k); grown > float64(k.most) {
				l.x.failf("a process of %v grew by %.0f %s in %s, at most %d may be: %v", life.node, grown, k.name, life.length().Round(time.Second), k.most, life.seen)
			}
		}
	}
}

// kind is one of the figures of a level.
type kind struct {
	name string
	most int
	of   func(level) int
}

func kinds() []kind {
	return []kind{
		{"goroutines", moreGoroutines, func(l level) int { return l.goroutines }},
		{"descriptors", moreDescriptors, func(l level) int { return l.descriptors }},
		{"KiB on the heap", moreHeap, func(l level) int { return l.heap }},
		{"MiB of memory", moreMemory, func(l level) int { return l.memory }},
	}
}

func (life *lifetime) length() time.Duration { return life.at[len(life.at)-1] }

// growth compares the medians of the second quarter and the last.
func (life *lifetime) growth(k kind) float64 {
	n := len(life.seen)
	return middle(life.seen[n-n/4:], k) - middle(life.seen[n/4:n/2], k)
}

func middle(seen []level, k kind) float64 {
	var all []int
	for _, l := range seen {
		all = append(all, k.of(l))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return float64(all[len(all)/2])
}

// slope is that of the line with the least squares through all but the first quarter, an hour.
func (life *lifetime) slope(k kind) float64 {
	begin := len(life.seen) / 4
	var n, x, y, xx, xy float64
	for i := begin; i < len(life.seen); i++ {
		hours, v := life.at[i].Hours(), float64(k.of(life.seen[i]))
		n, x, y, xx, xy = n+1, x+hours, y+v, xx+hours*hours, xy+hours*v
	}
	if n*xx == x*x {
		return 0
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

// String is a line for each process that lived long enough.
func (l *levels) String() string {
	var b strings.Builder
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, life := range l.lives {
		n := len(life.seen)
		if life.length() < longLife {
			continue
		}
		fmt.Fprintf(&b, "a process of %v, looked at %d times in %s, from its second quarter to its last:\n", life.node, n, life.length().Round(time.Second))
		for _, k := range kinds() {
			fmt.Fprintf(&b, "%8.0f to %.0f %s, at most %d more allowed; slope %+.1f an hour\n",
				middle(life.seen[n/4:n/2], k), middle(life.seen[n-n/4:], k), k.name, k.most, life.slope(k))
		}
	}
	return b.String()
}
