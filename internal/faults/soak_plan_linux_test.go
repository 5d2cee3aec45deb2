package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// step is one thing that is broken, and how.
type step struct {
	kind   string
	node   int
	lasts  time.Duration // how long it stays broken
	gap    time.Duration // how long all is well after it
	number uint64        // what else it needs
}

func (s step) String() string {
	return fmt.Sprintf("%s (node %d, for %s), then %s", s.kind, s.node, s.lasts, s.gap)
}

// plan is a sequence of steps that follows from the seed, the database and the length of the run. Each kind comes up once in a
// bag, some more often; then there is a new bag.
type plan struct {
	x      *soak
	random *rand.Rand
	bag    []string
	made   int
	faults map[string]func(*testing.T, step)

	mu   sync.Mutex
	past []string // guarded by mu: the steps so far
}

func newPlan(x *soak) *plan {
	p := &plan{x: x, random: x.dice("plan")}
	p.faults = map[string]func(*testing.T, step){
		"kill -9":                                     x.killed,
		"kill -9 of both nodes":                       x.bothKilled,
		"SIGTERM and start":                           x.restarted,
		"clients' connections reset":                  func(_ *testing.T, s step) { x.cut(x.nodes[s.node].clients, torn, s) },
		"clients' connections silent":                 func(_ *testing.T, s step) { x.cut(x.nodes[s.node].clients, silent, s) },
		"large messages":                              x.flood,
		"hostile bytes":                               x.hostile,
		"database's connections reset":                func(_ *testing.T, s step) { x.cut(x.nodes[s.node].database, torn, s) },
		"database's connections silent":               func(_ *testing.T, s step) { x.cut(x.nodes[s.node].database, silent, s) },
		"the database killed and started":             func(t *testing.T, s step) { x.database(t, s, x.cluster.Kill) },
		"the database stopped and started":            func(t *testing.T, s step) { x.database(t, s, x.cluster.Stop) },
		"kill -9 of the node that lives on":           x.killed,
		"SIGTERM and start of the node that lives on": x.restarted,
	}
	return p
}

// elder is the node that is left alone for longer, so that it can be seen whether it grows.
const elder = 0

// life is how many steps it is left alone for: some twenty minutes in a long run.
func (p *plan) life() int { return min(230, max(5, p.x.seconds/15)) }

func (p *plan) next() step {
	if len(p.bag) == 0 {
		p.bag = []string{"kill -9", "kill -9", "SIGTERM and start", "clients' connections reset", "clients' connections silent", "large messages", "hostile bytes"}
		if p.x.store == "postgres" {
			p.bag = append(p.bag, "database's connections reset", "database's connections silent", "the database killed and started", "the database stopped and started")
		}
		p.random.Shuffle(len(p.bag), func(i, j int) { p.bag[i], p.bag[j] = p.bag[j], p.bag[i] })
	}
	p.made++
	s := step{node: 1, number: p.random.Uint64()}
	if p.made%p.life() == 0 {
		s.kind = []string{"SIGTERM and start of the node that lives on", "kill -9 of both nodes", "kill -9 of the node that lives on"}[p.made/p.life()%3]
		s.node = elder
	} else {
		s.kind, p.bag = p.bag[0], p.bag[1:]
		if !strings.HasPrefix(s.kind, "kill") && !strings.HasPrefix(s.kind, "SIGTERM") {
			s.node = p.random.IntN(2)
		}
	}
	longest, most := int64(1000), int64(1500)
	if p.x.long() {
		longest, most = 4000, 6000
		if p.random.IntN(12) == 0 {
			longest = 20_000
		}
	}
	s.lasts = time.Duration(p.random.Int64N(longest)) * time.Millisecond
	s.gap = time.Duration(p.random.Int64N(most)) * time.Millisecond
	return s
}

func (p *plan) steps() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.past)
}

// String is the last steps.
func (p *plan) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.past[max(0, len(p.past)-40):], "\n")
}

