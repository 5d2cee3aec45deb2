package ws

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
)

// talk has n messages published in each channel by publishers that run side by side. The returned function waits for
// the last one.
func (h *house) talk(n int, channels ...string) (wait func()) {
	var talking sync.WaitGroup
	for _, ch := range channels {
		talking.Go(func() {
			for i := range n {
				draft := models.Draft{Channel: ch, Sender: "bob", Content: fmt.Sprint(i), Type: models.TypeMessage, Kind: models.KindAgent}
				if _, err := h.hub.Publish(context.Background(), shared(), draft); err != nil {
					h.t.Error(err)
					return
				}
			}
		})
	}
	return talking.Wait
}

func TestResumesWithoutGapOrRepeat(t *testing.T) {
	h := newHouse(t, auth.Config{})
	const each = 500
	wait := h.talk(each, "a", "b", "c")
	defer wait()
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() {
			query := []string{"*", "a,b,c", "c,b,a", "*"}[client]
			last := int64(0)
			for last < 3*each {
				p, _, err := h.shake(fmt.Sprintf("/ws?channels=%s&after_id=%d", query, last))
				if err != nil {
					t.Error(err)
					return
				}
				for range 1 + rand.IntN(300) {
					m, err := p.next()
					if err != nil {
						t.Error(err)
						return
					}
					if m.Type == "subscribed" && !m.Recovered {
						t.Errorf("after %d: %+v", last, m)
					}
					if m.Type != "message" {
						continue
					}
					if m.Message.ID != last+1 {
						t.Errorf("client %d: after message %d came %d", client, last, m.Message.ID)
						return
					}
					if last++; last == 3*each {
						break
					}
				}
				_ = p.nc.Close() // without a goodbye, like a laptop that goes to sleep
			}
		})
	}
	clients.Wait()
}

// TestSubscriptionsComeAndGoWithoutGapOrRepeat has a client leave and join channels again and again while all of them
// are talked in. It resumes each where it heard it last.
func TestSubscriptionsComeAndGoWithoutGapOrRepeat(t *testing.T) {
	h := newHouse(t, auth.Config{})
	const each = 400
	p := h.connect("/ws?channels=a,b,c&after_id=0")
	p.read("welcome")
	wait := h.talk(each, "a", "b", "c")
	defer wait()
	heard, on, last := map[string]int{}, map[string]bool{}, map[string]int64{}
	for heard["a"]+heard["b"]+heard["c"] < 3*each {
		m, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		ch := m.Channel
		switch m.Type {
		case "subscribed":
			on[ch] = true
		case "unsubscribed":
			on[ch] = false
			p.say(`{"type":"subscribe","channel":%q,"after_id":%d}`, ch, last[ch])
		case "message":
			ch = m.Message.Channel
			if !on[ch] || number(m.Message.Content) != heard[ch] {
				t.Fatalf("in %s, subscribed %v, after %d messages: %+v", ch, on[ch], heard[ch], m)
			}
			heard[ch]++
			last[ch] = m.Message.ID
			if rand.IntN(10) == 0 && heard[ch] < each {
				p.say(`{"type":"unsubscribe","channel":%q}`, ch)
			}
		case "error": // of an unsubscribe that came twice
			if m.Code != "not_found" {
				t.Fatalf("%+v", m)
			}
		}
	}
}

// texts returns what buf says in text frames.
func texts(t *testing.T, buf []byte) (said []string) {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		_, _ = server.Write(buf)
		_ = server.Close()
	}()
	p := &peer{t: t, nc: client, br: bufio.NewReader(client)}
	for {
		m, err := p.next()
		if err != nil {
			return said
		}
		said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s%s", m.Type, m.Channel, m.Message.Content)))
	}
}

// loose makes a conn that has no socket and no turns, and one stream over the channels.
func (h *house) loose(channels ...string) *conn {
	h.t.Helper()
	c := h.srv.newConn(shared())
	st, err := c.open(h.t.Context(), channels, models.Int{}, "")
	if err != nil {
		h.t.Fatal(err)
	}
	c.attach(st, nil)
	h.t.Cleanup(c.release)
	return c
}

