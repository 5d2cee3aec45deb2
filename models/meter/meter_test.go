package meter

import (
	"context"
	"sync"
	"testing"
	"time"

	"crosstalk/models"
)

func TestABucketHoldsWhatIsNotAboveItsBound(t *testing.T) {
	var took Times
	for _, d := range []time.Duration{-time.Second, 0, 100 * time.Microsecond, 100*time.Microsecond + 1, time.Second, time.Hour} {
		took.Add(d)
	}
	s := took.Read()
	want := map[float64]uint64{0.0001: 3, 0.00025: 4, 0.5: 4, 1: 5, 30: 5}
	for bound, n := range want {
		if s.Buckets[bound] != n {
			t.Errorf("%v s: %d, want %d", bound, s.Buckets[bound], n)
		}
	}
	if s.Count != 6 || len(s.Buckets) != len(timeBounds) || s.Sum < 3601.0002 || s.Sum > 3601.0003 {
		t.Errorf("got %+v", s)
	}
	var sizes Sizes
	for _, n := range []int{1, 2, 3, 256, 257} {
		sizes.Add(n)
	}
	if s := sizes.Read(); s.Count != 5 || s.Sum != 519 || s.Buckets[1] != 1 || s.Buckets[4] != 3 || s.Buckets[256] != 4 {
		t.Errorf("got %+v", s)
	}
}

func TestWhatIsTimedStandsForTheRest(t *testing.T) {
	d := &Door{}
	const laps, writes = 20, 10_000
	var all sync.WaitGroup
	for range 2 {
		c := d.Cell()
		all.Go(func() {
			for lap := range int64(laps) {
				for range writes {
					c.Wrote(3, 1, lap)
				}
			}
		})
	}
	all.Wait()
	if n := d.Delivered(); n != 2*laps*writes*3 {
		t.Errorf("%d delivered", n)
	}
	// A lap ends in the middle of a share: of a handful of writes it may be one too few.
	if s := d.Arrived(); s.Count < 2*laps*writes*99/100 || s.Count > 2*laps*writes {
		t.Errorf("%d writes were timed, want nearly %d: %v", s.Count, 2*laps*writes, s.Buckets)
	}
}

func TestAllOfAFewWritesAreTimed(t *testing.T) {
	d := &Door{}
	c := d.Cell()
	for lap := range int64(10) {
		for range fewEnough - 1 {
			c.Wrote(1, Now(), lap)
		}
		c.Wrote(1, 0, lap) // of which it is not known
	}
	d.Deliver(5)
	d.Arrive(time.Hour)
	if s := d.Arrived(); s.Count != 10*(fewEnough-1)+1 || s.Buckets[30] != s.Count-1 {
		t.Errorf("got %+v", s)
	}
	if n := d.Delivered(); n != 10*fewEnough+5 {
		t.Errorf("%d delivered", n)
	}
}

func TestEveryCodeIsCounted(t *testing.T) {
	d := &Door{}
	d.Reject(nil)
	d.Reject(models.Errorf(models.Paused, "x"))
	d.RejectCode(models.Paused)
	d.Reject(context.Canceled)
	got := map[models.Code]int64{}
	d.Rejected(func(code models.Code, n int64) { got[code] = n })
	if len(got) != 10 || got[models.Paused] != 2 || got[models.Internal] != 1 {
		t.Errorf("got %v", got)
	}
}

// BenchmarkWrote is what a flush turn pays.
func BenchmarkWrote(b *testing.B) {
	c := (&Door{}).Cell()
	for i := range b.N {
		c.Wrote(1, 1, int64(i>>15))
	}
}

// BenchmarkAdd is what a batch of messages pays, several times.
func BenchmarkAdd(b *testing.B) {
	var took Times
	for range b.N {
		took.Add(time.Millisecond)
	}
}
