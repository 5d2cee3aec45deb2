package hub

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"crosstalk/models"
	"crosstalk/models/store"
)

// Ask is what an instance wants to read.
type Ask struct {
	Channel  string // or models.Every: all that the instance has used
	After    *int64 // where the instance says it stands; nil: where it is known to
	Instance string // may be empty for Check, which then moves nothing
	Limit    int
	Conn     string // the connection that the answer goes to; empty if every call stands alone
}

// Reading is what one call shows. It counts as shown once Shown was called, which must be after the
// answer was written: what an answer that was lost would have shown is shown again.
type Reading struct {
	Messages []models.Message // oldest first
	LastID   int64            // what to pass as After next
	Follow   int              // how many of others wait after these, counted up to 1,000
	Old      bool             // nothing was unread: these were read before
	Gap      bool             // retention has removed messages that were not read

	hub    *Hub
	ask    Ask
	newest bool  // Messages are the newest, not the oldest unread
	end    int64 // it shows all there is up to here
	spans  []span
}

// span is what a reading covers of one channel, and what was known of it before.
type span struct {
	channel     string
	from        int64 // it shows all after this
	read, shown int64
	first       bool // the instance has no position there
}

// maxFollow bounds what is counted.
const maxFollow = 1000

// inbox remembers what saves writes. It may forget: the store knows.
type inbox struct {
	mu    sync.Mutex
	shown map[string]bool    // connections over which something was shown that is not read
	used  map[[2]string]bool // instance and channel that the store has
}

// maxRemembered bounds each of its maps.
const maxRemembered = 20_000

func newInbox() *inbox {
	return &inbox{shown: map[string]bool{}, used: map[[2]string]bool{}}
}

// Check reads what an instance has not read; if that is nothing, or on its first look at a channel,
// the newest messages.
func (h *Hub) Check(ctx context.Context, who models.Principal, ask Ask) (*Reading, error) {
	if ask.Instance == "" {
		return h.look(ctx, who, ask)
	}
	spans, err := h.stand(ctx, who, ask)
	if err != nil {
		return nil, err
	}
	if ask.After == nil && slices.ContainsFunc(spans, func(s span) bool { return s.first }) && ask.Channel != models.Every {
		return h.newest(ctx, who, ask, spans, nil)
	}
	r, err := h.unread(ctx, ask, spans)
	if err != nil || len(r.Messages) > 0 || ask.After != nil {
		return r, err
	}
	later := r.end + 1 // what has come by now is unread
	old, err := h.newest(ctx, who, ask, nil, &later)
	if err == nil {
		old.Old, old.Gap, old.spans, old.end, old.LastID = true, r.Gap, r.spans, r.end, min(old.LastID, r.end)
	}
	return old, err
}

// look reads for nobody in particular.
func (h *Hub) look(ctx context.Context, who models.Principal, ask Ask) (*Reading, error) {
	if err := who.NeedReads(ask.Channel); err != nil {
		return nil, err
	}
	if ask.After == nil {
		return h.newest(ctx, who, ask, nil, nil)
	}
	return h.unread(ctx, ask, []span{{channel: ask.Channel, from: *ask.After}})
}

// stand finds out from where an instance reads each channel it asks for. What it was shown before is
// read now, if this call proves that it arrived.
func (h *Hub) stand(ctx context.Context, who models.Principal, ask Ask) ([]span, error) {
	if err := who.NeedReads(ask.Channel); err != nil {
		return nil, err
	}
	if err := h.names.Claim(ctx, who, ask.Instance); err != nil {
		return nil, err
	}
	h.presence.seen(ask.Instance, notEvery(ask.Channel))
	if err := h.acted(ctx, ask.Instance, ask.Conn); err != nil {
		return nil, err
	}
	own := false
	if ask.After != nil {
		if err := h.store.Stands(ctx, ask.Instance, ask.Channel, *ask.After); err != nil {
			return nil, err
		}
		sender, err := h.store.Sender(ctx, *ask.After)
		if err != nil {
			return nil, err
		}
		own = sender == ask.Instance
	}
	known, err := h.standing(ctx, who, ask)
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		ch := ask.Channel
		if ch == models.Every { // it has used none
			if ch = models.General; !who.Reads(ch) {
				return nil, models.Errorf(models.Invalid, "you have used no channel yet that your key may read: name one")
			}
		}
		known = []store.Position{{Channel: ch}}
	}
	registered, err := h.store.Registered(ctx, ask.Instance)
	if err != nil {
		return nil, err
	}
	spans := make([]span, len(known))
	for i, p := range known {
		s := span{channel: p.Channel, from: registered, first: p.ReadID == nil, read: registered, shown: registered}
		if !s.first {
			s.from, s.read, s.shown = *p.ReadID, *p.ReadID, p.ShownID
		}
		switch {
		case own:
			s.from = min(s.from, *ask.After) // what crossed with its own message is not passed over
		case ask.After != nil:
			s.from = *ask.After
		}
		spans[i] = s
	}
	return spans, nil
}

