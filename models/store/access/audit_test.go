package access

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"crosstalk/models"
	"crosstalk/models/store"
)

func TestItIsKnownWhoDidWhat(t *testing.T) {
	on(t, func(t *testing.T, tab *Table, s *store.Store) {
		boss := models.Principal{Name: "key:boss", Person: "Eve", Address: "192.0.2.1"}
		ci := models.Principal{Name: "key:ci", Address: "192.0.2.2"}
		tab.Note(t.Context())
		tab.Note(t.Context(), EventOf(boss, KeyRevoked, "ci"), EventOf(boss, NewAddress, "192.0.2.1"))
		tab.Note(t.Context(), EventOf(boss, NewAddress, "192.0.2.1")) // which it is no more
		tab.Note(t.Context(), EventOf(ci, NewAddress, "192.0.2.2"), EventOf(ci, Released, "a'; DROP TABLE audit; --"))
		want := []Event{
			{Principal: "key:boss", Person: "Eve", Address: "192.0.2.1", Action: KeyRevoked, Subject: "ci", Count: 1},
			{Principal: "key:boss", Person: "Eve", Address: "192.0.2.1", Action: NewAddress, Subject: "192.0.2.1", Count: 1},
			{Principal: "key:ci", Address: "192.0.2.2", Action: NewAddress, Subject: "192.0.2.2", Count: 1},
			{Principal: "key:ci", Address: "192.0.2.2", Action: Released, Subject: "a'; DROP TABLE audit; --", Count: 1},
		}
		all, err := tab.Audit(t.Context(), 0, nil, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, all, cmpopts.IgnoreFields(Event{}, "ID", "At")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		after := all[1].ID
		for what, tc := range map[string]struct {
			since models.Time
			after *int64
			limit int
			want  []Event
		}{
			"the newest":     {0, nil, 2, all[2:]},
			"the oldest":     {0, new(int64), 1, all[:1]},
			"what came then": {0, &after, 10, all[2:]},
			"in the future":  {models.TimeOf(time.Now().Add(time.Hour)), nil, 10, []Event{}},
		} {
			got, err := tab.Audit(t.Context(), tc.since, tc.after, tc.limit)
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
			}
		}
		// A year later the next event lets them go.
		old := EventOf(ci, Registered, "x")
		old.At = models.TimeOf(time.Now().Add(-auditKept - time.Hour))
		tab.Note(t.Context(), old)
		for i := range 2 {
			tab.Note(t.Context(), EventOf(ci, Registered, fmt.Sprint(i)))
		}
		if all, err = tab.Audit(t.Context(), 0, nil, 100); err != nil || len(all) != 6 {
			t.Errorf("%d events are left, %v", len(all), err)
		}
	})
}
