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

// Rates bounds how often each of many does something. Its zero value, and nil, bound nothing.
type Rates struct {
	// Set by whoever makes it, then constant.
	limit rate.Limit
	burst int

	mu   sync.Mutex
	each map[string]*rate.Limiter
}

// NewRates lets each do something so often at once, and once more each every.
func NewRates(every time.Duration, burst int) *Rates {
	return &Rates{limit: rate.Every(every), burst: burst}
}

func (r *Rates) per(second float64) {
	r.limit, r.burst = rate.Limit(second), max(1, int(second*bursts))
}

// perDay allows so many in a day, all at once if need be.
func (r *Rates) perDay(n int64) {
	r.limit, r.burst = rate.Limit(float64(n)/(24*time.Hour).Seconds()), int(n)
}

// Turn is one that was counted. Its zero value is none.
type Turn struct {
	one *rate.Reservation
	at  time.Time
}

// GiveBack has it count no more.
func (t Turn) GiveBack() {
	if t.one != nil {
		t.one.CancelAt(t.at) // of a later time than it began nothing could be given back
	}
}

// Take counts one, or says how long to wait until there is room for it.
func (r *Rates) Take(key string, now time.Time) (turn Turn, wait time.Duration) {
	if r == nil || r.limit <= 0 {
		return Turn{}, 0
	}
	turn = Turn{r.of(key, now).ReserveN(now, 1), now}
	if wait = turn.one.DelayFrom(now); wait > 0 {
		turn.GiveBack()
		return Turn{}, wait
	}
	return turn, 0
}

// Pass is Take for what is never given back. It leaves no garbage while there is room.
func (r *Rates) Pass(key string, now time.Time) (wait time.Duration) {
	if r == nil || r.limit <= 0 || r.of(key, now).AllowN(now, 1) {
		return 0
	}
	_, wait = r.Take(key, now)
	return wait
}

func (r *Rates) of(key string, now time.Time) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
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
	return one
}
