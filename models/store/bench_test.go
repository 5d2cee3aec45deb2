package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crosstalk/internal/pgtest"
	"crosstalk/models"
)

// report adds the median and the worst of what was measured.
func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "worst-us")
}

// draft is a message as agents send them.
func draft(sender int, text string) models.Draft {
	return models.Draft{Channel: "auth-dev", Sender: fmt.Sprint("agent-", sender), Kind: models.KindAgent, Type: models.TypeMessage, Content: text}
}

func BenchmarkAppend(b *testing.B) {
	for _, senders := range []int{1, 32, 128} {
		b.Run(fmt.Sprint(senders, "_senders"), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "bus.db"), Options{})
			benchmarkAppend(b, []*Store{s}, senders)
		})
	}
}

// BenchmarkAppendPostgreSQL is the same on a PostgreSQL server of this machine, which writes for keeps.
func BenchmarkAppendPostgreSQL(b *testing.B) {
	c := pgtest.New(b, "max_wal_size = '1GB'", "shared_buffers = '256MB'")
	for _, senders := range []int{1, 32, 128} {
		b.Run(fmt.Sprint(senders, "_senders"), func(b *testing.B) {
			benchmarkAppend(b, []*Store{server(c.Database(b)).open(b, Options{})}, senders)
		})
	}
}

// BenchmarkSharedFile is what each of several processes gets when all write flat out to one file.
func BenchmarkSharedFile(b *testing.B) {
	for _, n := range []int{2, 4} {
		b.Run(fmt.Sprint(n, "_stores"), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "bus.db")
			stores := make([]*Store, n)
			for i := range stores {
				stores[i] = open(b, path, Options{})
			}
			benchmarkAppend(b, stores, 8)
		})
	}
}

// benchmarkAppend appends b.N messages with so many senders on each store, and reports how uneven the
// stores' shares were.
func benchmarkAppend(b *testing.B, stores []*Store, senders int) {
	b.ReportAllocs()
	text := prose()()
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, len(stores)*senders)
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range took {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				begin := time.Now()
				if _, err := stores[i/senders].Append(b.Context(), Append{Draft: draft(i, text), Principal: models.SharedPrincipal}); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(begin))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	report(b, slices.Concat(took...))
	if len(stores) > 1 {
		shares := make([]int, len(stores))
		for i := range took {
			shares[i/senders] += len(took[i])
		}
		b.ReportMetric(float64(100*slices.Min(shares))/float64(b.N), "least-%")
	}
}

func BenchmarkPage(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "bus.db"), Options{})
	text := prose()
	fill(b, s, 20_000, func(i int) models.Draft { return draft(i%10, text()) })
	middle := int64(10_000)
	for name, q := range map[string]models.Query{
		"newest_20": {Channel: "auth-dev", Limit: 20},
		"after_20":  {Channel: "auth-dev", After: &middle, Limit: 20},
		"after_200": {Channel: "auth-dev", After: &middle, Limit: 200},
		"others_20": {Channel: "auth-dev", After: &middle, Limit: 20, Instance: "agent-3"},
		"nothing":   {Channel: "auth-dev", After: ptr[int64](20_000), Limit: 200},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Page(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkChannels(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "bus.db"), Options{})
	register(b, s, models.Registration{ID: "alice"})
	fill(b, s, 1000, func(i int) models.Draft {
		d := draft(i, "hi")
		d.Channel = fmt.Sprint("room-", i)
		return d
	})
	for name, read := range map[string]func() error{
		"list_200": func() error { _, err := s.Channels(b.Context(), "", 200); return err },
		"find":     func() error { _, err := s.FindChannels(b.Context(), "", "room-77", 200); return err },
		"unread_200": func() error {
			list, err := s.Channels(b.Context(), "", 200)
			if err == nil {
				err = s.Unread(b.Context(), list, "alice")
			}
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSearch(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "bus.db"), Options{})
	text := prose()
	fill(b, s, 20_000, func(i int) models.Draft { return draft(i%10, text()) })
	index(b, s)
	for name, q := range map[string]models.Search{
		"common":     {Text: "the", Limit: 10},
		"rare":       {Text: "transporter", Limit: 10},
		"in_channel": {Text: "transporter", Limit: 10, Channel: "auth-dev"},
		"two_words":  {Text: "the ea", Limit: 10},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIndex is one transaction of the indexer, which a writer may have to wait for.
func BenchmarkIndex(b *testing.B) {
	db := file(filepath.Join(b.TempDir(), "bus.db"))
	s := db.open(b, Options{})
	defer db.hold(b)()
	text := prose()
	b.ReportAllocs()
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		fill(b, s, indexBatch, func(i int) models.Draft { return draft(i%10, text()) })
		b.StartTimer()
		begin := time.Now()
		if _, err := s.index(b.Context()); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*indexBatch), "us/message")
	report(b, took)
}
