package faults

import (
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestDrain ends a server that a thousand listen to and eight send to.
func TestDrain(t *testing.T) {
	_, seed := chance(t)
	db := filepath.Join(t.TempDir(), "bus.db")
	s := newServer(t, crosstalk(t), db)
	s.start(t)
	var sockets []*socket
	for range 1000 {
		c, err := openSocket(s.at(), "channels=*", false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		sockets = append(sockets, c)
	}
	var listening sync.WaitGroup
	var failed firstOf
	for _, c := range sockets {
		listening.Go(func() {
			defer func() { _ = c.Close() }() // as the server waits for
			for {
				if _, err := c.next(); err != nil {
					if codeOf(err) != 1012 {
						failed.failf("a socket ended with %d: %w", codeOf(err), err)
					}
					return
				}
			}
		})
	}
	l := newLoad(t, seed, 8, s)
	l.start()
	eventually(t, 30*time.Second, "publishers publish", func() bool { return l.count() >= 100 || l.failed() != nil })
	if code, took := s.stop(t); code != 0 || took > 5*time.Second {
		t.Errorf("exit code %d after %s", code, took)
	} else {
		t.Logf("drained in %s", took)
	}
	listening.Wait()
	if err := failed.failed(); err != nil {
		t.Error(err)
	}
	acks := l.acks() // what is cut off after this is tried again below, and must not be stored twice
	whole(t, l, inFile(t, db), acks)

	s.start(t)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	stored := overREST(t, s)
	whole(t, l, stored, l.acks())
	only(t, stored, l.acks())
	s.lacksTrace(t)
}
