package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"crosstalk/models"
	"crosstalk/models/meter"
	"crosstalk/models/store"
)

// waitsEvery is how often open waits are compared with those of other processes, unless a bell rings.
const waitsEvery = time.Second

// waits are the open waits of this process. They are rows in the store, too, written in batches, so
// that supersede and mutual wait hold among processes.
type waits struct {
	// Set by newWaits, then constant.
	store *store.Store
	bell  Bell
	log   *slog.Logger
	grace time.Duration
	kick  chan struct{} // size 1
	meter *meter.Hub

	writing sync.Mutex // held while rows are on their way to the store; mu comes after it

	// Guarded by mu.
	mu     sync.Mutex
	open   map[waitKey]*wait
	byRoom map[string]map[*wait]bool
	begun  []*wait
	ended  []string
	order  int64
	alone  bool // no other process had waits at the last look

	last int64 // the newest row of the store that was looked at; owned by run
}

func newWaits(st *store.Store, o Options, m *meter.Hub) *waits {
	w := &waits{
		store: st, bell: o.Bell, log: o.Log, grace: o.Grace, kick: make(chan struct{}, 1), meter: m,
		open: map[waitKey]*wait{}, byRoom: map[string]map[*wait]bool{},
	}
	if w.grace <= 0 {
		w.grace = defaultGrace
	}
	return w
}

// begin opens a wait, which supersedes an older one of the same instance. The context ends with it.
func (ws *waits) begin(ctx context.Context, who models.Principal, ask Ask, role models.Role, spans []span) (context.Context, *wait) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := newWait(who, ask, role, spans, cancel)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if older := ws.open[w.key]; older != nil {
		older.cancel(errSuperseded)
	}
	ws.order++
	w.order = ws.order
	ws.open[w.key] = w
	for _, ch := range w.channels {
		if ws.byRoom[ch] == nil {
			ws.byRoom[ch] = map[*wait]bool{}
		}
		ws.byRoom[ch][w] = true
	}
	ws.begun = append(ws.begun, w)
	ws.meter.Waits.Add(1)
	ws.look()
	return ctx, w
}

func (ws *waits) end(w *wait) {
	w.cancel(nil)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.open[w.key] == w {
		delete(ws.open, w.key)
	}
	for _, ch := range w.channels {
		delete(ws.byRoom[ch], w)
		if len(ws.byRoom[ch]) == 0 {
			delete(ws.byRoom, ch)
		}
	}
	ws.ended = append(ws.ended, w.token)
	ws.meter.Waits.Add(-1)
	ws.look()
}

// any says whether any wait is open, or yet to be written.
func (ws *waits) any() bool {
	if ws == nil {
		return false
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.open) > 0
}

// instances lists who waits on a channel in this process, or with models.Every on any.
func (ws *waits) instances(ch string) []string {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var ids []string
	if ch == models.Every {
		for key := range ws.open {
			ids = append(ids, key.instance)
		}
	}
	for w := range ws.byRoom[ch] {
		ids = append(ids, w.key.instance)
	}
	return ids
}

// look has run look at once.
func (ws *waits) look() {
	select {
	case ws.kick <- struct{}{}:
	default:
	}
}

func (ws *waits) run(ctx context.Context) error {
	ticker := time.NewTicker(waitsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			ws.flush(context.WithoutCancel(ctx))
			return nil
		case <-ws.kick:
			if !ws.settle(ctx) {
				continue
			}
		case <-ticker.C:
		}
		ws.flush(ctx)
		if ws.any() {
			ws.supersede(ctx)
			ws.lookAround(ctx)
		}
	}
}

// settle lets waits that begin or end together be written together.
func (ws *waits) settle(ctx context.Context) bool {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// flush writes which waits have begun and ended. One that did both since is not written at all.
func (ws *waits) flush(ctx context.Context) {
	ws.writing.Lock()
	defer ws.writing.Unlock()
	ws.mu.Lock()
	gone := map[string]bool{}
	for _, token := range ws.ended {
		gone[token] = true
	}
	var rows []store.Wait
	var begun []*wait
	for _, w := range ws.begun {
		if gone[w.token] {
			delete(gone, w.token)
			continue
		}
		begun = append(begun, w)
		rows = append(rows, w.rows()...)
	}
	ended := make([]string, 0, len(gone))
	for token := range gone {
		ended = append(ended, token)
	}
	ws.begun, ws.ended = nil, nil
	ws.mu.Unlock()
	if len(rows) == 0 && len(ended) == 0 {
		return
	}
	err := ws.store.NoteWaits(ctx, rows, ended)
	ws.mu.Lock()
	if err != nil { // they are tried again with the next
		ws.begun, ws.ended = append(begun, ws.begun...), append(ended, ws.ended...)
	} else {
		ids := map[string]int64{}
		for _, row := range rows {
			ids[row.Wait] = row.ID
		}
		for _, w := range begun {
			w.row = ids[w.token]
		}
	}
	ws.mu.Unlock()
	if err != nil {
		ws.log.Debug("waits are not written", "error", err)
	} else if ws.bell != nil && len(rows) > 0 {
		ws.bell.Ring()
	}
}

// supersede ends the waits to which other processes have newer ones.
func (ws *waits) supersede(ctx context.Context) {
	rows, last, err := ws.store.NewWaits(ctx, ws.last)
	if err != nil {
		return // said where it was found; the next look finds them
	}
	ws.last = last
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, row := range rows {
		w := ws.open[waitKey{row.Principal, row.Instance, row.Asked}]
		if w != nil && w.row != 0 && row.ID > w.row {
			w.cancel(errSuperseded)
		}
	}
}

// lookAround finds out whether other processes have waits.
func (ws *waits) lookAround(ctx context.Context) {
	alone, err := ws.store.Alone(ctx)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.alone = alone && err == nil
}

// lonely says, without a look at the store, that nobody else waits on a channel. A wait of another process that began
// before w has been known for a while when w is judged; one that began later is judged there.
func (ws *waits) lonely(w *wait, ch string) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !ws.alone || ws.grace < 5*waitsEvery {
		return false
	}
	for other := range ws.byRoom[ch] {
		if other.key.instance != w.key.instance {
			return false
		}
	}
	return true
}

// judge decides whether a wait that has lasted for the grace is told that everybody waits. others
// says that somebody else waits on one of its channels.
func (ws *waits) judge(ctx context.Context, w *wait) (tell bool, peer string, others bool, err error) {
	for _, ch := range w.channels {
		if ws.later(w, ch) {
			others = true
			continue
		}
		if ws.lonely(w, ch) {
			continue
		}
		ws.flush(ctx)
		tell, peer, err := ws.store.Mutual(ctx, w.token, ch, ws.grace)
		if tell || err != nil {
			return tell, peer, true, err
		}
		others = others || peer != ""
	}
	return false, "", others, nil
}

// later says whether an active wait of somebody else in this process began after w: it is judged instead.
func (ws *waits) later(w *wait, ch string) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for other := range ws.byRoom[ch] {
		if other.order > w.order && other.role == models.RoleActive && other.key.instance != w.key.instance {
			return true
		}
	}
	return false
}
