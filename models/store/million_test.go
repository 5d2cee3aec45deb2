package store

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crosstalk/models"
)

// fill appends n messages by the writer's own path, in full batches. Nobody else may append meanwhile.
func fill(tb testing.TB, s *Store, n int, draft func(i int) models.Draft) {
	tb.Helper()
	for i := 0; i < n; {
		batch := make([]*pending, 0, maxBatch)
		for ; i < n && len(batch) < maxBatch; i++ {
			batch = append(batch, &pending{Append: Append{Draft: draft(i), Principal: models.SharedPrincipal}})
		}
		if _, err := s.commit(batch); err != nil {
			tb.Fatal(err)
		}
		for _, p := range batch {
			if p.err != nil {
				tb.Fatal(p.err)
			}
		}
	}
}

// prose makes texts of about 100 bytes. Letters and words are as unevenly spread as those of English; the
// word "the" is in most texts, "transporter" in none.
func prose() func() string {
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "eeeeeeeeeeeetttttttttaaaaaaaaooooooooiiiiiiinnnnnnnsssssshhhhhhrrrrrrddddlllluuucccmmmwwffggyyppbbvkjxqz"
	words := []string{"the"}
	for len(words) < 20_000 {
		word := make([]byte, 2+random.IntN(9))
		for i := range word {
			word[i] = letters[random.IntN(len(letters))]
		}
		words = append(words, string(word))
	}
	spread := rand.NewZipf(random, 1.2, 4, uint64(len(words)-1))
	return func() string {
		var b strings.Builder
		for b.Len() < 100 {
			b.WriteString(words[spread.Uint64()] + " ")
		}
		return b.String()
	}
}

// BenchmarkMillion reads a bus of a million messages in one channel and a thousand channels beside it.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	s, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "bus.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	text := prose()
	fill(b, s, n, func(i int) models.Draft {
		d := models.Draft{Channel: "big", Sender: fmt.Sprintf("agent-%d", i%50), Kind: models.KindAgent, Type: models.TypeMessage, Content: text()}
		switch {
		case i%100_000 == 5:
			d.Content += "transporter"
		case i > n/2+maxBatch && i <= n/2+maxBatch+100:
			d.InReplyTo = n / 2
		}
		return d
	})
	fill(b, s, 1000, func(i int) models.Draft {
		return models.Draft{Channel: fmt.Sprintf("room-%d", i), Sender: "host", Kind: models.KindAgent, Type: models.TypeMessage, Content: text()}
	})
	if _, err := s.indexUntil(b.Context(), time.Now().Add(time.Hour)); err != nil {
		b.Fatal(err)
	}
	middle, ctx := int64(n/2), b.Context()
	page := func(q models.Query) func() (int, error) {
		return func() (int, error) {
			p, err := s.Page(ctx, q)
			return len(p.Messages), err
		}
	}
	search := func(q models.Search) func() (int, error) {
		return func() (int, error) {
			found, err := s.Search(ctx, q)
			return len(found), err
		}
	}
	for _, c := range []struct {
		name string
		want int
		read func() (int, error)
	}{
		{"newest", 20, page(models.Query{Channel: "big", Limit: 20})},
		{"after", 200, page(models.Query{Channel: "big", After: &middle, Limit: 200})},
		{"after_20", 20, page(models.Query{Channel: "big", After: &middle, Limit: 20})},
		{"before", 20, page(models.Query{Channel: "big", Before: &middle, Limit: 20})},
		{"after_in_small", 1, page(models.Query{Channel: "room-7", After: &middle, Limit: 200})},
		{"after_without_own", 200, page(models.Query{Channel: "big", After: &middle, Limit: 200, Instance: "agent-7"})},
		{"channels", 200, func() (int, error) { list, err := s.Channels(ctx, "", 200); return len(list), err }},
		{"replies", 100, func() (int, error) { t, err := s.Thread(ctx, "big", middle, "", 200); return len(t.Replies), err }},
		{"search_rare", 10, search(models.Search{Text: "transporter", Limit: 10})},
		{"search_rare_in_channel", 10, search(models.Search{Text: "transporter", Limit: 10, Channel: "big"})},
		{"search_rare_by_sender", 10, search(models.Search{Text: "transporter", Limit: 10, Sender: "agent-5"})},
		{"search_common", 10, search(models.Search{Text: "the", Limit: 10})},
		{"search_common_pair", 10, search(models.Search{Text: "the the", Limit: 10})},
		{"search_common_in_small", 0, search(models.Search{Text: "transporter", Limit: 10, Channel: "room-7"})},
		{"search_piece", 10, search(models.Search{Text: "ansport", Limit: 10})},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				got, err := c.read()
				took = append(took, time.Since(begin))
				if err != nil || got != c.want && c.name != "search_piece" {
					b.Fatalf("%d came, %v; want %d", got, err, c.want)
				}
			}
			report(b, took)
		})
	}
}
