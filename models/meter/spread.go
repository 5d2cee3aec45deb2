package meter

import (
	"sync/atomic"
	"time"
)

// Now is a moment, to be compared with another: nanoseconds since the process began. It is half as dear as time.Now.
func Now() int64 { return int64(time.Since(began)) }

var began = time.Now()

// Times counts how long things took. Its zero value is ready, and any number of goroutines may add.
type Times struct{ counts }

// Add counts one.
func (t *Times) Add(d time.Duration) { t.add(timeBounds[:], int64(d), 1) }

// AddSome counts one that stands for n.
func (t *Times) AddSome(d time.Duration, n int64) { t.add(timeBounds[:], int64(d), n) }

// Read returns what was counted, in seconds.
func (t *Times) Read() Spread { return t.read(timeBounds[:], float64(time.Second)) }

// Sizes counts how large things were. Its zero value is ready, and any number of goroutines may add.
type Sizes struct{ counts }

// Add counts one.
func (s *Sizes) Add(n int) { s.add(sizeBounds[:], int64(n), 1) }

// Read returns what was counted.
func (s *Sizes) Read() Spread { return s.read(sizeBounds[:], 1) }

// Spread is what was counted. Buckets says of each bound how many were not above it.
type Spread struct {
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64
}

// Join adds up spreads that have the same bounds.
func Join(all ...Spread) Spread {
	sum := Spread{Buckets: map[float64]uint64{}}
	for _, s := range all {
		sum.Count += s.Count
		sum.Sum += s.Sum
		for bound, n := range s.Buckets {
			sum.Buckets[bound] += n
		}
	}
	return sum
}

// Bounds of buckets. A commit takes 0.2 ms and a message is there after 1: so fine at the lower end, and up to where
// whoever waits gives up.
var timeBounds = [...]int64{
	1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 2.5e8, 5e8, 1e9, 2.5e9, 5e9, 1e10, 3e10,
}

// sizeBounds are those of batches of messages.
var sizeBounds = [...]int64{1, 2, 4, 8, 16, 32, 64, 128, 256}

// counts is one number for each bucket, and for what is above all bounds.
type counts struct {
	buckets [len(timeBounds) + 1]atomic.Int64
	sum     atomic.Int64
}

func (c *counts) add(bounds []int64, value, n int64) {
	value = max(value, 0)
	i := 0
	for i < len(bounds) && value > bounds[i] {
		i++
	}
	c.buckets[i].Add(n)
	c.sum.Add(value * n)
}

func (c *counts) read(bounds []int64, unit float64) Spread {
	s := Spread{Buckets: make(map[float64]uint64, len(bounds)), Sum: float64(c.sum.Load()) / unit}
	for i, bound := range bounds {
		s.Count += uint64(c.buckets[i].Load())
		s.Buckets[float64(bound)/unit] = s.Count
	}
	s.Count += uint64(c.buckets[len(bounds)].Load())
	return s
}
