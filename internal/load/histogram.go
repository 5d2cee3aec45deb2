package load

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets of 1.6% each, so that any number of them takes the same room. Any number of
// goroutines may add.
type histogram struct {
	buckets [64 * perOctave]atomic.Int64
	most    atomic.Int64
}

// perOctave is how many buckets there are from one power of two to the next.
const perOctave = 64

func (h *histogram) add(d time.Duration) {
	n := uint64(max(d, 1))
	h.buckets[bucketOf(n)].Add(1)
	for most := h.most.Load(); int64(n) > most && !h.most.CompareAndSwap(most, int64(n)); most = h.most.Load() {
	}
}

func bucketOf(n uint64) int {
	octave := bits.Len64(n) - 1
	part := (n - 1<<octave) * perOctave >> octave
	return octave*perOctave + int(part)
}

// Latency is how long something took, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// latency is nil if nothing was added.
func (h *histogram) latency() *Latency {
	var counts [64 * perOctave]int64
	total := int64(0)
	for i := range h.buckets {
		counts[i] = h.buckets[i].Load()
		total += counts[i]
	}
	if total == 0 {
		return nil
	}
	at := func(share float64) float64 {
		left := int64(math.Ceil(share * float64(total)))
		for i, n := range counts {
			if left -= n; left <= 0 {
				octave, part := i/perOctave, i%perOctave
				return millis(math.Ldexp(1+(float64(part)+0.5)/perOctave, octave))
			}
		}
		return 0
	}
	most := millis(float64(h.most.Load()))
	return &Latency{P50: min(at(.5), most), P95: min(at(.95), most), P99: min(at(.99), most), Max: most}
}

// millis turns nanoseconds into milliseconds, to a microsecond.
func millis(nanos float64) float64 { return math.Round(nanos/1e3) / 1e3 }
