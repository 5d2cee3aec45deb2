package health

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"crosstalk/models"
	"crosstalk/models/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is a hub as far as a Watch can see it.
type patient struct {
	*Watch
	store *store.Store

	mu sync.Mutex
	// Guarded by mu.
	began, ended, position int64
	bell                   error
	frozen                 bool // its delivery
}

// delivery is what the Watch sees of it.
func (p *patient) delivery() (int64, int64, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.frozen {
		p.began, p.ended = p.began+1, p.ended+1
	}
	return p.began, p.ended, p.position
}

func (p *patient) doorbell() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bell
}

// is changes what the Watch sees.
func (p *patient) is(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
}

// watched runs a test with a Watch on a store of its own, in a bubble.
func watched(t *testing.T, test func(t *testing.T, p *patient)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
		if err != nil {
			t.Fatal(err)
		}
		p := &patient{store: st}
		p.Watch = New(Sources{Store: st, Doorbell: p.doorbell, Delivery: p.delivery})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		test(t, p)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// after lets time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wants holds what is said against what is wrong: a part and some of what is said of it.
func (p *patient) wants(t *testing.T, status string, wrong map[string]string) {
	t.Helper()
	r := p.Report()
	if r.Status != status || (r.Error != nil) != (status == Unready) {
		t.Errorf("it is %s (%v), want %s", r.Status, r.Error, status)
	}
	if len(r.Parts) != 5 {
		t.Errorf("%d parts", len(r.Parts))
	}
	for name, part := range r.Parts {
		why := wrong[name]
		if part.OK != (why == "") || !strings.Contains(part.Why, why) || part.OK != (part.Why == "") {
			t.Errorf("%s is %+v, want %q", name, part, why)
		}
	}
}

func (p *patient) wantsAlive(t *testing.T, alive bool) {
	t.Helper()
	if err := p.Report().Stuck; (err == nil) != alive {
		t.Errorf("a restart would help: %v, want alive: %v", err, alive)
	}
}

func (p *patient) exec(t *testing.T, statement string) {
	t.Helper()
	if err := p.store.Transact(t.Context(), func(tx *gorm.DB) error { return tx.Exec(statement).Error }); err != nil {
		t.Fatal(err)
	}
}

func (p *patient) post(ctx context.Context) error {
	d := models.Draft{Channel: "room", Sender: "alice", Kind: models.KindAgent, Type: models.TypeMessage, Content: "hi"}
	_, err := p.store.Append(ctx, store.Append{Draft: d, Principal: models.SharedPrincipal})
	return err
}

func TestAHubIsWellFromTheBeginning(t *testing.T) {
	watched(t, func(t *testing.T, p *patient) {
		p.wants(t, OK, nil)
		if err := p.post(t.Context()); err != nil {
			t.Fatal(err)
		}
		after(4 * time.Minute)
		p.wants(t, OK, nil)
		p.wantsAlive(t, true)
	})
}

func TestWithoutItsDatabaseItIsUnreadyAndAlive(t *testing.T) {
	watched(t, func(t *testing.T, p *patient) {
		p.exec(t, "ALTER TABLE bus RENAME TO hidden")
		after(2 * time.Second)
		p.wants(t, Unready, map[string]string{Database: "cannot be read"})
		after(4 * time.Minute)
		p.wants(t, Unready, map[string]string{Database: "cannot be read"})
		p.wantsAlive(t, true)
		p.exec(t, "ALTER TABLE hidden RENAME TO bus")
		after(2 * time.Second)
		p.wants(t, OK, nil)
	})
}

// TestItRecoversThoughNobodySends: a hub that nobody is sent to, since it is not ready, finds out by itself that it is.
func TestItRecoversThoughNobodySends(t *testing.T) {
	watched(t, func(t *testing.T, p *patient) {
		p.exec(t, "CREATE TRIGGER broken BEFORE UPDATE ON bus BEGIN SELECT RAISE(ABORT, 'broken'); END")
		if err := p.post(t.Context()); models.CodeOf(err) != models.Unavailable {
			t.Fatal(err)
		}
		after(4 * time.Minute)
		p.wants(t, Unready, map[string]string{Writer: "cannot be written"})
		p.wantsAlive(t, true)
		p.exec(t, "DROP TRIGGER broken")
		after(2 * time.Second)
		p.wants(t, OK, nil)
	})
}

func TestAWriteWithoutEndIsUnreadyAndThenDead(t *testing.T) {
	watched(t, func(t *testing.T, p *patient) {
		gate := make(chan struct{})
		p.store.OnCommit(func([]models.Message) { <-gate })
		stored := make(chan error, 1)
		go func() { stored <- p.post(t.Context()) }()
		after(4 * time.Second)
		p.wants(t, OK, nil) // a disk may be slow for a while
		after(3 * time.Second)
		p.wants(t, Unready, map[string]string{Writer: "at one write"})
		after(100 * time.Second)
		p.wantsAlive(t, true)
		after(30 * time.Second)
		p.wantsAlive(t, false)
		close(gate)
		if err := <-stored; err != nil {
			t.Error(err)
		}
		after(2 * time.Second)
		p.wants(t, OK, nil)
		p.wantsAlive(t, true)
	})
}

// TestNoRestartBringsADatabaseBack has a write hang while the database is away.
func TestNoRestartBringsADatabaseBack(t *testing.T) {
	watched(t, func(t *testing.T, p *patient) {
		gate := make(chan struct{})
		p.store.OnCommit(func([]models.Message) { <-gate })
		stored := make(chan error, 1)
		go func() { stored <- p.post(t.Context()) }()
		after(time.Second)
		p.is(func() { p.frozen = true }) // which waits for the database, too
		p.exec(t, "ALTER TABLE bus RENAME TO hidden")
		after(4 * time.Minute)
		p.wants(t, Unready, map[string]string{Database: "cannot be read", Writer: "at one write", Delivery: "s ago"})
		p.wantsAlive(t, true)
		p.exec(t, "ALTER TABLE hidden RENAME TO bus")
		after(100 * time.Second)
		p.wantsAlive(t, true) // it has its time from here on
		after(30 * time.Second)
		p.wantsAlive(t, false)
		close(gate)
		if err := <-stored; err != nil {
			t.Error(err)
		}
	})
}

func TestDeliveryThatStandsIsUnreadyAndThenDead(t *testing.T) {
	watched(t, func(t *testing.T, p *patient) {
		after(time.Minute)
		p.is(func() { p.frozen = true })
		after(7 * time.Second)
		p.wants(t, Unready, map[string]string{Delivery: "s ago"})
		p.wantsAlive(t, true)
		for range 130 { // a look that is long, because there is much to deliver
			p.is(func() { p.position += 500 })
			after(time.Second)
		}
		p.wants(t, OK, nil)
		p.wantsAlive(t, true)
		for range 130 { // looks that fail: a restart would not help
			p.is(func() { p.began++ })
			after(time.Second)
		}
		p.wants(t, Unready, map[string]string{Delivery: "s ago"})
		p.wantsAlive(t, true)
		after(130 * time.Second)
		p.wantsAlive(t, false)
		p.is(func() { p.frozen = false })
		after(2 * time.Second)
		p.wants(t, OK, nil)
		p.wantsAlive(t, true)
	})
}

func TestWithoutItsBellItIsDegraded(t *testing.T) {
	watched(t, func(t *testing.T, p *patient) {
		p.is(func() { p.bell = models.Errorf(models.Unavailable, "nobody is heard") })
		after(2 * time.Second)
		p.wants(t, Degraded, map[string]string{Doorbell: "nobody is heard"})
		p.is(func() { p.bell = errors.New("dial postgres://alice:secret@db: refused") })
		after(2 * time.Second)
		if why := p.Report().Parts[Doorbell].Why; strings.Contains(why, "postgres") {
			t.Errorf("whoever asks is told %q", why)
		}
		p.is(func() { p.bell = nil })
		after(2 * time.Second)
		p.wants(t, OK, nil)
	})
}

func TestAnIndexThatStandsIsDegraded(t *testing.T) {
	watched(t, func(t *testing.T, p *patient) {
		p.exec(t, "CREATE TRIGGER broken BEFORE UPDATE OF indexed_id ON bus BEGIN SELECT RAISE(ABORT, 'broken'); END")
		if err := p.post(t.Context()); err != nil {
			t.Fatal(err)
		}
		after(20 * time.Second)
		if part := p.Report().Parts[Indexer]; !part.OK {
			t.Errorf("after 20 s it is %+v", part)
		}
		after(20 * time.Second)
		if part := p.Report().Parts[Indexer]; part.OK || part.Needed || !strings.Contains(part.Why, "1 messages behind") {
			t.Errorf("it is %+v", part)
		}
		if n := p.Report().Behind; n != 1 {
			t.Errorf("%d messages are said to be missing", n)
		}
		p.exec(t, "DROP TRIGGER broken")
		after(20 * time.Second)
		p.wants(t, OK, nil)
		if n := p.Report().Behind; n != 0 {
			t.Errorf("%d messages are still said to be missing", n)
		}
		p.exec(t, "UPDATE bus SET last_id = last_id + 20001") // and no message with these ids, which the index could take
		after(2 * time.Second)
		p.wants(t, Degraded, map[string]string{Indexer: "20001 messages behind"})
	})
}

// TestTimeAsleepDoesNotCount takes two samples with an hour in between, as on a machine that slept.
func TestTimeAsleepDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
		if err != nil {
			t.Fatal(err)
		}
		w := New(Sources{Store: st, Doorbell: func() error { return nil }, Delivery: func() (int64, int64, int64) { return 1, 1, 1 }})
		time.Sleep(time.Hour)
		if r := w.judge(); r.Status != OK || r.Stuck != nil {
			t.Errorf("%+v", r)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAskingCostsNothing(t *testing.T) {
	watched(t, func(t *testing.T, p *patient) {
		if n := testing.AllocsPerRun(1000, func() { p.Report() }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
