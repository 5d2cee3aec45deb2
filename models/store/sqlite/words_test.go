package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"gorm.io/gorm"

	"crosstalk/models/store/ledger"
)

// TestAnIndexThatIsTakenApartIsNoDamage looks at the database after each step of removing a past search index, and then
// breaks the one in use.
func TestAnIndexThatIsTakenApartIsNoDamage(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "bus.db"))
	change := func(statement string) {
		t.Helper()
		if err := db.Transact(t.Context(), func(tx *gorm.DB) error { return tx.Exec(statement).Error }); err != nil {
			t.Fatal(err)
		}
	}
	entries := make([]ledger.Entry, 3000)
	for i := range entries {
		entries[i] = ledger.Entry{ID: int64(i + 1), Words: "word " + strings.Repeat("x", 1+i%100)}
	}
	if err := db.log(func(l *Log) error { return l.addWords("message_words", entries) }); err != nil {
		t.Fatal(err)
	}
	change("UPDATE bus SET stale = 1000000")
	taken := 0
	for more := true; more; {
		upTo, on, again, err := db.Renewal(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if more = again; on && upTo == 0 {
			err = db.log(func(l *Log) error { return l.addWords(nextWords, entries) })
		} else if on {
			err = db.Renew(t.Context(), upTo, nil)
		} else if more {
			taken++
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := Whole(t.Context(), db.Read); err != nil {
			t.Fatalf("after %d steps of removing it: %v", taken, err)
		}
	}
	if taken < 3 {
		t.Errorf("it was removed in %d steps, so nothing was seen of it in pieces", taken)
	}
	change("DELETE FROM message_words_data WHERE id > 10")
	if err := Whole(t.Context(), db.Read); err == nil || !strings.Contains(err.Error(), "message_words") {
		t.Errorf("an index in use that is broken: %v", err)
	}
}

func TestPatternsBeginWithTheRarestLetter(t *testing.T) {
	for piece, want := range map[string]string{
		"":              `%%`,
		"e":             `%e%`,
		"transporter":   `%_____porter%`,
		"Query":         `%Query%`,
		"the Quay":      `%____Quay%`,
		"été 5 z":       `%____5 z%`,
		"日本 e":          `%___e%`,
		"日本":            `%日本%`,
		"a_b%c":         `%_\_b\%c%`,
		"\u212aelvin x": `%_______x%`,
	} {
		if got := rarestFirst(piece); got != want {
			t.Errorf("%q: %s, want %s", piece, got, want)
		}
	}
}
