package faults

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crosstalk/internal/pgtest"
)

var (
	soakSeconds = flag.Int("soak.seconds", 45, "how long TestSoak breaks things")
	soakStore   = flag.String("soak.store", "", "the database of TestSoak: sqlite or postgres; empty for both, one beside the other")
)

// soakChannels are those that are written to all the time; deep gets large messages now and then.
var soakChannels = []string{"red", "green", "blue", "amber", "grey"}

const deep = "deep"

// TestSoak has two nodes on one database, publishers by REST, WebSocket and MCP, and readers of all kinds. One thing after
// the other is broken, as the seed has it. Every message is followed from its acknowledgement to every reader.
func TestSoak(t *testing.T) {
	for _, store := range []string{"sqlite", "postgres"} {
		if *soakStore != "" && *soakStore != store {
			continue
		}
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			x := newSoak(t, store)
			x.begin(t)
			x.breakThings(t)
			x.end(t)
		})
	}
}

// soak is one run.
type soak struct {
	// Set by newSoak, then constant.
	store   string
	seconds int
	seed    uint64
	began   time.Time
	nodes   []*node
	cluster *pgtest.Cluster // nil for SQLite
	db      string          // file, or URL
	ledger  *ledger
	client  *http.Client
	nap     time.Duration // the longest that a reader naps
	plan    *plan
	levels  *levels

	// Set by begin.
	authors   []*author
	followers []*follower
	agents    []*agent
	flooder   *author
	halt      chan struct{} // closed to end publishing
	publishes sync.WaitGroup
	reads     sync.WaitGroup // followers, agents, visitors
	stopReads context.CancelFunc

	mu sync.Mutex
	// Guarded by mu.
	failures []error
	counts   map[string]int
}

// node is one server, behind a wire by which some of its clients come, and on PostgreSQL behind another to its database.
type node struct {
	*server
	number   int
	clients  *wire
	database *wire
}

func (n *node) String() string { return fmt.Sprintf("node %d", n.number) }

// by returns where the node is reached by way of the wire.
func (n *node) by() string { return n.clients.listener.Addr().String() }

func newSoak(t *testing.T, store string) *soak {
	t.Helper()
	_, seed := chance(t)
	x := &soak{
		store: store, seconds: *soakSeconds, seed: seed, began: time.Now(), ledger: newLedger(), counts: map[string]int{}, halt: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}, Timeout: 40 * time.Second},
	}
	x.nap = min(15*time.Second, time.Duration(x.seconds)*time.Second/4)
	x.plan, x.levels = newPlan(x), newLevels(x)
	t.Logf("the same plan again: make soak SECONDS=%d SEED=%d STORE=%s", x.seconds, seed, store)
	if store == "postgres" {
		x.cluster = pgtest.New(t)
		x.db = x.cluster.Database(t)
	} else {
		x.db = filepath.Join(t.TempDir(), "bus.db")
	}
	for i := range 2 {
		x.nodes = append(x.nodes, x.newNode(t, i))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(x.report())
		}
	})
	return x
}

func (x *soak) newNode(t *testing.T, i int) *node {
	t.Helper()
	address := freeAddress(t)
	n := &node{number: i}
	if x.cluster == nil {
		n.server = newServer(t, crosstalk(t), x.db, "--pprof", "127.0.0.1:0")
	} else {
		n.database = newWire(t, x.cluster.Addr())
		n.server = newNode(t, n.database.through(t, x.db), "--pprof", "127.0.0.1:0")
	}
	// The same one after each start, so that a wire leads there.
	n.args[slices.Index(n.args, "127.0.0.1:0")] = address
	n.clients = newWire(t, address)
	n.start(t)
	return n
}

