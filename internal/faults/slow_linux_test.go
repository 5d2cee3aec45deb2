package faults

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	subscribers = 1000
	leastRounds = 30
	noiseSize   = 200 << 10
	noiseCount  = 200 // in each half: forty megabytes
	mostGrowth  = 24  // MiB; a queue for who does not read would hold them all
)

// TestOneStopsReading compares two halves of one run, in both of which the same is sent. A thousand subscribers follow one
// channel; two more follow another with large messages. In the first half those two read, in the second they do not.
func TestOneStopsReading(t *testing.T) {
	s := newServer(t, crosstalk(t), filepath.Join(memoryFolder(t), "bus.db"))
	s.start(t)
	r := assemble(t, s, subscribers)
	sleeper, napper := doze(t, s), doze(t, s)

	sockets := s.has(t, "socket:")

	awake := r.half(t, s)
	sleeper.asleep.Store(true)
	napper.asleep.Store(true)
	asleep := r.half(t, s)
	napper.asleep.Store(false) // some seconds later: it may find its connection or have to come back

	t.Logf("awake: %v; asleep: %v", awake, asleep)
	if limit := 3*awake.heard + 20*time.Millisecond; asleep.heard > limit {
		t.Errorf("until all others had a message it took %s, and %s with one asleep", awake.heard, asleep.heard)
	}
	if limit := 3*awake.worst + 2*time.Second; asleep.worst > limit {
		t.Errorf("at worst it took %s until all others had a message, and %s with one asleep", awake.worst, asleep.worst)
	}
	if limit := 3*awake.stored + 20*time.Millisecond; asleep.stored > limit {
		t.Errorf("until a message was stored it took %s, and %s with one asleep", awake.stored, asleep.stored)
	}
	if limit := 3*awake.noise + time.Second; asleep.noise > limit {
		t.Errorf("the large messages took %s, and %s with one asleep", awake.noise, asleep.noise)
	}
	if asleep.memory > awake.memory+mostGrowth {
		t.Errorf("at most the server had %d MiB, and %d MiB with one asleep", awake.memory, asleep.memory)
	}
	eventually(t, 30*time.Second, "the server gives up who sleeps on", func() bool { return s.has(t, "socket:") < sockets })
	sleeper.asleep.Store(false)
	for _, d := range []*dozer{napper, sleeper} {
		eventually(t, 30*time.Second, "who slept has read everything", func() bool { return d.last.Load() == 2*noiseCount || d.failed() != nil })
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}
	if n := sleeper.resumed.Load(); n != 2 {
		t.Errorf("who slept on was connected %d times, not twice", n)
	}
	if c := sleeper.ended.Load(); c == nil || *c != 4008 && *c != 1006 {
		t.Error("who slept on was not told that it was too slow")
	}
	r.stop(t)
	s.lacksTrace(t)
}

// figures are of one half.
type figures struct {
	stored, heard time.Duration // medians, of one message
	worst         time.Duration // until all heard one
	noise         time.Duration // for all large messages together
	memory        int           // MiB that the server had at most
}

func (f figures) String() string {
	return fmt.Sprintf("stored in %s, heard in %s, at worst %s, large ones in %s, %d MiB", f.stored, f.heard, f.worst, f.noise, f.memory)
}

// crowd is subscribers that count.
type crowd struct {
	sockets []*socket
	working sync.WaitGroup
	over    atomic.Bool
	firstOf

	heard atomic.Int64 // how many have it
	all   chan struct{}
}

// assemble connects a crowd to the channel crowd.
func assemble(t *testing.T, s *server, size int) *crowd {
	t.Helper()
	c := &crowd{all: make(chan struct{}, 1)}
	for range size {
		socket, err := openSocket(s.at(), "channels=crowd", false)
		if err != nil {
			t.Fatal(err)
		}
		c.sockets = append(c.sockets, socket)
		c.working.Go(func() { c.listen(socket) })
	}
	t.Cleanup(func() { c.stop(t) })
	return c
}

func (c *crowd) listen(s *socket) {
	for want := int64(1); ; {
		text, err := s.next()
		if err != nil {
			if !c.over.Load() {
				c.failf("a socket of the crowd ended: %w", err)
			}
			return
		}
		if !bytes.HasPrefix(text, []byte(`{"type":"message"`)) {
			continue
		}
		if got := number(text, `"seq":`); got != want {
			c.failf("a socket of the crowd was sent seq %d, not %d", got, want)
		}
		want++
		if c.heard.Add(1) == int64(len(c.sockets)) {
			c.all <- struct{}{}
		}
	}
}

// number reads the number behind a name in JSON.
func number(text []byte, name string) int64 {
	_, behind, _ := bytes.Cut(text, []byte(name))
	end := bytes.IndexAny(behind, ",}")
	n, err := strconv.ParseInt(string(behind[:max(end, 0)]), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// half sends large messages to one channel, and meanwhile messages to the crowd, each once all have the one before.
func (c *crowd) half(t *testing.T, s *server) (f figures) {
	t.Helper()
	// From here on the kernel counts anew what the process has at most.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.pid()), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	noise, quiet := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(quiet)
		begun := time.Now()
		noise <- makeNoise(client, s)
		f.noise = time.Since(begun)
	}()
	pace := time.NewTicker(30 * time.Millisecond)
	defer pace.Stop()
	var stored, heard []time.Duration
	for loud := true; loud || len(heard) < leastRounds; {
		c.heard.Store(0)
		begun := time.Now()
		if err := post(client, s, "crowd", "hello"); err != nil {
			t.Fatal(err)
		}
		stored = append(stored, time.Since(begun))
		select {
		case <-c.all:
		case <-time.After(20 * time.Second):
			t.Fatalf("only %d of the crowd have the message: %v", c.heard.Load(), c.failed())
		}
		heard = append(heard, time.Since(begun))
		select {
		case <-quiet:
			loud = false
		case <-pace.C:
		}
	}
	if err := <-noise; err != nil {
		t.Fatal(err)
	}
	f.stored, f.heard, f.worst, f.memory = median(stored), median(heard), slices.Max(heard), s.memory(t, "VmHWM")
	return f
}

func makeNoise(c *http.Client, s *server) error {
	body := message("noise", strings.Repeat("n", noiseSize))
	for range noiseCount {
		if err := send(c, s, body); err != nil {
			return err
		}
	}
	return nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func (c *crowd) stop(t *testing.T) {
	t.Helper()
	c.over.Store(true)
	for _, s := range c.sockets {
		_ = s.Close()
	}
	c.working.Wait()
	if err := c.failed(); err != nil {
		t.Error(err)
	}
}

// post stores one message.
func post(c *http.Client, s *server, channel, content string) error {
	return send(c, s, message(channel, content))
}

func message(channel, content string) string {
	return fmt.Sprintf(`{"channel":%q,"sender":"tester","content":%q}`, channel, content)
}

func send(c *http.Client, s *server, body string) error {
	res, err := c.Post("http://"+s.at()+"/api/messages", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s", res.Status, text.Bytes())
	}
	return nil
}
