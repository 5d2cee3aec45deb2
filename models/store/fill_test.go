package store

import (
	"math/rand/v2"
	"strings"
	"testing"

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