// begin starts all who write and read. Who reads is bound to one node, some of them by way of its wire.
func (x *soak) begin(t *testing.T) {
	t.Helper()
	for _, n := range x.nodes {
		x.levels.idle(t, n)
	}
	x.began = time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	x.stopReads = cancel
	writing, stopWriting := context.WithCancel(context.Background())
	t.Cleanup(func() {
		stopWriting()
		cancel()
		x.publishes.Wait()
		x.reads.Wait()
		x.client.CloseIdleConnections()
	})
	for _, n := range x.nodes {
		for i, at := range []func() string{n.at, n.by} {
			x.gather(fmt.Sprintf("%d%s", n.number, []string{"", "-by-wire"}[i]), at)
		}
		x.agents = append(x.agents, newAgent(x, fmt.Sprintf("agent-%d", n.number), n.at, soakChannels[n.number]),
			newAgent(x, fmt.Sprintf("agent-%d-by-wire", n.number), n.by, soakChannels[n.number+1]))
	}
	pace := 130 * time.Millisecond
	if x.long() {
		pace *= 2 // beside which the machine can do something else
	}
	for i := range 8 {
		x.authors = append(x.authors, newAuthor(x, i, []string{"rest", "socket", "rest", "mcp"}[i/2], pace))
	}
	x.flooder = newAuthor(x, len(x.authors), "rest", 0)
	for _, f := range x.followers {
		x.reads.Go(func() { f.run(ctx) })
	}
	for _, a := range x.agents {
		x.reads.Go(func() { a.run(ctx) })
	}
	for _, a := range x.authors {
		x.publishes.Go(func() { a.run(writing, x.halt) })
	}
	x.reads.Go(func() {
		random := x.dice("visitors")
		for n := 0; ctx.Err() == nil && x.failed() == nil; n++ {
			wait(ctx, time.Duration(random.IntN(3000))*time.Millisecond)
			x.visit(ctx, random, n)
		}
	})
}

// gather makes the followers of one way to one node.
func (x *soak) gather(name string, at func() string) {
	add := func(how way, channels ...string) {
		x.followers = append(x.followers, newFollower(x, fmt.Sprintf("follower-%d of node %s", len(x.followers), name), how, at, channels...))
	}
	add(bySocket, "red")
	add(bySocket, "green")
	add(bySocket, "blue", "amber")
	add(bySocket, every)
	add(bySubscribes, "red", "grey", deep)
	add(byStream, "amber")
	add(byStream, every)
	add(byPolls, "grey")
	add(byPolls, deep)
	add(byNaps, every)
}

// end lets all come to rest, and compares.
func (x *soak) end(t *testing.T) {
	t.Helper()
	close(x.halt)
	x.publishes.Wait() // bounded by patience
	x.arrive(t, x.followers)
	x.stopReads()
	x.reads.Wait()
	if x.failed() == nil { // else what follows would only be its consequence
		x.compare(t)
	}
	for _, a := range x.agents {
		a.at = x.nodes[0].at
		a.finish(t.Context())
	}
	x.client.CloseIdleConnections()
	if x.failed() == nil {
		x.leave(t)
	}
	for _, err := range x.all() {
		t.Error(err)
	}
	if !t.Failed() {
		t.Log(x.report())
	}
}

// compare looks at what is stored in the end.
func (x *soak) compare(t *testing.T) {
	t.Helper()
	for _, problem := range x.ledger.close(x.inside(t)) {
		x.failf("%s", problem)
	}
	if x.ledger.acked.Load() == 0 {
		x.failf("nothing was acknowledged, so nothing is proved")
	}
	x.verify()
}

// leave ends the nodes, and looks at what they held and logged.
func (x *soak) leave(t *testing.T) {
	t.Helper()
	for _, n := range x.nodes {
		x.levels.settle(t, n)
		if code, _ := n.stop(t); code != 0 {
			x.failf("%v ended with exit code %d", n, code)
		}
		n.lacksTrace(t)
	}
	x.levels.judge()
}

// inside reads what is stored from the database itself.
func (x *soak) inside(t *testing.T) []row {
	t.Helper()
	if x.cluster != nil {
		return inPostgres(t, x.db)
	}
	return inFile(t, x.db)
}

