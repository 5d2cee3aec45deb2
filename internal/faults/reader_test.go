package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// every subscribes to all channels.
const every = "*"

// row is a message, wherever it was found.
type row struct {
	ID      int64  `json:"id"`
	Seq     int64  `json:"seq"`
	Channel string `json:"channel"`
	Sender  string `json:"sender"`
	Content string `json:"content"`
	Parent  *int64 `json:"in_reply_to"`
	Replies int64  `json:"reply_count"`
}

// reader follows one channel, or all, over a WebSocket, and comes back with after_id whenever it is cut off. It accepts
// the next message only.
type reader struct {
	// Set by followWhile, then constant.
	power   *power
	server  *server
	channel string

	firstOf
	last    atomic.Int64 // id of the last message
	resumed atomic.Int64 // times it was cut off
	ended   chan struct{}
	done    chan struct{}

	// Owned by run, then by whoever has waited for it.
	seen  []row
	busID string

	mu   sync.Mutex
	live *socket // guarded by mu; nil while there is none
}

// follow starts a reader from the first message on.
func follow(t *testing.T, s *server, channel string) *reader {
	return followWhile(t, nil, s, channel)
}

func followWhile(t *testing.T, p *power, s *server, channel string) *reader {
	r := &reader{power: p, server: s, channel: channel, ended: make(chan struct{}), done: make(chan struct{})}
	go r.run()
	t.Cleanup(func() { _ = r.stop() })
	return r
}

// stop ends it and returns what was wrong with what it read. It may be called again.
func (r *reader) stop() error {
	r.mu.Lock()
	select {
	case <-r.done:
	default:
		close(r.done)
	}
	if r.live != nil {
		_ = r.live.Close()
	}
	r.mu.Unlock()
	<-r.ended
	return r.failed()
}

func (r *reader) stopped() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *reader) run() {
	defer close(r.ended)
	for !r.stopped() && r.failed() == nil {
		err := r.converse()
		if _, wrong := errors.AsType[*wrongMessage](err); wrong && !r.stopped() {
			r.failf("reader of %s: %w", r.channel, err)
			return
		}
		select {
		case <-r.done:
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// converse reads from one connection until it ends.
func (r *reader) converse() error {
	addr := r.server.at()
	if addr == "" {
		return errNotUp
	}
	s, err := openSocket(addr, fmt.Sprintf("channels=%s&after_id=%d", r.channel, r.last.Load()), false)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	r.mu.Lock()
	r.live = s
	r.mu.Unlock()
	if r.stopped() {
		return nil
	}
	r.resumed.Add(1)
	for {
		text, err := s.next()
		if err == nil && !r.power.hears(func() { err = r.take(text) }) {
			err = errNotUp
		}
		if err != nil {
			return err
		}
	}
}

// wrongMessage breaks a promise.
type wrongMessage struct{ text string }

func (w *wrongMessage) Error() string { return w.text }

func wrong(format string, args ...any) error { return &wrongMessage{fmt.Sprintf(format, args...)} }

func (r *reader) take(text []byte) error {
	var frame struct {
		Type      string
		BusID     string `json:"bus_id"`
		Recovered bool
		Message   row
	}
	if err := json.Unmarshal(text, &frame); err != nil {
		return wrong("frame %q: %v", text, err)
	}
	switch frame.Type {
	case "welcome":
		if r.busID != "" && frame.BusID != r.busID {
			return wrong("bus_id was %q and is %q", r.busID, frame.BusID)
		}
		r.busID = frame.BusID
	case "subscribed":
		if !frame.Recovered {
			return wrong("what came after %d cannot be recovered: %s", r.last.Load(), text)
		}
	case "position":
	case "message":
		return r.keep(frame.Message)
	default:
		return wrong("unexpected frame %s", text)
	}
	return nil
}

// keep takes the message that must come next.
func (r *reader) keep(m row) error {
	last := row{}
	if n := len(r.seen); n > 0 {
		last = r.seen[n-1]
	}
	switch {
	case m.ID <= last.ID:
		return wrong("message %d came again, or late: after %d", m.ID, last.ID)
	case r.channel == every && m.ID != last.ID+1:
		return wrong("message %d came after %d", m.ID, last.ID)
	case r.channel != every && (m.Seq != last.Seq+1 || m.Channel != r.channel):
		return wrong("seq %d of %s came after seq %d", m.Seq, m.Channel, last.Seq)
	}
	r.seen = append(r.seen, m)
	r.last.Store(m.ID)
	return nil
}

// saw stops the reader and compares all it has ever seen with what is stored.
func (r *reader) saw(t *testing.T, stored []row) {
	t.Helper()
	want := slices.DeleteFunc(slices.Clone(stored), func(m row) bool { return r.channel != every && m.Channel != r.channel })
	head := int64(0)
	if len(want) > 0 {
		head = want[len(want)-1].ID
	}
	eventually(t, 20*time.Second, fmt.Sprintf("the reader of %s has read up to %d", r.channel, head), func() bool {
		return r.last.Load() >= head || r.failed() != nil
	})
	if err := r.stop(); err != nil {
		t.Error(err)
		return
	}
	if len(r.seen) != len(want) {
		t.Errorf("the reader of %s saw %d messages, stored are %d", r.channel, len(r.seen), len(want))
		return
	}
	for i, m := range r.seen {
		if w := want[i]; m.ID != w.ID || m.Seq != w.Seq || m.Channel != w.Channel || m.Sender != w.Sender || m.Content != w.Content {
			t.Errorf("the reader of %s saw %d %.40q, stored is %d %.40q", r.channel, m.ID, m.Content, w.ID, w.Content)
			return
		}
	}
}
