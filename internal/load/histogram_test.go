package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramIsCloseToWhatWasAdded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		h.add(d)
	}
	slices.Sort(all)
	l := h.latency()
	for _, c := range []struct{ got, share float64 }{{l.P50, .5}, {l.P95, .95}, {l.P99, .99}, {l.Max, 1}} {
		want := all[min(len(all)-1, int(c.share*float64(len(all))))].Seconds() * 1e3
		if c.got < want*.98 || c.got > want*1.02 {
			t.Errorf("at %v it is %v ms, not %v", c.share, c.got, want)
		}
	}
}

func TestHistogramTakesAnyDuration(t *testing.T) {
	var h histogram
	if h.latency() != nil {
		t.Error("nothing was added, and yet it has percentiles")
	}
	for _, d := range []time.Duration{-time.Second, 0, 1, 2, 1<<63 - 1} {
		h.add(d)
	}
	if l := h.latency(); l.P50 > .001 || l.Max < 1e12 {
		t.Errorf("%+v", l)
	}
}
