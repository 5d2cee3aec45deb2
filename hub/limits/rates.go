package limits

import (
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	bursts  = 5       // seconds' worth at once
	maxKept = 100_000 // callers in memory; beyond, those that have been quiet are forgotten
)

// rates bounds how often each of many does something. Its zero value bounds nothing.
type rates struct {
	// Set by per, then constant.
	limit rate.Limit
	burst int

	mu   sync.Mutex
	each map[string]*rate.Limiter
}

func (r *rates) per(second float64) {
	r.limit, r.burst = rate.Limit(second), max(1, int(second*bursts))
}

// take counts one, or says how long to wait until there is room for it.
func (r *rates) take(key string, now time.Time) (wait time.Duration) {
	if r.limit <= 0 {
		return 0
	}
	r.mu.Lock()
	one := r.each[key]
	if one == nil {
		if r.each == nil {
			r.each = map[string]*rate.Limiter{}
		}
		if len(r.each) >= maxKept {
			maps.DeleteFunc(r.each, func(_ string, l *rate.Limiter) bool { return l.TokensAt(now) >= float64(r.burst) })
		}
		if len(r.each) >= maxKept { // all are busy: a flood from many, whom to forget is harmless
			clear(r.each)
		}
		one = rate.NewLimiter(r.limit, r.burst)
		r.each[key] = one
	}
	r.mu.Unlock()
	turn := one.ReserveN(now, 1)
	if wait = turn.DelayFrom(now); wait > 0 {
		turn.CancelAt(now)
	}
	return wait
}

// perDay is a limit of so many in a day, all at once if need be.
func perDay(n int64) (rate.Limit, int) {
	return rate.Limit(float64(n) / (24 * time.Hour).Seconds()), int(n)
}
