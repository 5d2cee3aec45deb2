package ws

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/auth"
)

func TestDeliversInOrderToEverySubscriber(t *testing.T) {
	h := newHouse(t, auth.Config{})
	var peers []*peer
	for range 20 {
		p := h.connect("/ws?channels=a,b")
		p.read("welcome")
		p.read("subscribed")
		p.read("subscribed")
		peers = append(peers, p)
	}
	for i := range 200 {
		h.publish([]string{"a", "b"}[i%2], "bob", fmt.Sprint(i))
	}
	for n, p := range peers {
		for i := range 200 {
			if m := p.read("message").Message; m.Content != fmt.Sprint(i) || m.ID != int64(i+1) {
				t.Fatalf("peer %d: message %d is %+v", n, i, m)
			}
		}
	}
}

func TestWhatIsNoJSONObjectCloses1007(t *testing.T) {
	h := newHouse(t, auth.Config{})
	for name, frame := range map[string][]byte{
		"binary":        masked(fin|2, []byte(`{"type":"ping"}`)),
		"invalid UTF-8": masked(fin|opText, []byte("{\"type\":\"ping\",\"id\":\"\xff\"}")),
		"nothing":       masked(fin|opText, nil),
		"a list":        masked(fin|opText, []byte(`[]`)),
		"a string":      masked(fin|opText, []byte(`"ping"`)),
		"null":          masked(fin|opText, []byte(`null`)),
		"half":          masked(fin|opText, []byte(`{"type":`)),
		"two":           masked(fin|opText, []byte(`{"type":"ping"}{"type":"ping"}`)),
		"too deep":      masked(fin|opText, []byte(`{"id":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+`}`)),
	} {
		t.Run(name, func(t *testing.T) {
			p := h.connect("/ws")
			p.t = t
			p.read("welcome")
			p.write(frame)
			if code, reason := p.ended(); code != 1007 || reason == "" {
				t.Errorf("closed with %d %q", code, reason)
			}
		})
	}
}

func TestMessageOfMoreThanOneMegabyteCloses1009(t *testing.T) {
	h := newHouse(t, auth.Config{})
	most := append([]byte(`{"type":"ping"}`), bytes.Repeat([]byte(" "), maxMessage-15)...)
	p := h.connect("/ws")
	p.read("welcome")
	p.write(masked(fin|opText, most))
	p.read("pong")
	p.write(masked(opText, most[:1000]))
	p.write(masked(fin, most[1000:]))
	p.read("pong")
	for name, pieces := range map[string][][]byte{
		"in one frame": {masked(fin|opText, append(most, ' '))},
		"in two":       {masked(opText, most), masked(fin, []byte(" "))},
		"announced":    {{fin | opText, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4}, most, most},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.connect("/ws")
			p.t = t
			p.read("welcome")
			for _, b := range pieces {
				p.write(b)
			}
			if code, _ := p.ended(); code != 1009 {
				t.Errorf("closed with %d", code)
			}
		})
	}
}

func TestViolationOfTheProtocolCloses1002(t *testing.T) {
	h := newHouse(t, auth.Config{})
	for name, b := range map[string][]byte{
		"not masked":                {fin | opText, 2, '{', '}'},
		"reserved bit":              masked(fin|0x40|opText, []byte("{}")),
		"unknown opcode":            masked(fin|3, []byte("{}")),
		"continues nothing":         masked(fin, []byte("{}")),
		"begins within":             append(masked(opText, []byte("{")), masked(fin|opText, []byte("}"))...),
		"control frame in pieces":   masked(opPing, nil),
		"control frame of 126":      masked(fin|opPing, make([]byte, 126)),
		"close of one byte":         masked(fin|opClose, []byte{3}),
		"close with a secret code":  masked(fin|opClose, binary.BigEndian.AppendUint16(nil, 1005)),
		"length with the first bit": {fin | opText, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.connect("/ws")
			p.t = t
			p.read("welcome")
			p.write(b)
			if code, _ := p.ended(); code != 1002 {
				t.Errorf("closed with %d", code)
			}
		})
	}
}

func TestMessageMayComeInPieces(t *testing.T) {
	h := newHouse(t, auth.Config{})
	p := h.connect("/ws")
	p.read("welcome")
	p.write(masked(opText, []byte(`{"type":"pi`)))
	p.write(masked(fin|opPing, []byte("between")))
	p.write(masked(0, nil))
	p.write(masked(fin, []byte(`ng","id":1}`)))
	if f, err := p.timeless(); err != nil || f.op != 0xA || string(f.body) != "between" {
		t.Fatalf("got %d %q %v, want the pong", f.op, f.body, err)
	}
	p.read("pong")
}

func TestGoodbyeIsAnswered(t *testing.T) {
	h := newHouse(t, auth.Config{})
	for _, code := range []int{1000, 1001, 4999} {
		p := h.connect("/ws")
		p.say(`{"type":"ping"}`)
		p.leave(code)
		p.read("welcome")
		p.read("pong") // asked for before the goodbye
		if got, _ := p.ended(); got != code {
			t.Errorf("said %d, was answered %d", code, got)
		}
	}
	p := h.connect("/ws")
	p.read("welcome")
	p.write(masked(fin|opClose, nil))
	if f, err := p.timeless(); err != nil || f.op != opClose || len(f.body) != 0 {
		t.Errorf("to a goodbye without a code: %v %v", f, err)
	}
}

func TestIdleConnectionCostsOneGoroutine(t *testing.T) {
	h := newHouse(t, auth.Config{})
	h.connect("/ws?channels=a").read("welcome") // what the first one makes once
	before := runtime.NumGoroutine()
	for i := range 50 {
		p := h.connect("/ws?channels=a&presence=1&instance_id=" + channelName(i))
		p.read("welcome")
	}
	eventually(t, "50 connections cost 50 goroutines", func() bool { return runtime.NumGoroutine()-before == 50 })
}

func TestHalfOpenSocketIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		p := h.connect("/ws")
		p.read("welcome")
		begin := time.Now()
		for {
			f, err := p.frame()
			if err == nil && f.op == opPing {
				continue // and no pong
			}
			if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(begin) < time.Hour {
				continue
			}
			if err != io.EOF {
				t.Fatalf("got %v %v", f, err)
			}
			break
		}
		if after := time.Since(begin); after < beatEvery || after > 2*beatEvery {
			t.Errorf("ended after %s of silence", after)
		}
		synctest.Wait()
		if n := h.srv.Len(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

func TestQuietClientThatAnswersPingsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		p := h.connect("/ws?channels=a")
		p.read("welcome")
		p.read("subscribed")
		pings := 0
		for begin := time.Now(); time.Since(begin) < time.Hour; {
			f, err := p.frame()
			if err == nil && f.op == opPing {
				pings++
				p.write(masked(fin|0xA, f.body))
			} else if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("got %v %v", f, err)
			}
		}
		if pings < 143 || pings > 145 {
			t.Errorf("%d pings in an hour", pings)
		}
	})
}

