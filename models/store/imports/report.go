package imports

import (
	"fmt"
	"strings"

	"crosstalk/models"
)

// Report says what an import did.
type Report struct {
	Messages, Channels, Instances, Data, Positions Count

	FirstID, LastID int64       // of the messages there
	Oldest          models.Time // of the messages that were added; 0: none
	Notes           []Note
}

// Count is what became of a table's rows. Those that are neither added nor here already were left out, and a note
// says why.
type Count struct{ Found, Added, Here int64 }

// Note is one kind of thing that was mended or left out, how often, and where first.
type Note struct {
	What  string
	Count int64
	First string
}

// note counts something. What may have a place for a word; where tells of the first.
func (r *Report) note(what, word, where string, args ...any) {
	if strings.Contains(what, "%s") {
		what = fmt.Sprintf(what, word)
	}
	for i := range r.Notes {
		if r.Notes[i].What == what {
			r.Notes[i].Count++
			return
		}
	}
	r.Notes = append(r.Notes, Note{What: what, Count: 1, First: fmt.Sprintf(where, args...)})
}

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	for _, row := range []struct {
		what string
		Count
	}{
		{"messages", r.Messages}, {"channels", r.Channels}, {"instances", r.Instances},
		{"shared data", r.Data}, {"read positions", r.Positions},
	} {
		fmt.Fprintf(&b, "%-15s %8d found %8d added %8d already here", row.what, row.Found, row.Added, row.Here)
		if left := row.Found - row.Added - row.Here; left > 0 {
			fmt.Fprintf(&b, " %8d left out", left)
		}
		b.WriteByte('\n')
	}
	if len(r.Notes) > 0 {
		b.WriteString("What could not be taken as it was:\n")
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "%8d  %s (first: %s)\n", n.Count, n.What, n.First)
	}
	return b.String()
}