// standing returns where the instance stands. What was shown over the same connection, be it by another process, is read.
func (h *Hub) standing(ctx context.Context, who models.Principal, ask Ask) ([]store.Position, error) {
	known, err := h.positions(ctx, who, ask.Instance, ask.Channel)
	for _, p := range known {
		if ask.Conn != "" && p.ShownBy == ask.Conn && p.ReadID != nil && p.ShownID > *p.ReadID {
			if err := h.store.Acted(ctx, ask.Instance, ask.Conn); err != nil {
				return nil, err
			}
			return h.positions(ctx, who, ask.Instance, ask.Channel)
		}
	}
	return known, err
}

// unread reads the oldest messages of others beyond where the spans begin, in one order.
func (h *Hub) unread(ctx context.Context, ask Ask, spans []span) (*Reading, error) {
	r := &Reading{hub: h, ask: ask, spans: spans}
	end := int64(-1)
	for i := range spans {
		page, err := h.store.Page(ctx, models.Query{Channel: spans[i].channel, After: &spans[i].from, Instance: ask.Instance, Limit: ask.Limit})
		if err != nil {
			return nil, err
		}
		r.Messages = append(r.Messages, page.Messages...)
		r.Gap = r.Gap || !page.Recovered
		if end < 0 || page.NextAfterID < end {
			end = page.NextAfterID
		}
		spans[i].from = min(spans[i].from, page.NextAfterID) // past the head is the head
	}
	slices.SortFunc(r.Messages, func(a, b models.Message) int { return cmp.Compare(a.ID, b.ID) })
	r.Messages = slices.DeleteFunc(r.Messages, func(m models.Message) bool { return m.ID > end })
	if len(r.Messages) > ask.Limit {
		r.Messages = r.Messages[:ask.Limit]
		end = r.Messages[ask.Limit-1].ID
	}
	return r, r.endAt(ctx, end)
}

// endAt says that the reading covers its channels up to an id, and counts what follows.
func (r *Reading) endAt(ctx context.Context, end int64) error {
	r.end, r.LastID, r.Follow = end, end, 0
	if n := len(r.Messages); n > 0 {
		r.LastID = r.Messages[n-1].ID
	}
	for i := range r.spans {
		n, err := r.hub.store.Unseen(ctx, r.spans[i].channel, r.ask.Instance, end, maxFollow)
		if err != nil {
			return err
		}
		r.Follow = min(maxFollow, r.Follow+n)
	}
	return nil
}

// newest reads the newest messages, of those before an id if one is given. On an instance's first look, spans say which
// channels it will have read by that.
func (h *Hub) newest(ctx context.Context, who models.Principal, ask Ask, spans []span, before *int64) (*Reading, error) {
	r := &Reading{hub: h, ask: ask, newest: true, spans: spans}
	channels := []string{ask.Channel}
	if ask.Channel == models.Every {
		known, err := h.positions(ctx, who, ask.Instance, models.Every)
		if err != nil {
			return nil, err
		}
		channels = nil
		for _, p := range known {
			channels = append(channels, p.Channel)
		}
	}
	for _, ch := range channels {
		page, err := h.store.Page(ctx, models.Query{Channel: ch, Limit: ask.Limit, Before: before})
		if err != nil {
			return nil, err
		}
		r.Messages = append(r.Messages, page.Messages...)
		r.end = max(r.end, page.NextAfterID)
	}
	r.LastID = r.end
	slices.SortFunc(r.Messages, func(a, b models.Message) int { return cmp.Compare(a.ID, b.ID) })
	r.Keep(ask.Limit)
	if n := len(r.Messages); n > 0 {
		r.LastID = r.Messages[n-1].ID
	}
	return r, nil
}

