package roll

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hears lists what a place is told, at most so many at once.
func hears(t *testing.T, p *Place, most int) (list []string) {
	t.Helper()
	for {
		n := 0
		more, behind := p.Next(func(id string, online bool) bool {
			if n == most {
				return false
			}
			n++
			list = append(list, fmt.Sprint(id, " ", online))
			return true
		})
		if behind {
			t.Fatal("it is said to be behind")
		}
		if !more {
			return list
		}
	}
}

func TestWatchersHearWhoComesAndGoes(t *testing.T) {
	r := New()
	if !r.Update([]string{"a", "b"}) || r.Update([]string{"b", "a", "a"}) {
		t.Error("what is new is not told from what is not")
	}
	r.Update([]string{"b"})
	early := r.Enter()
	if got := hears(t, early, 1); !slices.Equal(got, []string{"b true"}) {
		t.Errorf("at first %q", got)
	}
	r.Update([]string{"a", "b", "c"})
	late := r.Enter()
	if got := hears(t, early, 1); !slices.Equal(got, []string{"a true", "c true"}) {
		t.Errorf("then %q", got)
	}
	r.Update([]string{"c"})
	if got := hears(t, early, 5); !slices.Equal(got, []string{"a false", "b false"}) {
		t.Errorf("in the end %q", got)
	}
	if got := hears(t, late, 5); !slices.Equal(got, []string{"c true", "a false", "b false"}) {
		t.Errorf("who came later hears %q", got)
	}
	if got := append(hears(t, early, 5), hears(t, late, 5)...); len(got) > 0 {
		t.Errorf("told twice: %q", got)
	}
}

func TestASlowWatcherHearsTheLatestOfEach(t *testing.T) {
	r := New()
	p := r.Enter()
	for range 1000 {
		r.Update([]string{"bob", "eve"})
		r.Update([]string{"eve"})
	}
	if got := hears(t, p, 1); !slices.Equal(got, []string{"eve true", "bob false"}) {
		t.Errorf("heard %q", got)
	}
	if len(r.list) > 2+2*holesKept+2 {
		t.Errorf("two names take %d places", len(r.list))
	}
}

// names are some that nobody else has.
func names(from, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint("name-", from+i))
	}
	return list
}

func TestThoseWhoAreGoneAreForgottenAndWhoMissedThatIsTold(t *testing.T) {
	r := New()
	slow, quick := r.Enter(), r.Enter()
	for i := range 10 {
		r.Update(names(i*5000, 5000))
		hears(t, quick, 100)
	}
	if r.gone > maxGone || len(r.at) > maxGone+5000 || len(r.list) > 2*(maxGone+5000) {
		t.Errorf("%d of those who are gone are kept, %d names, %d places", r.gone, len(r.at), len(r.list))
	}
	if _, behind := slow.Next(func(string, bool) bool { t.Error("it was told something"); return false }); !behind {
		t.Error("who missed what was forgotten is not told")
	}
	if got := hears(t, r.Enter(), 100); len(got) != 5000 {
		t.Errorf("who comes now hears of %d", len(got))
	}
}

func TestAWatcherTakesNoRoomForNames(t *testing.T) {
	r := New()
	r.Update(names(0, 5000))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	places := make([]*Place, 200)
	for i := range places {
		places[i] = r.Enter()
		if more, behind := places[i].Next(func(string, bool) bool { return true }); more || behind {
			t.Error("it has not heard all")
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 200<<10 {
		t.Errorf("200 watchers of 5,000 names take %d bytes", grown)
	}
	runtime.KeepAlive(places)
}
