package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"crosstalk/models"
	"crosstalk/models/meter"
	"crosstalk/models/store/gather"
	"crosstalk/models/store/ledger"
	"crosstalk/models/store/postgres"
	"crosstalk/models/store/sqlite"
	"crosstalk/models/store/together"
)

// Options are the settings of a Store.
type Options struct {
	Path        string // of the SQLite file
	URL         string // of the PostgreSQL database, which goes before
	Connections int    // to that one at most; 0: Connections
	Log         *slog.Logger

	// What is kept in channels that do not say themselves.
	Keep         time.Duration // messages older than this are removed; 0: of any age
	KeepMessages int64         // of the bus, the newest; 0: any number
}

// Connections is how many connections a process makes to PostgreSQL: hosts that rent out databases give few.
const Connections = 5

// MinConnections is how few will do.
const MinConnections = postgres.MinConnections

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	// Set by Open, then constant.
	opt   Options
	busID string
	node  string // this process
	young int64  // so many of the newest messages are searched for any piece of text
	db    engine
	words words
	file  *sqlite.DB // nil on PostgreSQL

	queue     *gather.Queue[*pending]
	pendings  sync.Pool
	small     *together.Group[*gorm.DB]
	meter     meter.Store
	committed func([]models.Message)
	turn      atomic.Int64 // the writer's; odd during a write
	failing   atomic.Bool  // the last write failed
	blind     atomic.Bool  // the last read did
	wrote     atomic.Bool  // something was appended that the tender has not seen
	retain    atomic.Bool  // what is to be kept has changed
	seen      participants // owned by the writer
	fresh     fresh

	// Guarded by mu.
	mu     sync.Mutex
	closed bool

	appends sync.WaitGroup // appends that have not been answered
	stop    context.CancelFunc
	running sync.WaitGroup // the writer and the tender
}

// Version is what is known of a database's tables.
type Version struct {
	Has, Known int
	Pending    []string // that Open would add
}

// VersionOf looks at a database and changes nothing.
func VersionOf(ctx context.Context, opt Options) (v Version, err error) {
	var known []string
	if opt.URL != "" {
		v.Has, known, err = postgres.Status(ctx, opt.URL)
	} else {
		v.Has, known, err = sqlite.Status(ctx, opt.Path)
	}
	v.Known = len(known)
	v.Pending = known[min(v.Has, v.Known):]
	return v, err
}

// engine is what each database does in its own way.
type engine interface {
	// Append adds to the log what plan makes of where it ends. It returns when that is on disk. When a transaction
	// comes to nothing it may begin anew, and ask plan again.
	Append(ask ledger.Ask, plan func(ledger.Head) *ledger.Batch) error
	// Transact runs fn in a transaction beside which no other one of Transact's runs.
	Transact(ctx context.Context, fn func(tx *gorm.DB) error) error
	// Reader sees what is committed. It does not heed ctx's end.
	Reader(ctx context.Context) *gorm.DB
	// Tend elects, round by round, the process that tends a database shared by several. done is nil for the others.
	Tend(ctx context.Context) (done func() error, err error)
	Close() error
}

// words is a database's way to search.
type words interface {
	// Contains says that a column has a text in it, in which a to z stand for A to Z too, and no other letter for another.
	Contains(column, text string) clause.Expr
	// InChannel is what orders the messages of one channel: their ids, in words that its index has and no other.
	InChannel() string
	// Index takes in what comes next, unless another process has done so since.
	Index(ctx context.Context, h *ledger.Harvest) error
	RemoveWords(tx *gorm.DB, ids []int64) error
	// WithWords may leave out messages up to after: the caller knows that there are none.
	WithWords(tx *gorm.DB, words []string, after int64, limit int) *gorm.DB
}

// openRetry is how long an opening process waits between looks at a lock that another one holds.
const openRetry = 5 * time.Millisecond