// Keep says that the answer has room for n messages only: the oldest of those that were unread, else
// the newest.
func (r *Reading) Keep(n int) {
	if n >= len(r.Messages) {
		return
	}
	if r.newest {
		r.Messages = r.Messages[len(r.Messages)-n:]
		return
	}
	r.Follow = min(maxFollow, r.Follow+len(r.Messages)-n)
	r.Messages = r.Messages[:n]
	r.end = 0
	if n > 0 {
		r.end = r.Messages[n-1].ID
	}
	r.LastID = r.end
}

// ShownBefore says that a message was shown before, and is not known to have been read.
func (r *Reading) ShownBefore(m *models.Message) bool {
	return slices.ContainsFunc(r.spans, func(s span) bool { return s.channel == m.Channel && m.ID > s.read && m.ID <= s.shown })
}

// Shown notes that the answer was written to the client.
func (r *Reading) Shown(ctx context.Context) error {
	if r.ask.Instance == "" || len(r.spans) == 0 {
		return nil
	}
	var marks []store.Mark
	for _, s := range r.spans {
		m := store.Mark{Channel: s.channel, From: s.from, To: r.end, First: s.first}
		if s.first && r.newest && !r.Old { // the first look skips what is older, and only that
			m.From = r.end
			if len(r.Messages) > 0 {
				m.From = r.Messages[0].ID - 1
			}
		}
		marks = append(marks, m)
	}
	if err := r.hub.store.Show(ctx, r.ask.Instance, r.ask.Conn, marks); err != nil {
		return err
	}
	r.hub.inbox.remember(r.ask.Conn)
	return nil
}

// Acted notes that an instance acts in a channel, over conn: what was shown there is read.
func (h *Hub) Acted(ctx context.Context, who models.Principal, instance, conn, ch string) error {
	if err := who.NeedReads(ch); err != nil {
		return err
	}
	if err := h.names.Claim(ctx, who, instance); err != nil {
		return err
	}
	h.presence.seen(instance, ch)
	if h.inbox.use(instance, ch) {
		if _, err := h.store.Registered(ctx, instance); err != nil { // what comes from here on is for it
			return err
		}
		if err := h.store.Use(ctx, instance, ch, nil); err != nil {
			return err
		}
	}
	return h.acted(ctx, instance, conn)
}

func (h *Hub) acted(ctx context.Context, instance, conn string) error {
	if conn == "" || !h.inbox.has(conn) {
		return nil
	}
	if err := h.store.Acted(ctx, instance, conn); err != nil {
		return err
	}
	h.inbox.forget(conn)
	return nil
}

// LastUsed is the channel that an instance used last; empty if that is not known, or not for who to know.
func (h *Hub) LastUsed(ctx context.Context, who models.Principal, instance string) string {
	if h.names.Check(who, instance) != nil {
		return ""
	}
	ch := h.presence.lastUsed(instance)
	if ch == "" {
		var err error
		if ch, err = h.store.LastChannel(ctx, instance); err != nil {
			return "" // it only makes a hint
		}
	}
	if !who.Reads(ch) {
		return ""
	}
	return ch
}

// positions returns what is known of an instance's reading, of one channel or of all that it uses and who may read.
func (h *Hub) positions(ctx context.Context, who models.Principal, instance, ch string) ([]store.Position, error) {
	known, err := h.store.Positions(ctx, instance, ch)
	if who.Restricted() {
		known = slices.DeleteFunc(known, func(p store.Position) bool { return !who.Reads(p.Channel) })
	}
	return known, err
}

func notEvery(ch string) string {
	if ch == models.Every {
		return ""
	}
	return ch
}

// remember notes that something was shown over a connection.
func (b *inbox) remember(conn string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.shown) >= maxRemembered {
		clear(b.shown)
	}
	b.shown[conn] = true
}

// has says whether that was so.
func (b *inbox) has(conn string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown[conn]
}

// forget says that it is no more.
func (b *inbox) forget(conn string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.shown, conn)
}

// forgetUses has the store asked again which channels an instance uses.
func (b *inbox) forgetUses() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.used)
}

// use says whether the store may not know yet that an instance uses a channel.
func (b *inbox) use(instance, ch string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := [2]string{instance, ch}
	if b.used[key] {
		return false
	}
	if len(b.used) >= maxRemembered {
		clear(b.used)
	}
	b.used[key] = true
	return true
}
