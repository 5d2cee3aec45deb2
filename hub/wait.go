package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
)

// Outcome says why a wait ended.
type Outcome string

// The ends of a wait.
const (
	Came       Outcome = "came"       // the reading has messages
	Superseded Outcome = "superseded" // by a newer wait of the same instance
	Mutual     Outcome = "mutual"     // everybody here waits, and this instance is the one to speak
	Nothing    Outcome = "nothing"    // came in time
	Draining   Outcome = "draining"   // the server goes away
)

// Waited is what a wait brought.
type Waited struct {
	*Reading
	Outcome Outcome
	Peer    string // with Mutual: who else waits
}

const (
	defaultGrace = 30 * time.Second
	judgeAgain   = 5 * time.Second // while others wait, too
)

// errSuperseded ends a wait's context.
var errSuperseded = errors.New("superseded")

// Wait reads what an instance has not read, or waits up to most for the first message from another.
// It takes its start once. When ctx ends, the error is ctx's, and nothing counts as shown.
func (h *Hub) Wait(ctx context.Context, who models.Principal, ask Ask, role models.Role, most time.Duration) (Waited, error) {
	spans, err := h.stand(ctx, who, ask)
	if err != nil {
		return Waited{}, err
	}
	if err := h.use(ctx, ask.Instance, spans); err != nil {
		return Waited{}, err
	}
	r, err := h.unread(ctx, ask, slices.Clone(spans))
	if err != nil || len(r.Messages) > 0 {
		return Waited{Reading: r, Outcome: Came}, err
	}
	left, err := h.limits.Wait(who)
	if err != nil {
		return Waited{}, err
	}
	defer left()
	judge, end := time.Now().Add(h.waits.grace), time.Now().Add(most)
	ctx, w := h.waits.begin(ctx, who, ask, role, spans)
	defer h.waits.end(w)
	s, err := h.Subscribe(ctx, who, Subscription{Channels: w.channels, After: &r.end, Hide: ask.Instance})
	if err != nil {
		return Waited{}, err
	}
	defer s.Close()
	for {
		until := end
		if role == models.RoleActive && judge.Before(end) {
			until = judge
		}
		came, err := s.within(ctx, until)
		switch {
		case came:
			r, err := h.unread(ctx, ask, slices.Clone(spans))
			if err != nil || len(r.Messages) > 0 {
				return Waited{Reading: r, Outcome: Came}, err
			}
		case errors.Is(context.Cause(ctx), errSuperseded):
			return Waited{Reading: r, Outcome: Superseded}, nil
		case ctx.Err() != nil:
			return Waited{}, ctx.Err()
		case models.CodeOf(err) == models.Unavailable && h.isDraining():
			return Waited{Reading: r, Outcome: Draining}, nil
		case err != nil:
			return Waited{}, err
		case until.Equal(end):
			return Waited{Reading: r, Outcome: Nothing}, nil
		default:
			tell, peer, others, err := h.waits.judge(ctx, w)
			if tell || err != nil {
				return Waited{Reading: r, Outcome: Mutual, Peer: peer}, err
			}
			judge = time.Now().Add(judgeAgain)
			if !others { // whoever comes now is later, and told instead
				judge = end.Add(time.Hour)
			}
		}
	}
}

// use notes that an instance uses channels, those of which that is not known.
func (h *Hub) use(ctx context.Context, instance string, spans []span) error {
	for _, s := range spans {
		if h.inbox.use(instance, s.channel) {
			if err := h.store.Use(ctx, instance, s.channel, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// within waits for a message until a time; none by then is no error.
func (s *Subscriber) within(ctx context.Context, until time.Time) (came bool, err error) {
	slice, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	got, err := s.Next(slice, nil, 1)
	if err != nil && ctx.Err() == nil && slice.Err() != nil {
		err = nil
	}
	return len(got) > 0, err
}

func (h *Hub) isDraining() bool {
	select {
	case <-h.draining:
		return true
	default:
		return false
	}
}

// Audience says whom a message to a channel reaches at once; instance itself does not count.
func (h *Hub) Audience(ctx context.Context, who models.Principal, ch, instance string) (models.Audience, error) {
	var a models.Audience
	if err := who.NeedReads(ch); err != nil {
		return a, err
	}
	rows, err := h.store.Waits(ctx, ch)
	if err != nil {
		return a, err
	}
	add := func(id string) {
		if id != instance && !slices.Contains(a.Waiting, id) {
			a.Waiting = append(a.Waiting, id)
		}
	}
	for _, row := range rows {
		add(row.Instance)
	}
	for _, id := range h.waits.instances(ch) { // begun so lately that the store does not know
		add(id)
	}
	a.Open = h.feed.seats(ch, instance)
	return a, nil
}

// Waits lists the open waits on a channel, or with models.Every all.
func (h *Hub) Waits(ctx context.Context, who models.Principal, ch string) ([]models.Waiting, error) {
	if err := who.NeedReads(ch); err != nil {
		return nil, err
	}
	h.waits.flush(ctx)
	rows, err := h.store.Waits(ctx, ch)
	list := make([]models.Waiting, 0, len(rows))
	seen := map[string]bool{}
	for _, row := range rows {
		if !seen[row.Wait] && who.Reads(row.Channel) {
			seen[row.Wait] = true
			list = append(list, models.Waiting{Channel: row.Asked, Instance: row.Instance, Role: row.Role, Since: row.Since})
		}
	}
	return list, err
}

// wait is one open wait of this process.
type wait struct {
	// Set by begin, then constant.
	token    string
	key      waitKey
	channels []string
	role     models.Role
	since    models.Time
	cancel   context.CancelCauseFunc

	// Guarded by waits.mu.
	row   int64 // its first row in the store; 0: not written yet
	order int64 // among this process's waits
}

// waitKey is what a newer wait supersedes.
type waitKey struct{ principal, instance, asked string }

func newWait(who models.Principal, ask Ask, role models.Role, spans []span, cancel context.CancelCauseFunc) *wait {
	w := &wait{
		token: rand.Text(), key: waitKey{who.Name, ask.Instance, ask.Channel}, role: role,
		since: models.TimeOf(time.Now()), cancel: cancel,
	}
	for _, s := range spans {
		w.channels = append(w.channels, s.channel)
	}
	return w
}

// rows is the wait as the store keeps it.
func (w *wait) rows() []store.Wait {
	rows := make([]store.Wait, len(w.channels))
	for i, ch := range w.channels {
		rows[i] = store.Wait{
			Wait: w.token, Asked: w.key.asked, Channel: ch, Instance: w.key.instance,
			Principal: w.key.principal, Role: w.role, Since: w.since,
		}
	}
	return rows
}
