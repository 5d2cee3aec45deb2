package imports

import (
	"context"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
	"crosstalk/models/store"
)

// Options say how to import.
type Options struct {
	OnlyFirst bool                  // do nothing where there are messages already
	Tell      func(done, all int64) // told of how many messages have been looked at, now and then; may be nil
}

// CrossClaude takes over what is in from and not in into. It holds into's write lock from beginning to end, so that
// senders wait meanwhile (30 us a message). Where into has messages of its own under ids that messages of from
// have, too, nothing is taken over: the error says which.
func CrossClaude(ctx context.Context, into *store.Store, from *Source, o Options) (Report, error) {
	var report Report
	all, err := from.count(ctx, "messages")
	if err != nil {
		return report, from.unreadable(ctx, "messages", err)
	}
	if o.Tell == nil {
		o.Tell = func(int64, int64) {}
	}
	err = into.Transact(ctx, func(tx *gorm.DB) error {
		report = Report{}
		w := &work{
			ctx: ctx, tx: tx, from: from, report: &report, now: models.TimeOf(time.Now()),
			tell:     func(done int64) { o.Tell(done, all) },
			channels: map[string]*channel{}, replies: map[int64]int64{}, keys: map[string]bool{},
		}
		if err := w.begin(); err != nil {
			return err
		}
		if o.OnlyFirst && w.begun > 0 {
			return nil
		}
		return w.do()
	})
	if err != nil {
		report = Report{} // nothing of it came to be
	}
	return report, err
}

// work is one import, within one transaction of the store.
type work struct {
	// Set by CrossClaude, then constant.
	ctx  context.Context
	tx   *gorm.DB
	from *Source
	now  models.Time
	tell func(done int64)

	report   *Report
	begun    int64       // head of the log before
	pruned   int64       // what retention has removed here
	last     models.Time // of the newest message
	batch    []models.Message
	bytes    int
	channels map[string]*channel // that messages were added to
	replies  map[int64]int64     // by parent
	keys     map[string]bool     // of shared data that was added
	ours     []models.Message    // what is here, from the last id compared on
	oursEnd  bool                // and beyond there is nothing
}

// begin takes the lock that orders all appends.
func (w *work) begin() error {
	if err := w.tx.Exec("UPDATE bus SET last_id = last_id").Error; err != nil {
		return err
	}
	var bus struct {
		LastID, PrunedID int64
		LastAt           models.Time
	}
	err := w.tx.Table("bus").Select("last_id", "pruned_id", "last_at").Scan(&bus).Error
	w.begun, w.pruned, w.last = bus.LastID, bus.PrunedID, bus.LastAt
	return err
}

func (w *work) do() error {
	for _, step := range []func() error{
		w.takeMessages, w.countReplies, w.noteChannels, w.advance,
		w.takeChannels, w.takeInstances, w.takeData, w.takePositions,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := w.from.still(); err != nil {
		return models.Errorf(models.Unavailable, "%v", err)
	}
	return nil
}

// mend runs fn with a mender whose notes count if fn says that something was added.
func (w *work) mend(fn func(m *mender) (added bool, err error)) error {
	var notes Report
	added, err := fn(&mender{report: &notes})
	if !added || err != nil {
		return err
	}
	for _, n := range notes.Notes {
		w.report.merge(n)
	}
	return nil
}

// merge adds a note.
func (r *Report) merge(n Note) {
	for i := range r.Notes {
		if r.Notes[i].What == n.What {
			r.Notes[i].Count += n.Count
			return
		}
	}
	r.Notes = append(r.Notes, n)
}
