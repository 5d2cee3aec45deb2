package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// channels are those that publishers send to.
var channels = []string{"red", "green", "blue"}

// filler is cut to the size that a content is to have. It holds what can go wrong in JSON and in UTF-8.
var filler = strings.Repeat(`Grüße, "so" \ <so> 日本 `+"\t\n", 700)

// draft is the message that a publisher sends as its n-th. It follows from the seed, so that every test can tell what
// a message was.
func draft(seed uint64, publisher, n int) (channel, content string) {
	r := rand.New(rand.NewPCG(seed, uint64(publisher)<<32|uint64(n)))
	size := 20 + r.IntN(300)
	if r.IntN(40) == 0 {
		size = r.IntN(16 << 10)
	}
	return channels[r.IntN(len(channels))], fmt.Sprintf("%d/%d %s", publisher, n, strings.ToValidUTF8(filler[:size], ""))
}

// ack is what a publisher was told of its n-th message.
type ack struct {
	publisher, n int
	parent       int64
	id, seq      int64
	channel      string
	duplicate    bool
}

// publisher sends one message after the other over a connection that it keeps. What is not answered it sends again, with
// the same key, until it is: there must then be one such message.
type publisher struct {
	// Set by newLoad, then constant.
	load   *load
	number int
	client *http.Client

	// Owned by run.
	rand *rand.Rand
	last int64 // id of its last message

	mu   sync.Mutex
	acks []ack // guarded by mu
}

// load is publishers at work.
type load struct {
	// Set before start, then constant.
	seed       uint64
	servers    []*server
	power      *power
	publishers []*publisher
	loyal      bool // they try the same server again and no other

	firstOf
	halt    atomic.Bool
	working sync.WaitGroup
	cutOff  atomic.Int64 // sends that had begun and were not answered
	refused atomic.Int64 // of these, those that were answered 503
	refusal atomic.Pointer[string]
}

// newLoad makes publishers that send to the servers, each to one as long as that one answers.
func newLoad(t *testing.T, seed uint64, publishers int, servers ...*server) *load {
	l := &load{seed: seed, servers: servers}
	for n := range publishers {
		p := &publisher{load: l, number: n, rand: rand.New(rand.NewPCG(seed, uint64(n)))}
		p.client = &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
		l.publishers = append(l.publishers, p)
	}
	t.Cleanup(func() {
		l.failf("the test is over") // who still tries gives up
		_ = l.stop()
	})
	return l
}

func (l *load) start() {
	for _, p := range l.publishers {
		l.working.Go(p.run)
	}
}

// stop lets the publishers come to the end of what they have begun: from then on all they ever sent is acknowledged.
func (l *load) stop() error {
	l.halt.Store(true)
	l.working.Wait()
	return l.failed()
}

// acks returns what has been acknowledged by now.
func (l *load) acks() (all []ack) {
	for _, p := range l.publishers {
		p.mu.Lock()
		all = append(all, p.acks...)
		p.mu.Unlock()
	}
	return all
}

// count is len(acks()).
func (l *load) count() (n int) {
	for _, p := range l.publishers {
		p.mu.Lock()
		n += len(p.acks)
		p.mu.Unlock()
	}
	return n
}

// patience is how long a publisher tries to get one message stored.
const patience = 60 * time.Second

func (p *publisher) run() {
	defer p.client.CloseIdleConnections()
	at := p.number % len(p.load.servers)
	for n := 0; !p.load.halt.Load() && p.load.failed() == nil; n++ {
		channel, content := draft(p.load.seed, p.number, n)
		parent := int64(0)
		if n%5 == 4 {
			parent = p.last
		}
		body, err := json.Marshal(map[string]any{
			"channel": channel, "sender": fmt.Sprintf("publisher-%d", p.number), "content": content, "in_reply_to": parent,
		})
		if err != nil {
			p.load.failf("%v", err)
			return
		}
		key := fmt.Sprintf("key-%d", n)
		for begun := time.Now(); ; {
			a, err := p.send(p.load.servers[at], key, body)
			if err == nil {
				a.publisher, a.n, a.parent = p.number, n, parent
				if p.load.power.hears(func() { p.note(a) }) {
					break
				}
			}
			if p.load.failed() != nil {
				return
			}
			if time.Since(begun) > patience {
				p.load.failf("publisher %d had no answer for %s; the last: %v", p.number, patience, err)
				return
			}
			if !p.load.loyal {
				at = p.rand.IntN(len(p.load.servers))
			}
			<-time.After(time.Duration(2+p.rand.IntN(10)) * time.Millisecond)
		}
	}
}

func (p *publisher) note(a ack) {
	if a.channel == "" || a.id <= p.last {
		p.load.failf("publisher %d was given id %d in %q after %d", p.number, a.id, a.channel, p.last)
	}
	p.last = a.id
	p.mu.Lock()
	p.acks = append(p.acks, a)
	p.mu.Unlock()
}

// send sends once. An error means that there is no telling whether the message was stored.
func (p *publisher) send(to *server, key string, body []byte) (a ack, err error) {
	addr := to.at()
	if addr == "" {
		return a, errNotUp
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+addr+"/api/messages", bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	// Without GetBody the transport does not send again by itself.
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := p.client.Do(req)
	if dial, ok := errors.AsType[*net.OpError](err); err != nil && (!ok || dial.Op != "dial") {
		p.load.cutOff.Add(1)
	}
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		p.load.refused.Add(1)
		text := string(answer)
		p.load.refusal.Store(&text)
		return a, errors.New(text)
	default:
		p.load.failf("publisher %d was answered %s %s", p.number, res.Status, answer)
		return a, errors.New(res.Status)
	}
	var got struct {
		ID, Seq   int64
		Channel   string
		Duplicate bool
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return a, err
	}
	return ack{id: got.ID, seq: got.Seq, channel: got.Channel, duplicate: got.Duplicate}, nil
}
