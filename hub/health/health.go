package health

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"crosstalk/models"
	"crosstalk/models/store"
)

// The parts of a hub.
const (
	Database = "database" // can be read
	Writer   = "writer"   // stores messages
	Delivery = "delivery" // has looked at the log lately, and has told subscribers what is there
	Doorbell = "doorbell" // hears other processes and nodes at once
	Indexer  = "indexer"  // keeps the search index up to date
)

// What a hub is altogether.
const (
	OK       = "ok"
	Degraded = "degraded" // ready, with a part out of order that is not needed
	Unready  = "unready"
)

const (
	every      = time.Second // a sample
	late       = 5           // samples without an answer or a step, after which a part that is needed is not ready
	stuck      = 120         // samples after which a restart would help
	indexStuck = 30          // samples in which the index has not moved, with messages waiting
)

// Part is how one part is.
type Part struct {
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"`        // to be ready
	Why    string `json:"why,omitempty"` // if it is not well
}

// Report is how a hub is. Nothing in it changes.
type Report struct {
	Status string
	Error  error // why it is not ready; nil: it is
	Stuck  error // why it should be restarted; nil: it should not
	Parts  map[string]Part
	Behind int64 // messages that the search index did not know when the database last answered
}

// Sources are where a Watch looks. Neither function may block.
type Sources struct {
	Store    *store.Store
	Delivery func() (began, looked, position int64) // looks at the log, when one last went well, and how far it is delivered
	Doorbell func() error                           // what is wrong with it; nil: there is none
}

// Watch keeps an eye on a hub while Run runs.
type Watch struct {
	from   Sources
	report atomic.Pointer[Report]

	// Set by read.
	answers atomic.Int64 // of the database
	mute    atomic.Bool  // it answered with an error last
	head    atomic.Int64
	indexed atomic.Int64

	// Owned by judge.
	silent, writing, delivering, indexing still // for being ready
	writer, delivery                      still // for being alive
}

// New makes the watch of a hub that was just opened, so all is well.
func New(from Sources) *Watch {
	w := &Watch{from: from}
	w.report.Store(w.judge())
	return w
}

// Report is what was found last.
func (w *Watch) Report() *Report { return w.report.Load() }

// Run looks until ctx ends. What waits for the database has a goroutine of its own, so that the judge never does.
func (w *Watch) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { return each(ctx, w.read) })
	g.Go(func() error { return each(ctx, w.mend) })
	g.Go(func() error { return each(ctx, func(context.Context) { w.report.Store(w.judge()) }) })
	return g.Wait()
}

// each does something now and with every sample.
func each(ctx context.Context, do func(context.Context)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// read asks the database how far the log and its index go.
func (w *Watch) read(ctx context.Context) {
	head, indexed, err := w.from.Store.Progress(ctx)
	w.mute.Store(err != nil)
	if err != nil {
		return // the store has said so
	}
	w.head.Store(head)
	w.indexed.Store(indexed)
	w.answers.Add(1)
}

// mend finds out whether the database can be written again, so that a hub nobody sends to recovers, too.
func (w *Watch) mend(ctx context.Context) {
	if turn, failing := w.from.Store.Writing(); failing && turn%2 == 0 {
		_ = w.from.Store.Probe(ctx) // which remembers how it went
	}
}

// still counts the samples in which something that should have moved has not.
type still struct {
	mark    int64
	samples int
}

func (s *still) look(mark int64, should bool) int {
	if s.samples++; mark != s.mark || !should {
		s.mark, s.samples = mark, 0
	}
	return s.samples
}

// judge takes a sample of all parts.
func (w *Watch) judge() *Report {
	r := &Report{Status: OK, Parts: map[string]Part{}}
	database := w.database()
	r.say(Database, true, database)
	turn, failing := w.from.Store.Writing()
	busy := turn%2 == 1
	r.say(Writer, true, w.stores(turn, busy, failing))
	began, looked, position := w.from.Delivery()
	r.say(Delivery, true, w.delivers(looked+position))
	if err := w.from.Doorbell(); err != nil {
		r.say(Doorbell, false, models.Text(err))
	} else {
		r.say(Doorbell, false, "")
	}
	head, indexed := w.head.Load(), w.indexed.Load()
	r.Behind = max(0, head-indexed)
	r.say(Indexer, false, w.indexes(head, indexed))

	well := database == ""
	switch {
	case w.writer.look(turn, busy && well) >= stuck:
		r.Stuck = models.Errorf(models.Unavailable, "writer: at one write for %d s, although the database answers: restart the hub", w.writer.samples)
	case w.delivery.look(began+position, well) >= stuck:
		r.Stuck = models.Errorf(models.Unavailable, "delivery: at one look at the log for %d s, although the database answers: restart the hub", w.delivery.samples)
	}
	return r
}

// say notes what is wrong with a part; nothing if why is empty.
func (r *Report) say(part string, needed bool, why string) {
	r.Parts[part] = Part{OK: why == "", Needed: needed, Why: why}
	switch {
	case why == "":
	case !needed && r.Status == OK:
		r.Status = Degraded
	case needed && r.Error == nil:
		r.Status, r.Error = Unready, models.Errorf(models.Unavailable, "%s: %s", part, why)
	}
}

func (w *Watch) database() string {
	quiet := w.silent.look(w.answers.Load(), true)
	switch {
	case w.mute.Load():
		return "cannot be read: the hub's log says why"
	case quiet >= late:
		return fmt.Sprintf("has not answered for %d s", quiet)
	}
	return ""
}

func (w *Watch) stores(turn int64, busy, failing bool) string {
	at := w.writing.look(turn, busy)
	switch {
	case failing:
		return "the database cannot be written: the hub's log says why"
	case at >= late:
		return fmt.Sprintf("has been at one write for %d s", at)
	}
	return ""
}

// delivers takes a mark that moves with every look at the log that goes well, and in a long one with each page.
func (w *Watch) delivers(mark int64) string {
	if since := w.delivering.look(mark, true); since >= late {
		return fmt.Sprintf("the log was last looked at %d s ago", since)
	}
	return ""
}

func (w *Watch) indexes(head, indexed int64) string {
	stands := w.indexing.look(indexed, indexed < head)
	switch behind := head - indexed; {
	case behind > store.Scanned:
		return fmt.Sprintf("%d messages behind: searches miss the older of these", behind)
	case stands >= indexStuck:
		return fmt.Sprintf("stands still, %d messages behind: searches look through these one by one", behind)
	}
	return ""
}
