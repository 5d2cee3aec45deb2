package ws

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
)

// only returns the one connection that there is.
func (h *house) only() *conn {
	h.t.Helper()
	conns := h.srv.all()
	if len(conns) != 1 {
		h.t.Fatalf("%d connections", len(conns))
	}
	return conns[0]
}

func TestNoWakeUpIsLost(t *testing.T) {
	h := newHouse(t, auth.Config{})
	p := h.connect("/ws")
	p.read("welcome")
	c := h.only()
	const senders = 4
	var ready, done sync.WaitGroup
	for round := range 3000 {
		ready.Add(1)
		for range senders {
			done.Go(func() {
				ready.Wait()
				c.send(appendPong(nil, fmt.Append(nil, round)))
			})
		}
		ready.Done()
		done.Wait()
		for range senders { // the last one comes only if somebody looked after it was sent
			if m := p.read("pong"); string(m.ID) != fmt.Sprint(round) {
				t.Fatalf("round %d: %s", round, m.ID)
			}
		}
	}
	eventually(t, "nobody's turn any more", func() bool { return c.turn.Load() == idle })
}

func TestOneTurnWritesOneBatch(t *testing.T) {
	h := newHouse(t, auth.Config{})
	c := h.loose("a")
	st, err := c.open(t.Context(), []string{"b"}, models.Int{}, "")
	if err != nil {
		t.Fatal(err)
	}
	c.attach(st, nil)
	for i := range 20 {
		h.publish([]string{"a", "b"}[i%2], "bob", strings.Repeat("x", 10_000))
	}
	b := new(batch)
	var sizes []int
	for c.gather(b); len(b.buf) > 0; c.gather(b) {
		if len(b.buf) > batchBytes+2*10_400 {
			t.Errorf("%d bytes in one turn", len(b.buf))
		}
		if b.more != (len(b.buf) >= batchBytes) {
			t.Errorf("%d bytes, more %v", len(b.buf), b.more)
		}
		sizes = append(sizes, len(b.buf))
	}
	if len(sizes) != 3 {
		t.Errorf("204 KB in turns of %v", sizes)
	}
}

func TestStreamsTakeTurns(t *testing.T) {
	h := newHouse(t, auth.Config{})
	c, b := h.loose("a"), new(batch)
	st, err := c.open(t.Context(), []string{"b"}, models.Int{}, "")
	if err != nil {
		t.Fatal(err)
	}
	c.attach(st, nil)
	h.fill("a", 50, 10_000)
	h.publish("b", "bob", "short")
	for turn := 0; ; turn++ {
		if turn == 2 {
			t.Fatal("a stream with much to say keeps the other one waiting")
		}
		if c.gather(b); slices.Contains(texts(t, b.buf), "message short") {
			break
		}
	}
}

// fill publishes n messages of size bytes and returns what their contents begin with.
func (h *house) fill(channel string, n, size int) {
	h.t.Helper()
	for i := range n {
		h.publish(channel, "bob", fmt.Sprintf("%d %s", i, strings.Repeat("x", size)))
	}
}

// number returns what fill counted.
func number(content string) (n int) {
	if _, err := fmt.Sscan(content, &n); err != nil {
		return -1
	}
	return n
}