// verify has the program look at its database.
func (x *soak) verify() {
	args := []string{"verify", "--db", x.db}
	if x.cluster != nil {
		args = []string{"verify", "--database-url", x.db}
	}
	if err := run(x.nodes[0].path, args...); err != nil {
		x.failf("%w", err)
	}
}

// arrive waits until followers have all that is known by now.
func (x *soak) arrive(t *testing.T, followers []*follower) {
	t.Helper()
	goal := x.ledger.upTo(x.ledger.known())
	x.soon(t.Context(), time.Minute, func() string {
		for _, f := range followers {
			if ch, have := f.lacks(goal); ch != "" {
				f.mu.Lock()
				trouble := f.trouble
				f.mu.Unlock()
				return fmt.Sprintf("%v has not read up to seq %d of %s: it stands at %d; next is %s; its connection before this one ended with: %v",
					f, goal[ch], ch, have, x.ledger.what(ch, have+1), trouble)
			}
		}
		return ""
	})
}

// soon waits until nothing is missing any more.
func (x *soak) soon(ctx context.Context, within time.Duration, missing func() string) {
	for deadline := time.Now().Add(within); ctx.Err() == nil && x.failed() == nil; wait(ctx, 50*time.Millisecond) {
		what := missing()
		if what == "" {
			return
		}
		if time.Now().After(deadline) {
			x.failf("after %s: %s", within, what)
		}
	}
}

// long says that there is time for what lasts.
func (x *soak) long() bool { return x.seconds >= 300 }

// dice are somebody's own random choices.
func (x *soak) dice(whose string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(x.store + " " + whose))
	return rand.New(rand.NewPCG(x.seed, h.Sum64()))
}

func (x *soak) channel(random *rand.Rand) string { return soakChannels[random.IntN(len(soakChannels))] }

func (x *soak) pick(random *rand.Rand) *node { return x.nodes[random.IntN(len(x.nodes))] }

// any is a way to some node.
func (x *soak) any(random *rand.Rand) func() string {
	n := x.pick(random)
	if random.IntN(2) == 0 {
		return n.by
	}
	return n.at
}

func (x *soak) failf(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.failures) < 10 {
		x.failures = append(x.failures, fmt.Errorf("%s after %s, step %d: %w", x.store, time.Since(x.began).Round(time.Millisecond), x.plan.steps(), fmt.Errorf(format, args...)))
	}
}

func (x *soak) failed() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.failures) == 0 {
		return nil
	}
	return x.failures[0]
}

func (x *soak) all() []error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.failures)
}

func (x *soak) count(what string, n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.counts[what] += n
}

// report says what was done, and what it cost the nodes.
func (x *soak) report() string {
	var b strings.Builder
	resumed := int64(0)
	for _, f := range x.followers {
		f.mu.Lock()
		resumed += max(0, f.resumed-1)
		f.mu.Unlock()
	}
	took := time.Since(x.began)
	fmt.Fprintf(&b, "soak of %s with two nodes for %s, seed %d\n", x.store, took.Round(time.Second), x.seed)
	acked := x.ledger.acked.Load()
	fmt.Fprintf(&b, "%8d messages acknowledged, %.1f a second; %d of them had been stored when they were sent again\n", acked, float64(acked)/took.Seconds(), x.ledger.duplicates.Load())
	fmt.Fprintf(&b, "%8d deliveries to %d followers, %d agents and visitors; followers came back %d times\n", x.ledger.delivered.Load(), len(x.followers), len(x.agents), resumed)
	x.mu.Lock()
	for _, what := range slices.Sorted(maps.Keys(x.counts)) {
		fmt.Fprintf(&b, "%8d %s\n", x.counts[what], what)
	}
	x.mu.Unlock()
	b.WriteString(x.levels.String())
	fmt.Fprintf(&b, "the plan up to its end, the last steps last:\n%s", x.plan)
	return b.String()
}