// breakThings takes one step after the other. After each all must be well again: nodes are ready, publishers go on, and every
// reader but those that nap has what is known by then.
func (x *soak) breakThings(t *testing.T) {
	t.Helper()
	awake := slices.DeleteFunc(slices.Clone(x.followers), func(f *follower) bool { return f.way == byNaps })
	told := time.Now()
	x.well(t, awake)
	for deadline := x.began.Add(time.Duration(x.seconds) * time.Second); time.Now().Before(deadline) && x.failed() == nil; {
		s := x.plan.next()
		x.plan.mu.Lock()
		x.plan.past = append(x.plan.past, fmt.Sprintf("%s  %4d: %s", time.Now().UTC().Format("15:04:05.000"), len(x.plan.past)+1, s))
		x.plan.mu.Unlock()
		x.count("x "+s.kind, 1)
		x.plan.faults[s.kind](t, s)
		x.well(t, awake)
		x.levels.sample(t)
		wait(t.Context(), s.gap)
		if time.Since(told) > time.Minute {
			told = time.Now()
			t.Logf("%s: %d steps, %d messages, %d deliveries", time.Since(x.began).Round(time.Second), x.plan.steps(), x.ledger.acked.Load(), x.ledger.delivered.Load())
		}
	}
}

func (x *soak) well(t *testing.T, awake []*follower) {
	t.Helper()
	x.soon(t.Context(), time.Minute, func() string {
		for _, n := range x.nodes {
			if status, text := readyz(n.server); status != 200 {
				return fmt.Sprintf("%v is not ready: %d %s", n, status, text)
			}
		}
		return ""
	})
	more := x.ledger.acked.Load() + 10
	x.soon(t.Context(), time.Minute, func() string {
		if now := x.ledger.acked.Load(); now < more {
			return fmt.Sprintf("publishers do not go on: %d messages", now)
		}
		return ""
	})
	x.arrive(t, awake)
}

func (x *soak) killed(t *testing.T, s step) {
	t.Helper()
	x.nodes[s.node].kill()
	wait(t.Context(), s.lasts/4)
	x.nodes[s.node].launch(t)
}

func (x *soak) bothKilled(t *testing.T, s step) {
	t.Helper()
	for _, n := range x.nodes {
		n.kill()
	}
	wait(t.Context(), s.lasts/4)
	for _, n := range x.nodes {
		n.launch(t)
	}
}

func (x *soak) restarted(t *testing.T, s step) {
	t.Helper()
	n := x.nodes[s.node]
	if code, _ := n.stop(t); code != 0 {
		x.failf("%v ended with exit code %d after SIGTERM", n, code)
	}
	n.launch(t)
}

func (x *soak) cut(w *wire, how wireState, s step) {
	w.set(how)
	<-time.After(s.lasts)
	w.set(joined)
}

func (x *soak) database(t *testing.T, s step, end func(testing.TB)) {
	t.Helper()
	end(t)
	wait(t.Context(), s.lasts)
	x.cluster.Start(t)
}

// flood publishes more than the hub keeps in memory, and than a reader that naps can be sent.
func (x *soak) flood(t *testing.T, s step) {
	t.Helper()
	random := rand.New(rand.NewPCG(s.number, 0))
	for range 20 {
		x.flooder.publish(t.Context(), deep, strings.Repeat("n", 50_000+random.IntN(100_000)), 0)
	}
}

// hostile sends some of what no client should send.
func (x *soak) hostile(t *testing.T, s step) {
	t.Helper()
	n, random := x.nodes[s.node], rand.New(rand.NewPCG(s.number, 0))
	requests, frames := hostileRequests(), hostileFrames()
	for range 8 {
		name := some(random, requests)
		if got := exchange(t, n.server, requests[name].bytes); !slices.Contains(requests[name].statuses, got) {
			x.failf("%v answered %q with %d, not one of %d", n, name, got, requests[name].statuses)
		}
		name = some(random, frames)
		if got := converse(t, n.server, frames[name].bytes); !slices.Contains(frames[name].statuses, got) {
			x.failf("%v ended %q with %d, not one of %d", n, name, got, frames[name].statuses)
		}
		noise := make([]byte, 1+random.IntN(4000))
		for i := range noise {
			noise[i] = byte(random.IntN(256))
		}
		if random.IntN(2) == 0 {
			exchange(t, n.server, noise)
		} else {
			converse(t, n.server, noise)
		}
	}
}

func some(random *rand.Rand, of map[string]hostile) string {
	names := slices.Sorted(maps.Keys(of))
	return names[random.IntN(len(names))]
}
