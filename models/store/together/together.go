package together

import (
	"context"
	"errors"
	"sync"
)

// most is how many parts make one go, so that others who want to write need not wait for long.
const most = 64

// errBroken is heard by those whose go ended in a panic of somebody else's part.
var errBroken = errors.New("what was to be written together with this broke off")

// Group gathers parts while a go is under way.
type Group[T any] struct {
	do func(ctx context.Context, fn func(T) error) error // set by New, then constant

	turn sync.Mutex // of who does a go; mu comes after it

	mu      sync.Mutex
	waiting []*part[T] // guarded by mu
}

// part is what one caller wants. All but fn is guarded by the group's turn.
type part[T any] struct {
	fn   func(T) error
	done bool
	err  error
}

// New makes a Group of something that does fn as a whole or not at all.
func New[T any](do func(ctx context.Context, fn func(T) error) error) *Group[T] {
	return &Group[T]{do: do}
}

// Do does fn. It may be run again, so it must set what it finds out and not add to it.
func (g *Group[T]) Do(ctx context.Context, fn func(T) error) error {
	p := &part[T]{fn: fn}
	g.mu.Lock()
	g.waiting = append(g.waiting, p)
	g.mu.Unlock()
	g.turn.Lock()
	defer g.turn.Unlock()
	for !p.done {
		g.next(ctx)
	}
	return p.err
}

// next does one go. The caller has the turn.
func (g *Group[T]) next(ctx context.Context) {
	g.mu.Lock()
	n := min(most, len(g.waiting))
	parts := g.waiting[:n:n]
	if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
	g.mu.Unlock()
	for _, p := range parts {
		p.done, p.err = true, errBroken
	}
	ctx = context.WithoutCancel(ctx) // which is that of one of them only
	err := g.do(ctx, func(to T) error {
		for _, p := range parts {
			if err := p.fn(to); err != nil {
				return err
			}
		}
		return nil
	})
	for _, p := range parts {
		if p.err = err; err != nil && n > 1 {
			p.err = g.do(ctx, p.fn)
		}
	}
}
