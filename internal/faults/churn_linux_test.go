package faults

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	visits   = 10_000
	visitors = 24 // at once
)

// TestChurn has clients come and go, in all the ways they can. What the server holds after the last third is compared with
// what it held after the second: by then all that it keeps for good is there.
func TestChurn(t *testing.T) {
	s := newServer(t, crosstalk(t), filepath.Join(memoryFolder(t), "bus.db"), "--pprof", "127.0.0.1:0")
	s.start(t)
	well(t, s)
	levels := []level{s.level(t)}
	for range 3 {
		churn(t, s, visits/3+1)
		levels = append(levels, s.settles(t, levels[0], 8))
	}
	t.Log(levels)
	second, third := levels[2], levels[3]
	if third.goroutines > second.goroutines+4 || third.descriptors > second.descriptors+4 {
		t.Errorf("goroutines or descriptors are left behind: %v", levels)
	}
	if third.heap > second.heap+512 {
		t.Errorf("the heap grows by %d bytes with each visit: %v", (third.heap-second.heap)<<10/(visits/3), levels)
	}
	if third.memory > second.memory+16 {
		t.Errorf("the memory grows: %v", levels)
	}
	well(t, s)
	s.lacksTrace(t)
}

func churn(t *testing.T, s *server, n int) {
	t.Helper()
	var failed firstOf
	var next atomic.Int64
	var working sync.WaitGroup
	for range visitors {
		working.Go(func() {
			for i := next.Add(1); i <= int64(n) && failed.failed() == nil; i = next.Add(1) {
				if err := visit(s, int(i)); err != nil {
					failed.failf("visit %d: %w", i, err)
				}
			}
		})
	}
	working.Wait()
	if err := failed.failed(); err != nil {
		t.Fatal(err)
	}
}

// visit comes and goes in one of several ways.
func visit(s *server, i int) error {
	query := fmt.Sprintf("channels=churn,churn-%d&instance_id=visitor-%d&presence=1", i%50, i%50)
	switch i % 7 {
	case 0: // leaves in order
		c, err := openSocket(s.at(), query, false)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if err := c.send(opClose, []byte("\x03\xe8bye")); err != nil {
			return err
		}
		for err == nil {
			_, err = c.next()
		}
		if codeOf(err) != 1000 {
			return err
		}
	case 1: // leaves without a word
		c, err := openSocket(s.at(), query, false)
		if err != nil {
			return err
		}
		return c.Close()
	case 2: // is torn away, in the middle of a frame
		c, err := openSocket(s.at(), query, false)
		if err != nil {
			return err
		}
		_, err = c.Write([]byte("\x81\xfe\x01"))
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
		return err
	case 3: // subscribes, hears itself speak, goes
		c, err := openSocket(s.at(), "", false)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_ = c.send(opText, []byte(`{"type":"subscribe","id":1,"channel":"churn"}`))
		_ = c.send(opText, []byte(`{"type":"publish","id":2,"channel":"churn","sender":"visitor","content":"hello"}`))
		for range 4 { // welcome, subscribed, and the message and published in any order
			if _, err := c.next(); err != nil {
				return err
			}
		}
	case 4:
		return get(s, "/api/stream?channels=churn&after_id=0", 100)
	case 5:
		return get(s, "/api/messages/churn?limit=1", 100)
	case 6: // hangs up in the middle of a head
		c, err := net.DialTimeout("tcp", s.at(), 10*time.Second)
		if err != nil {
			return err
		}
		_, err = io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: loc")
		_ = c.Close()
		return err
	}
	return nil
}

// get reads the first bytes of an answer and hangs up.
func get(s *server, path string, n int) error {
	addr := s.at()
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, res.Status)
	}
	_, err = io.ReadFull(res.Body, make([]byte, n))
	return err
}
