package limits

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
)

const (
	measureEvery = 5 * time.Second
	fullFor      = 10 * time.Minute // until whoever finds something full may look again
	maxKnown     = 50_000           // channels in memory that are known to exist
)

// Stored holds callers to what they may store. It measures now and then, so that for some seconds more may come in.
type Stored struct {
	// Set by NewStored, then constant.
	limits *Limits
	store  *store.Store

	usage atomic.Pointer[store.Usage]
	grown atomic.Int64 // bytes since it was measured, by this process

	// Guarded by mu.
	mu    sync.Mutex
	known map[string]bool // channels that exist: none ever goes

	made Rates // channels, by principal
}

// NewStored makes the account of a store.
func NewStored(l *Limits, s *store.Store) *Stored {
	st := &Stored{limits: l, store: s}
	st.usage.Store(&store.Usage{})
	if l != nil && l.config.OwnChannels > 0 {
		st.made.perDay(l.config.OwnChannels)
	}
	return st
}

// Run measures until ctx ends.
func (s *Stored) Run(ctx context.Context) error {
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	for {
		if s.limits.on() {
			s.measure(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Stored) measure(ctx context.Context) {
	full := s.limits.config.ChannelBytes
	if full <= 0 {
		full = 1 << 62
	}
	grown := s.grown.Load()
	u, err := s.store.Usage(ctx, full)
	if err != nil {
		return // the store has said so; what was measured before stands
	}
	s.usage.Store(&u)
	s.grown.Add(-grown)
}

// Room is what has been taken for something that is about to be stored. Its zero value is nothing.
type Room struct {
	stored *Stored
	ch     string // a channel that was not there yet, else empty
	bytes  int64
	turn   Turn
}

// Settle says whether it was stored. If not, what was taken is given back.
func (r Room) Settle(stored bool) {
	switch {
	case r.stored == nil:
	case !stored:
		r.stored.grown.Add(-r.bytes)
		r.turn.GiveBack()
	case r.ch != "":
		r.stored.learn(r.ch)
	}
}

// Message takes room for a message in a channel, which may be new, or says why it may not be stored.
func (s *Stored) Message(ctx context.Context, who models.Principal, ch string, bytes int) (Room, error) {
	room, err := s.Channel(ctx, who, ch)
	if err != nil {
		return Room{}, err
	}
	content, err := s.Add(ch, bytes)
	if err != nil {
		room.Settle(false)
		return Room{}, err
	}
	room.stored, room.bytes = content.stored, content.bytes
	return room, nil
}

// Add takes room for so many bytes in a channel, or in none, or says why they may not be stored.
func (s *Stored) Add(ch string, bytes int) (Room, error) {
	if !s.limits.on() {
		return Room{}, nil
	}
	u, c := s.usage.Load(), &s.limits.config
	if c.Bytes > 0 && u.Bytes+s.grown.Load()+int64(bytes) > c.Bytes {
		return Room{}, full("this hub stores %d MiB, and may store no more: ask whoever runs it to delete data or to raise --limit-mib", u.Bytes>>20)
	}
	if held := u.Full[ch]; held > 0 {
		return Room{}, full("channel %q stores %d MiB, and may store no more: use another channel, delete shared data, or ask whoever runs the hub to raise --limit-channel-mib", ch, held>>20)
	}
	s.grown.Add(int64(bytes))
	return Room{stored: s, bytes: int64(bytes)}, nil
}

// Channel takes room for a channel if it is not there yet, or says why it may not be made.
func (s *Stored) Channel(ctx context.Context, who models.Principal, ch string) (Room, error) {
	if !s.limits.on() || s.knows(ch) {
		return Room{}, nil
	}
	there, err := s.store.HasChannel(ctx, ch)
	if err != nil {
		return Room{}, err
	}
	if there {
		s.learn(ch)
		return Room{}, nil
	}
	if most := s.limits.config.Channels; most > 0 && s.usage.Load().Channels >= most {
		return Room{}, full("there are %d channels, and may be no more: use one of them", most)
	}
	room := Room{stored: s, ch: ch}
	if who.Named() {
		var wait time.Duration
		if room.turn, wait = s.made.Take(who.Name, time.Now()); wait > 0 {
			return Room{}, models.After(models.Errorf(models.RateLimited,
				"you have made %d channels today: use one of them, or ask whoever runs the hub to raise --limit-own-channels", s.limits.config.OwnChannels), wait)
		}
	}
	return room, nil
}

func full(format string, args ...any) error {
	return models.After(models.Errorf(models.RateLimited, format, args...), fullFor)
}

func (s *Stored) knows(ch string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[ch]
}

func (s *Stored) learn(ch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxKnown {
		s.known = map[string]bool{}
	}
	s.known[ch] = true
}