func TestStreamGoesOnWhileItsSuccessorIsOpened(t *testing.T) {
	h := newHouse(t, auth.Config{})
	c, b := h.loose("a", "b"), new(batch)
	h.publish("a", "bob", "1")
	c.gather(b)
	old := c.streams[0]
	next, err := c.open(t.Context(), []string{"a"}, models.Int{Value: old.at, Set: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	h.publish("a", "bob", "2")
	h.publish("b", "bob", "3")
	c.gather(b)
	said := texts(t, b.buf)
	h.publish("b", "bob", "not heard any more")
	h.publish("a", "bob", "4")
	c.replace(0, next, appendUnsubscribed(nil, nil, "b"))
	old.sub.Close()
	c.gather(b)
	said = append(said, texts(t, b.buf)...)
	if got, want := strings.Join(said, ", "), "message 2, message 3, unsubscribed b, message 4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNothingOfAChannelFollowsItsUnsubscribed(t *testing.T) {
	h := newHouse(t, auth.Config{})
	c, b := h.loose("a"), new(batch)
	h.fill("a", 10, 200_000) // more than memory keeps: the log must be read
	c.gather(b)
	if len(b.behind) != 1 {
		t.Fatalf("%d streams are behind", len(b.behind))
	}
	if err := c.unsubscribe(command{Channel: "a"}); err != nil { // while drain is about to read
		t.Fatal(err)
	}
	before := len(b.buf)
	c.catchUp(b)
	if len(b.buf) != before {
		t.Errorf("%d bytes of a stream that has ended", len(b.buf)-before)
	}
	c.gather(b)
	if got := texts(t, b.buf); len(got) != 1 || got[0] != "unsubscribed a" {
		t.Errorf("got %q", got)
	}
}

func TestConnectionHoldsAtMostAThousandChannels(t *testing.T) {
	h := newHouse(t, auth.Config{})
	p := h.connect("/ws?channels=" + list(100))
	p.read("welcome")
	for range 100 {
		p.read("subscribed")
	}
	for i := 100; i < maxChannels; i++ {
		p.say(`{"type":"subscribe","channel":%q}`, channelName(i))
		p.read("subscribed")
	}
	p.say(`{"type":"subscribe","channel":"one-more"}`)
	if m := p.read("error"); m.Code != "invalid" || !strings.Contains(m.Error, "1000") {
		t.Errorf("%+v", m)
	}
	p.say(`{"type":"unsubscribe","channel":%q}`, channelName(1))
	p.read("unsubscribed")
	p.say(`{"type":"subscribe","channel":"one-more"}`)
	p.read("subscribed")
	h.publish(channelName(999), "bob", "still heard")
	p.read("message")
}

func TestPositionIsWhereTheLastOfAllStreamsStands(t *testing.T) {
	for _, at := range [][]int64{{7}, {7, 9}, {9, 7}, {8, 7, 9}} {
		var c conn
		for _, id := range at {
			c.streams = append(c.streams, &stream{at: id})
		}
		if got := c.position(); got != 7 {
			t.Errorf("streams at %v: position %d", at, got)
		}
	}
}

// TestWhoReadsNothingOfPresenceCostsLittle opens connections that ask who is there, and do not read the answer.
func TestWhoReadsNothingOfPresenceCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		const names, conns = 300, 20
		for i := range names {
			if err := h.hub.Register(t.Context(), shared(), models.Registration{ID: fmt.Sprintf("%s-%d", strings.Repeat("x", 190), i), Kind: models.KindAgent}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		peers := make([]*peer, conns)
		for i := range peers {
			peers[i] = h.connect("/ws?presence=1")
			peers[i].read("welcome")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if grown := (heap() - before) / conns >> 10; grown > 70 {
			t.Errorf("a connection that reads nothing of %d names takes %d KiB", names, grown)
		}
		seen := map[string]bool{}
		for len(seen) < names {
			m := peers[0].read("presence")
			if m.Status != string(models.Online) || seen[m.InstanceID] {
				t.Fatalf("told of %d: %+v", len(seen), m)
			}
			seen[m.InstanceID] = true
		}
	})
}
