package faults

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// dozer follows the channel noise, falls asleep and wakes up. It counts, and keeps nothing.
type dozer struct {
	server *server

	firstOf
	last    atomic.Int64        // seq of the last message
	resumed atomic.Int64        // connections so far
	ended   atomic.Pointer[int] // code with which the last one ended
	asleep  atomic.Bool         // reads nothing while set
	halt    atomic.Bool
	live    atomic.Pointer[socket]
	done    chan struct{}

	// Owned by run.
	id int64 // of the last message
}

// doze connects one and returns once it has.
func doze(t *testing.T, s *server) *dozer {
	t.Helper()
	d := &dozer{server: s, done: make(chan struct{})}
	go d.run()
	t.Cleanup(func() { _ = d.stop() })
	eventually(t, 20*time.Second, "a dozer is connected", func() bool { return d.live.Load() != nil || d.failed() != nil })
	return d
}

func (d *dozer) stop() error {
	d.halt.Store(true)
	d.asleep.Store(false)
	if s := d.live.Load(); s != nil {
		_ = s.Close()
	}
	<-d.done
	return d.failed()
}

func (d *dozer) run() {
	defer close(d.done)
	for !d.halt.Load() && d.failed() == nil {
		// Little is buffered at this end, so that who does not read soon blocks who writes.
		s, err := openSocket(d.server.at(), fmt.Sprintf("channels=noise&after_id=%d", d.id), true)
		if err != nil {
			d.failf("dozer: %w", err)
			return
		}
		d.resumed.Add(1)
		d.live.Store(s)
		err = d.read(s)
		code := codeOf(err)
		d.ended.Store(&code)
		_ = s.Close()
	}
}

func (d *dozer) read(s *socket) error {
	for {
		for d.asleep.Load() {
			<-time.After(10 * time.Millisecond)
		}
		text, err := s.next()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(text, []byte(`{"type":"message"`)) {
			continue
		}
		if got, want := number(text, `"seq":`), d.last.Load()+1; got != want {
			d.failf("who slept was sent seq %d, not %d", got, want)
			return nil
		}
		d.id = number(text, `"id":`)
		d.last.Add(1)
	}
}
