package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crosstalk/internal/eventually"
	"crosstalk/models"
)

func pausePromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"a paused channel takes nothing":                                                  pausedTakesNothing,
		"nothing slips past a pause that has returned":                                    nothingSlipsPast,
		"activity counts what every sender stored":                                        activityCounts,
		"activity is the same before and after the indexer, and tells of the most active": activityHoldsStill,
	}
}

func pausedTakesNothing(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	keyed := say("room", "ada", "first").with(func(a *Append) { a.IdempotencyKey = "k" })
	first := post(t, s, keyed)
	for _, reason := range []string{"", `wait: "review"`} { // the second time with another reason
		if err := s.Pause(t.Context(), "room", reason); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Store{s, other} {
			_, err := s.Append(t.Context(), say("room", "ada", "x"))
			wantCode(t, err, models.Paused)
			if err != nil && reason != "" && !strings.Contains(err.Error(), `"wait: \"review\""`) {
				t.Errorf("the reason is not told: %v", err)
			}
			// What was stored before is still answered for.
			if r := post(t, s, keyed); !r.Duplicate || r.ID != first.ID {
				t.Errorf("a repetition while paused: %+v", r)
			}
			// A refused send does not take its key.
			late := say("room", "ada", "late").with(func(a *Append) { a.IdempotencyKey = "late" })
			for range 2 {
				_, err := s.Append(t.Context(), late)
				wantCode(t, err, models.Paused)
			}
			ch := channels(t, s, 1)[0]
			if ch.Name != "room" || ch.PausedAt == nil || ch.PauseReason != reason || time.Since(ch.PausedAt.Time()) > time.Minute {
				t.Errorf("listed as %+v", ch)
			}
		}
	}
	// In one batch with others only those to the channel are refused.
	list := batch(t, s, say("general", "ada", "1"), say("room", "ada", "2"), say("general", "ada", "3"))
	wantCode(t, list[1].err, models.Paused)
	if list[0].receipt.ID != first.ID+1 || list[2].receipt.ID != first.ID+2 || list[1].receipt.ID != 0 {
		t.Errorf("receipts %+v %+v %+v", list[0].receipt, list[1].receipt, list[2].receipt)
	}
	for range 2 {
		if err := other.Resume(t.Context(), "room"); err != nil {
			t.Fatal(err)
		}
	}
	if ch := channels(t, s, 9)[1]; ch.PausedAt != nil || ch.PauseReason != "" {
		t.Errorf("resumed, listed as %+v", ch)
	}
	post(t, s, say("room", "ada", "late").with(func(a *Append) { a.IdempotencyKey = "late" }))
	wantCode(t, s.Pause(t.Context(), "nowhere", ""), models.NotFound)
	wantCode(t, s.Resume(t.Context(), "nowhere"), models.NotFound)
}

func nothingSlipsPast(t *testing.T, db database) {
	stores := []*Store{db.open(t, Options{}), db.open(t, Options{})}
	create(t, stores[0], "room", "")
	for round := range 5 {
		var wg sync.WaitGroup
		for i, s := range stores {
			for j := range 4 {
				wg.Go(func() {
					for k := range 1000 {
						_, err := s.Append(t.Context(), say("room", fmt.Sprint(i, j), fmt.Sprint(round, k)))
						if models.CodeOf(err) == models.Paused {
							return
						} else if err != nil {
							t.Error(err)
							return
						}
					}
					t.Error("a thousand messages, and no pause")
				})
			}
		}
		eventually.True(t, "some are sent", func() bool {
			ch := channels(t, stores[0], 1)[0]
			return ch.MessageCount > int64(20*round+20)
		})
		if err := stores[1].Pause(t.Context(), "room", "enough"); err != nil {
			t.Fatal(err)
		}
		head, err := stores[0].Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if now, err := stores[0].Head(t.Context()); err != nil || now != head {
			t.Fatalf("%d messages came after the pause: %v", now-head, err)
		}
		if err := stores[0].Resume(t.Context(), "room"); err != nil {
			t.Fatal(err)
		}
	}
}

func activity(t testing.TB, s *Store, ch string, hours int) []models.Activity {
	t.Helper()
	list, since, err := s.Activity(t.Context(), ch, hours)
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(since.Time()); age < time.Duration(hours-1)*time.Hour || age > time.Duration(hours)*time.Hour+time.Minute || since%3600000 != 0 {
		t.Errorf("%d hours begin %v ago", hours, age)
	}
	return list
}

func activityCounts(t *testing.T, db database) {
	s := db.open(t, Options{})
	defer db.hold(t)()
	if got := activity(t, s, "room", 24); got == nil || len(got) != 0 {
		t.Errorf("of a channel that is not there: %#v", got)
	}
	for range 3 {
		post(t, s, say("room", "ada", "x"))
	}
	post(t, s, say("room", "bob", "x"))
	post(t, s, say("other", "bob", "x"))
	age(t, s, 2, 90*time.Minute) // two of ada's are of the hour before, or the one before that
	index(t, s)
	post(t, s, say("room", "cyd", "x"))
	got := activity(t, s, "room", 4)
	total := map[string]int64{}
	for _, a := range got {
		if len(a.Counts) != 4 {
			t.Fatalf("%+v", got)
		}
		for _, n := range a.Counts {
			total[a.Sender] += n
		}
	}
	if diff := cmp.Diff(map[string]int64{"ada": 3, "bob": 1, "cyd": 1}, total); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got[0].Sender != "ada" || got[0].Counts[3] > 1 || got[0].Counts[1]+got[0].Counts[2] < 2 {
		t.Errorf("ada's hours: %+v", got[0])
	}
	// Retention takes messages, not what was counted; counts go when nobody asks for them any more.
	exec(t, s, "UPDATE activity SET hour = hour - 8*24 WHERE sender = 'bob'")
	if err := s.forget(t.Context(), models.TimeOf(time.Now().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	var left []string
	if scan(t, s, &left, "SELECT DISTINCT sender FROM activity ORDER BY sender"); cmp.Diff([]string{"ada"}, left) != "" {
		t.Errorf("left are the counts of %q", left)
	}
}

func activityHoldsStill(t *testing.T, db database) {
	s := db.open(t, Options{})
	release := db.hold(t)
	defer release()
	var list []Append
	for sender := range mostActive + 5 {
		for range 1 + sender%3 {
			list = append(list, say("room", fmt.Sprintf("s%03d", sender), "x"))
		}
	}
	batch(t, s, list...)
	before := activity(t, s, "room", 24)
	for range 2 {
		index(t, s)
		if diff := cmp.Diff(before, activity(t, s, "room", 24)); diff != "" {
			t.Errorf("(-before +after the index)\n%s", diff)
		}
	}
	if len(before) != mostActive || before[0].Sender != "s002" || before[mostActive-1].Counts[23]+before[mostActive-1].Counts[22] != 1 {
		t.Errorf("%d senders, the first %+v, the last %+v", len(before), before[0], before[len(before)-1])
	}
}
