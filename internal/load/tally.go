package load

import (
	"bytes"
	"strconv"
	"sync"
	"time"
)

// tally is what one listener or waiter has seen of the messages to its channel.
type tally struct {
	// Set by newTally, then constant.
	run     *run
	channel int
	mark    []byte
	late    *histogram

	// Guarded by mu, for the count at the end.
	mu         sync.Mutex
	last       map[int]int64          // publisher -> the newest
	absent     map[int]map[int64]bool // passed over so far
	repeated   int64
	outOfOrder int64
}

func (r *run) newTally(ch int, late *histogram) *tally {
	return &tally{run: r, channel: ch, mark: []byte(r.mark()), late: late, last: map[int]int64{}, absent: map[int]map[int64]bool{}}
}

// scan counts the messages in what came over the wire.
func (t *tally) scan(p []byte) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		i := bytes.Index(p, t.mark)
		if i < 0 {
			return
		}
		p = p[i+len(t.mark):]
		end := bytes.IndexByte(p, ';')
		if end < 0 {
			return
		}
		publisher, rest, _ := bytes.Cut(p[:end], []byte("."))
		seq, nanos, _ := bytes.Cut(rest, []byte("."))
		number, err1 := strconv.Atoi(string(publisher))
		n, err2 := strconv.ParseInt(string(seq), 10, 64)
		at, err3 := strconv.ParseInt(string(nanos), 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			continue // somebody quotes us
		}
		if t.meet(number, n) && at >= t.run.began.Load() {
			t.run.delivered.Add(1)
			t.late.add(now.Sub(time.Unix(0, at)))
		}
		p = p[end:]
	}
}

// meet notes one message; false: it was here before.
func (t *tally) meet(publisher int, seq int64) bool {
	last := t.last[publisher]
	switch {
	case seq > last:
		for missing := last + 1; missing < seq; missing++ {
			if t.absent[publisher] == nil {
				t.absent[publisher] = map[int64]bool{}
			}
			t.absent[publisher][missing] = true
		}
		t.last[publisher] = seq
		return true
	case t.absent[publisher][seq]:
		delete(t.absent[publisher], seq)
		t.outOfOrder++
		return true
	}
	t.repeated++
	return false
}

// lost counts what never came of what a publisher said in the channel.
func (t *tally) lost(said *talk) (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for seq := range t.absent[said.publisher] {
		if !said.unsure[seq] {
			n++
		}
	}
	for seq := t.last[said.publisher] + 1; seq <= said.seq; seq++ {
		if !said.unsure[seq] {
			n++
		}
	}
	return n
}
