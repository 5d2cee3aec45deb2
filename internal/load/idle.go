package load

import (
	"context"
	"errors"
	"math"
	"time"

	"crosstalk/internal/load/usage"
)

// Idle is what a hub spends on those who are there while nobody speaks.
type Idle struct {
	URL         string `json:"url"`
	Subscribers int    `json:"subscribers"`
	Waiters     int    `json:"waiters"`
	Callers     int    `json:"callers"`
	Channels    int    `json:"channels"`
	Named       bool   `json:"named"`

	ConnectSeconds  float64 `json:"connect_s"`
	CPUPerConnect   float64 `json:"cpu_us_per_connect"`
	Seconds         float64 `json:"seconds"` // that were measured
	Answers         int64   `json:"answers"` // in these, to polls and calls that were over and began anew
	CPUSeconds      float64 `json:"cpu_s"`
	CPUPercent      float64 `json:"cpu_percent"` // of one core
	MemoryMB        float64 `json:"memory_mb"`
	KBPerConnection float64 `json:"kb_per_connection"`
	PID             int     `json:"pid"`
	Disconnected    int64   `json:"disconnected"`
	FirstFailure    string  `json:"first_failure,omitempty"`
}

// Hold connects everybody, has the hub come to rest, and measures what it then uses.
func Hold(ctx context.Context, o Options) (*Idle, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	if r.followers() == 0 {
		return nil, errors.New("nobody is to be connected")
	}
	before, began := usage.Of(o.PID), time.Now()
	if !before.Known {
		return nil, errors.New("the hub's process cannot be watched: it must be one of this machine, which must run Linux, and its id given unless it can be found")
	}
	rep := &Idle{
		URL: o.URL, Subscribers: o.Subscribers, Waiters: o.Waiters, Callers: o.Callers, Channels: o.Channels, Named: o.Named, PID: o.PID,
	}
	err = r.while(ctx, func(ctx context.Context, readers []reader) error {
		connections := float64(len(readers))
		rep.ConnectSeconds = math.Round(time.Since(began).Seconds()*100) / 100
		rep.CPUPerConnect = math.Round((usage.Of(o.PID).CPU - before.CPU).Seconds() / connections * 1e6)
		r.settled.Store(time.Now().Add(o.Settle).UnixNano())
		if !pause(ctx, o.Settle) {
			return ctx.Err()
		}
		rest, at, answers := usage.Of(o.PID), time.Now(), r.answered.Load()
		if !pause(ctx, o.Span) {
			return ctx.Err()
		}
		after, span := usage.Of(o.PID), time.Since(at)
		if !rest.Known || !after.Known {
			return errors.New("the hub's process has ended")
		}
		rep.Answers = r.answered.Load() - answers
		rep.Seconds = math.Round(span.Seconds()*100) / 100
		rep.CPUSeconds = math.Round((after.CPU-rest.CPU).Seconds()*100) / 100
		rep.CPUPercent = math.Round((after.CPU-rest.CPU).Seconds()/span.Seconds()*1e4) / 100
		rep.MemoryMB = math.Round(float64(rest.Memory)/(1<<20)*10) / 10
		rep.KBPerConnection = math.Round(float64(rest.Memory-before.Memory)/1024/connections*10) / 10
		rep.Disconnected = r.failures.closed.Load()
		if first := r.failures.first.Load(); first != nil {
			rep.FirstFailure = (*first).Error()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rep, nil
}