// Open opens or creates the database, brings its tables up to date and starts the writer.
// Nothing is delivered before OnCommit; call it before the first Append.
func Open(ctx context.Context, opt Options) (*Store, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{opt: opt, committed: func([]models.Message) {}, node: rand.Text(), young: Scanned}
	s.queue = gather.New(maxQueue, maxBatch, maxBatchBytes, func(p *pending) int { return len(p.Content) })
	s.small = together.New(s.Transact)
	s.pendings.New = func() any { return &pending{done: make(chan struct{}, 1)} }
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.Reader(ctx).Table("bus").Select("bus_id").Scan(&s.busID).Error; err != nil {
		_ = s.db.Close()
		return nil, fmt.Errorf("read the bus: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.running.Go(func() { s.writeLoop(run) })
	s.running.Go(func() { s.tendLoop(run) })
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if s.opt.URL == "" {
		return s.openFile(ctx)
	}
	db, err := postgres.Open(ctx, postgres.Options{URL: s.opt.URL, Node: s.node, Connections: cmp.Or(s.opt.Connections, Connections)})
	if err != nil {
		return err
	}
	s.db, s.words = db, db
	return nil
}

// openFile opens the database while no other process does.
func (s *Store) openFile(ctx context.Context) (err error) {
	lock := sqlite.Lock(s.opt.Path)
	if err := sqlite.MakeFolder(s.opt.Path); err != nil {
		return err
	}
	if _, err := lock.TryLockContext(ctx, openRetry); err != nil {
		return fmt.Errorf("lock the database: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	db, err := sqlite.Open(ctx, s.opt.Path)
	if err != nil {
		return err
	}
	s.db, s.words, s.file = db, db, db
	return nil
}

// OnCommit has fn told of every batch this process committed, in commit order, before its senders
// are answered. fn must not call the Store and must not keep the slice.
func (s *Store) OnCommit(fn func([]models.Message)) { s.committed = fn }

// BusID names this database; it changes when the database is replaced.
func (s *Store) BusID() string { return s.busID }

// Meter is what is counted here.
func (s *Store) Meter() *meter.Store { return &s.meter }

// Queued is how many appends wait for the writer.
func (s *Store) Queued() int { return s.queue.Len() }

// Works says whether the last read and the last write went well.
func (s *Store) Works() (reads, writes bool) { return !s.blind.Load(), !s.failing.Load() }

// Database names what kind of database it is.
func (s *Store) Database() string {
	if s.opt.URL != "" {
		return "postgresql"
	}
	return "sqlite"
}

// Close answers all appends that were accepted, then closes the database.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.appends.Wait()
	s.stop()
	s.running.Wait()
	return s.db.Close()
}

// Writing says at which write the writer is, and whether the last write failed. The number is odd during a write. It
// asks no database.
func (s *Store) Writing() (turn int64, failing bool) { return s.turn.Load(), s.failing.Load() }

// Probe finds out whether the database can be written, and remembers it. It changes a row and changes it back: what it
// takes to store anything. Of an update that leaves a row as it was SQLite writes nothing, so that it would not see a full disk.
func (s *Store) Probe(ctx context.Context) error {
	err := s.Transact(ctx, func(tx *gorm.DB) error {
		for _, by := range []int{1, -1} {
			if err := tx.Exec("UPDATE bus SET last_at = last_at + ?", by).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.writing(nil)
}

// Moved says whether the database's file was removed or another one put in its place while it was open: nobody else sees what is
// stored in it then.
func (s *Store) Moved() error {
	if s.file == nil {
		return nil
	}
	return s.file.Moved()
}

// Head returns the id of the newest message.
func (s *Store) Head(ctx context.Context) (int64, error) {
	var head int64
	err := s.Reader(ctx).ConnPool.QueryRowContext(context.WithoutCancel(ctx), "SELECT last_id FROM bus").Scan(&head)
	return head, s.reading(err)
}

// Progress returns the id of the newest message, and of the newest that the search index has.
func (s *Store) Progress(ctx context.Context) (head, indexed int64, err error) {
	err = s.Reader(ctx).ConnPool.QueryRowContext(context.WithoutCancel(ctx), "SELECT last_id, indexed_id FROM bus").Scan(&head, &indexed)
	return head, indexed, s.reading(err)
}

// reading turns what the database says into an Error for the caller.
func (s *Store) reading(err error) error {
	if err == nil {
		if s.blind.Load() && s.blind.Swap(false) {
			s.opt.Log.Info("database can be read again")
		}
		return nil
	}
	if told(err) {
		return err
	}
	if !s.blind.Swap(true) {
		s.opt.Log.Error("database cannot be read", "error", err)
	}
	return &unavailable{cause: err, text: "the message store cannot be read now: try again"}
}

// writing does so for writes, and remembers how the last one went.
func (s *Store) writing(err error) error {
	if err == nil {
		if s.failing.Swap(false) {
			s.opt.Log.Info("database can be written again")
		}
		return nil
	}
	if told(err) {
		return err
	}
	if !s.failing.Swap(true) {
		s.opt.Log.Error("database cannot be written", "error", err)
	}
	if errors.Is(err, ledger.ErrUnknown) {
		return &unavailable{cause: err, text: "the connection to the message store was lost, and it is not known whether this was stored: send it again with the same idempotency_key, or look first"}
	}
	return &unavailable{cause: err, text: "the message store cannot write now: nothing was stored, try again"}
}

// told says that err is fit for the caller as it is.
func told(err error) bool {
	_, ok := errors.AsType[*models.Error](err)
	return ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// unavailable keeps the database's own words for the log and gives the caller ours.
type unavailable struct {
	cause error
	text  string
}

func (u *unavailable) Error() string { return u.cause.Error() }
func (u *unavailable) Unwrap() error { return &models.Error{Code: models.Unavailable, Message: u.text} }

// Reader reads what is committed. It does not heed ctx's end: every statement here is bounded.
func (s *Store) Reader(ctx context.Context) *gorm.DB { return s.db.Reader(ctx) }

// Transact runs fn in a transaction that holds the write lock: whatever else goes through here waits. fn may be run
// again, so that it must set what it finds out and not add to it. Its success does not show that the database can be
// written: fn may have found nothing to do.
func (s *Store) Transact(ctx context.Context, fn func(tx *gorm.DB) error) error {
	if err := s.db.Transact(ctx, fn); err != nil {
		return s.writing(err)
	}
	return nil
}

// together is Transact for what takes no time but that of its transaction: those who come at once share one. With a
// transaction each, 10,000 clients that came back and said who they are took half a minute.
func (s *Store) together(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return s.small.Do(ctx, fn)
}

// lockLog locks the row that every append locks: those under way end first, others wait. Whoever changes what appends
// change does this first, so that no two wait for each other.
func lockLog(tx *gorm.DB) error { return tx.Exec("UPDATE bus SET last_at = last_at").Error }