// TestSlowReadersHurtNobody has more clients stop reading than there are workers, among 1,000.
func TestSlowReadersHurtNobody(t *testing.T) {
	h := newHouse(t, auth.Config{})
	slow := make([]*peer, runtime.GOMAXPROCS(0)+1)
	for i := range slow {
		slow[i] = h.connect("/ws?channels=a,bulk")
		slow[i].read("welcome")
	}
	peers := make([]*peer, 1000-len(slow))
	for i := range peers {
		peers[i] = h.connect("/ws?channels=a")
		peers[i].read("welcome")
		peers[i].read("subscribed")
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	const bulk, small = 100, 10
	// deliver has the others read small messages, and says how long that took.
	deliver := func() time.Duration {
		begin := time.Now()
		h.fill("a", small, 10)
		for n, p := range peers {
			for i := range small {
				if got := number(p.content()); got != i {
					t.Fatalf("peer %d: message %d is %d", n, i, got)
				}
			}
		}
		return time.Since(begin)
	}
	calm := deliver()
	h.fill("bulk", bulk, 200_000) // 20 MB: more than a socket takes, and 20 times what memory keeps
	if took := deliver(); took > 5*calm+time.Second {
		t.Errorf("%d readers had their messages after %s, and after %s with slow ones", len(peers), calm, took)
	}
	if grown := (heap() - before) >> 10; grown > 4<<10+int64(len(slow))<<10 {
		t.Errorf("%d slow readers cost %d KB", len(slow), grown)
	}
	// Now they read again, or come back: either way they have all, in one stream over both channels.
	for i, p := range slow {
		for last := int64(0); last < bulk+2*small; {
			f, err := p.frame()
			if err != nil || f.op == opClose {
				t.Logf("slow reader %d was at %d: %s %v", i, last, f.body, err)
				p = h.connect(fmt.Sprintf("/ws?channels=a,bulk&after_id=%d", last))
				continue
			}
			var id int64
			if _, err := fmt.Sscanf(string(f.body[:min(50, len(f.body))]), `{"type":"message","message":{"id":%d,`, &id); err != nil {
				continue
			}
			if id != last+1 {
				t.Fatalf("slow reader %d: after message %d came %d", i, last, id)
			}
			last = id
		}
	}
}

func TestStalledReaderIsClosed4008AndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		p := h.connect("/ws?channels=a")
		p.read("welcome")
		p.read("subscribed")
		h.fill("a", 50, 10_000)
		begin := time.Now()
		if got := number(p.content()); got != 0 { // the rest of its batch is under way, and waits
			t.Fatalf("first message is %d", got)
		}
		time.Sleep(stall + time.Second)
		last := int64(1)
		for {
			m, err := p.next()
			if c := closed(nil); errors.As(err, &c) {
				if c.code() != 4008 || time.Since(begin) > stall+2*time.Second {
					t.Errorf("%v after %s", c, time.Since(begin))
				}
				break
			}
			if err != nil || m.Message.ID != last+1 {
				t.Fatalf("after message %d: %+v %v", last, m, err)
			}
			last++
		}
		if last > 10 {
			t.Errorf("%d messages were written at once", last)
		}
		p.leave(4008)
		p.ended()
		again := h.connect(fmt.Sprintf("/ws?channels=a&after_id=%d", last))
		again.read("welcome")
		again.read("subscribed")
		for ; last < 50; last++ {
			if m := again.read("message").Message; m.ID != last+1 {
				t.Fatalf("after message %d came %d", last, m.ID)
			}
		}
	})
}

func TestWhoNeverReadsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		h.connect("/ws?channels=a")
		h.fill("a", 50, 10_000)
		time.Sleep(stall + linger - time.Second)
		if n := h.srv.Len(); n != 1 {
			t.Fatalf("%d connections too early", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := h.srv.Len(); n != 0 {
			t.Errorf("%d connections %s later", n, stall+linger+time.Second)
		}
	})
}

func TestReaderThatIsSlowButReadsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		p := h.connect("/ws?channels=a")
		p.read("welcome")
		p.read("subscribed")
		h.fill("a", 50, 10_000)
		for i := range 50 {
			if got := number(p.content()); got != i {
				t.Fatalf("message %d is %d", i, got)
			}
			time.Sleep(stall - time.Second)
		}
	})
}

func TestCommandsWaitUntilAnswersAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		p := h.connect("/ws")
		p.read("welcome")
		const n = 4000
		id := `"` + strings.Repeat("x", 200) + `"`
		var writing sync.WaitGroup
		writing.Go(func() {
			for range n {
				if _, err := p.nc.Write(masked(fin|opText, []byte(`{"type":"ping","id":`+id+`}`))); err != nil {
					t.Error(err)
					return
				}
			}
		})
		synctest.Wait()
		c := h.only()
		c.mu.Lock()
		waiting := len(c.out)
		c.mu.Unlock()
		if waiting < maxAnswers || waiting > maxAnswers+1000 {
			t.Errorf("%d bytes of answers wait", waiting)
		}
		for range n {
			if m := p.read("pong"); string(m.ID) != id {
				t.Fatalf("id %s", m.ID)
			}
		}
		writing.Wait()
	})
}

func TestPongsAreDroppedBeforeTheyFillMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		p := h.connect("/ws")
		p.read("welcome")
		for range 5000 {
			p.write(masked(fin|opPing, make([]byte, 125)))
		}
		synctest.Wait()
		c := h.only()
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.out) > maxAnswers+200 {
			t.Errorf("%d bytes of pongs wait", len(c.out))
		}
	})
}
