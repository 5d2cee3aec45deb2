package store

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crosstalk/internal/pgtest"
	"crosstalk/models"
)

var (
	scaleTo = flag.Int("messages", 100_000, "how far BenchmarkScale goes")
	graphTo = flag.String("graph", "", "the SVG file that BenchmarkScale draws")
)

// scale is a bus that grows: nearly all messages in one channel, and a thousand channels beside it.
type scale struct {
	opt  Options
	s    *Store
	n    int
	text func() string
	half time.Time // when half of what it grows to was there
}

const (
	asked     = 5_000 // a message with a hundred replies
	rareEvery = 20_000
)

func (c *scale) open(b *testing.B) {
	b.Helper()
	var err error
	if c.s, err = Open(b.Context(), c.opt); err != nil {
		b.Fatal(err)
	}
}

// grow adds messages until there are n, and indexes them.
func (c *scale) grow(b *testing.B, n int) {
	b.Helper()
	begin := c.n
	fill(b, c.s, n-begin, func(i int) models.Draft {
		i += begin
		d := models.Draft{Channel: "big", Sender: fmt.Sprintf("agent-%d", i%50), Kind: models.KindAgent, Type: models.TypeMessage, Content: c.text()}
		switch {
		case i < 1000:
			d.Channel = fmt.Sprintf("room-%d", i)
		case i%rareEvery == 1005:
			d.Content += "transporter"
		case i > asked+maxBatch && i <= asked+maxBatch+100:
			d.InReplyTo = asked
		}
		return d
	})
	c.n = n
	if _, err := c.s.indexUntil(b.Context(), time.Now().Add(time.Hour)); err != nil {
		b.Fatal(err)
	}
}

// register adds instances, so that there is something to list.
func (c *scale) register(b *testing.B) {
	b.Helper()
	for i := range 1000 {
		if err := c.s.Register(b.Context(), models.Registration{ID: fmt.Sprint("agent-", i), Kind: models.KindAgent}); err != nil {
			b.Fatal(err)
		}
	}
}

// read is one way to read the bus.
type read struct {
	name string
	ask  func() (int, error)
}

func (c *scale) reads(b *testing.B) []read {
	ctx, middle := b.Context(), int64(c.n/2)
	page := func(q models.Query) func() (int, error) {
		return func() (int, error) {
			p, err := c.s.Page(ctx, q)
			return len(p.Messages), err
		}
	}
	return []read{
		{"newest page", page(models.Query{Channel: "big", Limit: 20})},
		{"page after an id", page(models.Query{Channel: "big", After: &middle, Limit: 20})},
		{"channel list", func() (int, error) { list, err := c.s.Channels(ctx, "", 200); return len(list), err }},
		{"replies", func() (int, error) { t, err := c.s.Thread(ctx, "big", asked, "", 200); return len(t.Replies), err }},
		{"instances", func() (int, error) { list, err := c.s.Instances(ctx, "", "", 200); return len(list), err }},
		{"a rare word", func() (int, error) {
			list, err := c.s.Search(ctx, models.Search{Text: "transporter", Limit: 10})
			return len(list), err
		}},
	}
}

// median asks a few hundred times.
func (r read) median(b *testing.B) float64 {
	b.Helper()
	var took []time.Duration
	for range 200 {
		begin := time.Now()
		if n, err := r.ask(); err != nil || n == 0 {
			b.Fatalf("%s: %d, %v", r.name, n, err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)/2].Seconds() * 1e3
}

// BenchmarkScale reads a bus of 10,000 messages, and of more and more up to -messages. In the end retention takes half
// of them while eight senders publish.
func BenchmarkScale(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { grown(b, Options{Path: filepath.Join(b.TempDir(), "bus.db")}, *graphTo) })
	b.Run("PostgreSQL", func(b *testing.B) {
		c := pgtest.New(b, "max_wal_size = '4GB'", "shared_buffers = '1GB'")
		grown(b, Options{URL: c.Database(b)}, strings.Replace(*graphTo, ".svg", "-postgresql.svg", 1))
	})
}

func grown(b *testing.B, opt Options, picture string) {
	c := &scale{opt: opt, text: prose()}
	c.open(b)
	defer func() { _ = c.s.Close() }()
	c.register(b)
	var g graph
	for _, n := range []int{10_000, 30_000, 100_000, 300_000, 1_000_000, 2_500_000, 5_000_000} {
		if n > *scaleTo {
			break
		}
		if c.half.IsZero() && 2*n > *scaleTo {
			c.grow(b, *scaleTo/2)
			c.half = time.Now()
		}
		c.grow(b, n)
		for _, r := range c.reads(b) {
			g.add(r.name, n, r.median(b))
		}
		g.add("start", n, c.restart(b))
	}
	fmt.Printf("\n%s\n", g.table())
	if picture != "" {
		if err := os.WriteFile(picture, []byte(g.svg()), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	before, during := c.prune(b)
	fmt.Printf("publish with 8 senders, p99: %.1f ms, and %.1f ms while retention takes half\n", before, during)
}

// restart tells how long it takes to open the database again.
func (c *scale) restart(b *testing.B) float64 {
	b.Helper()
	if err := c.s.Close(); err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	c.open(b)
	return time.Since(begin).Seconds() * 1e3
}

// prune removes half of the messages, and tells how long senders waited before and meanwhile.
func (c *scale) prune(b *testing.B) (before, during float64) {
	b.Helper()
	publish := func(while func()) float64 {
		stop := make(chan struct{})
		took := make([][]time.Duration, 8)
		var senders sync.WaitGroup
		for i := range took {
			senders.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					begin := time.Now()
					if _, err := c.s.Append(b.Context(), Append{Draft: draft(i, "still here"), Principal: models.SharedPrincipal}); err != nil {
						b.Error(err)
						return
					}
					took[i] = append(took[i], time.Since(begin))
				}
			})
		}
		while()
		close(stop)
		senders.Wait()
		all := slices.Concat(took...)
		slices.Sort(all)
		return all[len(all)*99/100].Seconds() * 1e3
	}
	before = publish(func() { <-time.After(2 * time.Second) })
	c.s.opt.Keep = time.Hour
	during = publish(func() {
		if _, err := c.s.prune(b.Context(), nil, c.half.Add(time.Hour), time.Now().Add(time.Hour)); err != nil {
			b.Error(err)
		}
	})
	var pruned int64
	scan(b, c.s, &pruned, "SELECT pruned_id FROM bus")
	if pruned < int64(c.n/2) {
		b.Errorf("retention got to %d of %d", pruned, c.n/2)
	}
	return before, during
}

// graph is what was measured at which size.
type graph struct {
	names  []string
	points map[string][]point
}

type point struct {
	n  int
	ms float64
}

func (g *graph) add(name string, n int, ms float64) {
	if g.points == nil {
		g.points = map[string][]point{}
	}
	if !slices.Contains(g.names, name) {
		g.names = append(g.names, name)
	}
	g.points[name] = append(g.points[name], point{n, ms})
}

// table is the graph as rows of Markdown, in milliseconds.
func (g *graph) table() string {
	var t strings.Builder
	for i, name := range g.names {
		if i == 0 {
			t.WriteString("| messages |")
			for _, p := range g.points[name] {
				fmt.Fprintf(&t, " %d |", p.n)
			}
			t.WriteString("\n|---|" + strings.Repeat("---|", len(g.points[name])) + "\n")
		}
		fmt.Fprintf(&t, "| %s |", name)
		for _, p := range g.points[name] {
			fmt.Fprintf(&t, " %.2f |", p.ms)
		}
		t.WriteByte('\n')
	}
	return t.String()
}
