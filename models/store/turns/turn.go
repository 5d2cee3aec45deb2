package turns

import "time"

// patience is how long a writer waits for its turn. The turn is good manners only: what keeps writers
// apart is the database's own lock, so one that has waited long, for a process that is stopped
// perhaps, goes ahead without.
const patience = 2 * time.Second

// Turn lets the processes that write to one database do so in turn. Left to itself SQLite has each
// look now and then whether the lock is free: of four processes that write flat out one got 2% of the
// commits and waited for 3.2 s, with turns each gets a quarter and waits 0.14 s at worst.
//
// Who wants to write holds next while it waits for turn, so that whoever has just written finds next
// taken and stands behind.
type Turn struct {
	// Set by New, then constant.
	next, turn *lockFile
	patience   time.Duration

	mine  chan struct{} // full while a writer of this process has it; those who wait get it in the order in which they came
	stuck chan struct{} // owned by who has it; closed when a wait that was given up is over
}

// New returns the turn of the database at path.
func New(path string) *Turn {
	return &Turn{next: &lockFile{path: path + ".next"}, turn: &lockFile{path: path + ".turn"}, patience: patience, mine: make(chan struct{}, 1)}
}

// Take waits for this process's turn. Call done after writing.
func (t *Turn) Take() (done func()) {
	t.mine <- struct{}{}
	if !t.try() && !t.wait() {
		return func() { <-t.mine }
	}
	return func() {
		t.turn.unlock()
		<-t.mine
	}
}

// Close lets go of the files, when nobody writes any more. One for whose lock somebody still waits is left to him.
func (t *Turn) Close() {
	t.mine <- struct{}{}
	defer func() { <-t.mine }()
	if !t.stands() {
		t.next.close()
		t.turn.close()
	}
}

// stands says whether a wait that was given up is not over yet.
func (t *Turn) stands() bool {
	if t.stuck != nil {
		select {
		case <-t.stuck:
			t.stuck = nil
		default:
			return true
		}
	}
	return false
}

// try takes a turn that nobody else wants.
func (t *Turn) try() bool {
	if t.stuck != nil {
		return false
	}
	if !t.next.lock(false) {
		return false
	}
	defer t.next.unlock()
	return t.turn.lock(false)
}

// wait takes a turn, or gives it up for lost.
func (t *Turn) wait() bool {
	if t.stands() {
		return false
	}
	// Nothing can interrupt who waits for a file lock, so that is left to a goroutine.
	got, enough, over := make(chan bool), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		mine := t.lock()
		select {
		case got <- mine:
		case <-enough:
			t.turn.unlock()
		}
	}()
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	select {
	case mine := <-got:
		<-over
		return mine
	case <-timer.C:
		close(enough)
		t.stuck = over
		return false
	}
}

// lock waits in line. Where files cannot be locked there are no turns.
func (t *Turn) lock() bool {
	if !t.next.lock(true) {
		return false
	}
	defer t.next.unlock()
	return t.turn.lock(true)
}