func TestWhoDoesNotAnswerTheGoodbyeIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		for name, bad := range map[string][]byte{
			"ours":        masked(fin|2, nil),
			"the library": masked(fin|3, nil),
		} {
			p := h.connect("/ws")
			p.read("welcome")
			p.write(bad)
			begin := time.Now()
			if _, err := p.next(); !errors.As(err, new(closed)) {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := p.frame(); err != io.EOF || time.Since(begin) != linger {
				t.Errorf("%s: %v after %s", name, err, time.Since(begin))
			}
		}
	})
}

func TestConnectsAndDisconnectsLeakNothing(t *testing.T) {
	h := newHouse(t, auth.Config{})
	once := func(i int) {
		path := "/ws"
		if i%2 == 1 {
			path += "?channels=a,b&presence=1"
		}
		if i%100 == 1 { // a name is written to disk
			path += "&instance_id=" + channelName(i%200)
		}
		p, _, err := h.shake(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer p.nc.Close()
		_ = p.nc.(*net.TCPConn).SetLinger(0) // no TIME_WAIT, and the server sees a reset
		switch i % 4 {
		case 0: // gone at once
		case 1:
			p.read("welcome")
			p.leave(1000)
			p.ended()
		case 2:
			_, _ = p.nc.Write(masked(fin|opText, []byte(`{"type":"subscribe","channel":"c"}`)))
		case 3:
			_, _ = p.nc.Write([]byte{fin | opText, 0xff})
		}
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what has a finalizer outlives the first
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	round := func(n int) (goroutines, files int) {
		var clients sync.WaitGroup
		for part := range 8 {
			clients.Go(func() {
				for i := part; i < n; i += 8 {
					once(i)
				}
			})
		}
		clients.Wait()
		eventually(t, "all have gone", func() bool { return h.srv.Len() == 0 })
		return runtime.NumGoroutine(), openFiles(t)
	}
	goroutines, files := round(400)
	files += 8 // for the database's pool, which may still grow
	before := heap()
	nowGoroutines, nowFiles := round(10_000)
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("%d bytes are left of each connection", grown/10_000)
	}
	eventually(t, fmt.Sprintf("no more than %d goroutines and %d descriptors, as before; it was %d and %d", goroutines, files, nowGoroutines, nowFiles), func() bool {
		return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files
	})
}

// openFiles counts descriptors; 0 where the system does not tell.
func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestLargeMessagesHaveTurns has as many clients send large messages as have turns, and not end them.
func TestLargeMessagesHaveTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		large := append([]byte(`{"type":"ping"}`), bytes.Repeat([]byte(" "), 2*largeText)...)
		begin := func(head byte) *peer {
			p := h.connect("/ws")
			p.read("welcome")
			go p.write(masked(head, large))
			return p
		}
		var slow []*peer
		for range largeTexts {
			slow = append(slow, begin(opText))
		}
		synctest.Wait()
		waits := begin(fin | opText)
		small := h.connect("/ws")
		small.read("welcome")
		small.say(`{"type":"ping"}`)
		small.read("pong")
		if n := len(h.srv.large); n != largeTexts {
			t.Errorf("%d have a turn", n)
		}
		began := time.Now()
		waits.read("pong")
		if took := time.Since(began); took > largeTime {
			t.Errorf("its turn came after %s", took)
		}
		for _, p := range slow {
			if f, err := p.timeless(); err == nil && f.op != opClose { // which answers no ping: there may be nobody left who reads
				t.Error("who took too long is still served")
			}
		}
		synctest.Wait()
		if n := len(h.srv.large); n != 0 {
			t.Errorf("%d turns are left", n)
		}
	})
}
