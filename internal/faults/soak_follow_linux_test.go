package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// way is how a follower reads.
type way string

const (
	bySocket     way = "socket" // channels in the URL: one stream with one cursor
	bySubscribes way = "subscribes"
	byStream     way = "stream" // Server-Sent Events
	byPolls      way = "polls"
	byNaps       way = "naps" // a socket that is not read for a while, now and then
)

// follower reads channels, one way, from one node or from any, and comes back with its cursor whenever it is cut off. It
// accepts the next message only.
type follower struct {
	// Set before run, then constant.
	soak     *soak
	name     string
	way      way
	channels []string // every alone for all
	at       func() string

	// Owned by run.
	random *rand.Rand

	mu sync.Mutex
	// Guarded by mu.
	cursor  int64            // what it resumes from
	last    map[string]int64 // id of the last message of each channel
	seqs    map[string]int64 // and its seq
	taken   int64
	resumed int64 // connections so far
	trouble error // that ended the last one
}

func newFollower(x *soak, name string, how way, at func() string, channels ...string) *follower {
	return &follower{
		soak: x, name: name, way: how, at: at, channels: channels, random: x.dice(name),
		last: map[string]int64{}, seqs: map[string]int64{},
	}
}

// run follows until ctx ends or something is wrong.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil && f.soak.failed() == nil {
		err := f.converse(ctx)
		if _, bad := errors.AsType[*wrongMessage](err); bad && ctx.Err() == nil {
			f.soak.failf("%v: %w", f, err)
			return
		}
		f.mu.Lock()
		f.trouble = err
		f.mu.Unlock()
		wait(ctx, time.Duration(10+f.random.IntN(100))*time.Millisecond)
	}
}

// converse reads from one connection until that ends.
func (f *follower) converse(ctx context.Context) error {
	addr := f.at()
	if addr == "" {
		return errNotUp
	}
	f.mu.Lock()
	f.resumed++
	f.mu.Unlock()
	switch f.way {
	case byStream:
		return f.stream(ctx, addr)
	case byPolls:
		return f.poll(ctx, addr)
	default:
		return f.socket(ctx, addr)
	}
}

func (f *follower) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%s (%s of %s at %s, cursor %d, connection %d)", f.name, f.way, strings.Join(f.channels, ","), f.at(), f.cursor, f.resumed)
}

func (f *follower) from() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursor
}

// passes notes that all before an id was delivered or hidden.
func (f *follower) passes(id int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id < f.cursor {
		return wrong("the cursor went back from %d to %d", f.cursor, id)
	}
	f.cursor = id
	return nil
}

// leaves says whether it hangs up now, to come back with its cursor.
func (f *follower) leaves() bool {
	if f.random.IntN(200) > 0 {
		return false
	}
	f.soak.count("readers hung up and came back", 1)
	return true
}

var errLeft = errors.New("it hung up")

// take accepts the message that must come next.
func (f *follower) take(m *row) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	follows := f.channels[0] == every || slices.Contains(f.channels, m.Channel)
	next := f.seqs[m.Channel] + 1
	switch {
	case !follows:
		return wrong("message %d of %s, which it does not follow", m.ID, m.Channel)
	case f.way != bySubscribes && m.ID <= f.cursor:
		return wrong("message %d, seq %d of %s, came again or late: after %d", m.ID, m.Seq, m.Channel, f.cursor)
	case m.ID <= f.last[m.Channel]:
		return wrong("message %d, seq %d of %s, came again or late: after %d of the channel", m.ID, m.Seq, m.Channel, f.last[m.Channel])
	case f.channels[0] == every && m.ID != f.cursor+1:
		return wrong("message %d came after %d. Missing: %s", m.ID, f.cursor, f.soak.ledger.whatID(f.cursor+1))
	case m.Seq != next:
		return wrong("message %d, seq %d of %s, came after seq %d (id %d). Missing: %s", m.ID, m.Seq, m.Channel, next-1, f.last[m.Channel], f.soak.ledger.what(m.Channel, next))
	}
	f.seqs[m.Channel], f.last[m.Channel] = m.Seq, m.ID
	f.cursor = max(f.cursor, m.ID)
	f.taken++
	return f.soak.ledger.saw(m, f.name)
}

// lacks returns the channel of which it has not read up to a seq, empty when there is none, and where it stands there.
func (f *follower) lacks(seqs map[string]int64) (channel string, have int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch, seq := range seqs {
		if f.seqs[ch] < seq && (f.channels[0] == every || slices.Contains(f.channels, ch)) {
			return ch, f.seqs[ch]
		}
	}
	return "", 0
}

// socket follows over a WebSocket.
func (f *follower) socket(ctx context.Context, addr string) error {
	query := fmt.Sprintf("channels=%s&after_id=%d", strings.Join(f.channels, ","), f.from())
	if f.way == bySubscribes {
		query = ""
	}
	s, err := openSocket(addr, query, f.way == byNaps)
	if err != nil {
		return unlessAway(err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	defer func() { _ = s.Close() }()
	if f.way == bySubscribes {
		f.mu.Lock()
		for i, ch := range f.channels {
			_ = s.send(opText, fmt.Appendf(nil, `{"type":"subscribe","id":%d,"channel":%q,"after_id":%d}`, i, ch, f.last[ch])) // the next read tells
		}
		f.mu.Unlock()
	}
	for {
		if f.way == byNaps && f.random.IntN(2000) == 0 {
			f.soak.count("naps", 1)
			wait(ctx, time.Duration(f.random.Int64N(int64(f.soak.nap))))
		}
		text, err := s.next()
		if err == nil {
			err = f.frame(text)
		}
		if err == nil && f.leaves() {
			return errLeft
		}
		if err != nil {
			if c := codeOf(err); c == 4008 || c == 1012 || c == 1013 || c == 1006 {
				f.soak.count(fmt.Sprintf("sockets ended with %d", c), 1)
			} else if ctx.Err() == nil {
				err = wrong("the socket ended with %v", err)
			}
			return err
		}
	}
}

// unlessAway says whether a hub that did not take a connection had a reason to: that it is not there, or its database is not, or that
// what was asked did not come through a silent wire in time.
func unlessAway(err error) error {
	if text := err.Error(); strings.HasPrefix(text, "handshake: ") && !strings.HasPrefix(text, "handshake: 503") && !strings.HasPrefix(text, "handshake: 408") {
		return wrong("%v", err)
	}
	return err
}

func (f *follower) frame(text []byte) error {
	var frame struct {
		Type, Code string
		LastID     int64 `json:"last_id"`
		Recovered  bool
		Message    row
	}
	if err := json.Unmarshal(text, &frame); err != nil {
		return wrong("frame %q: %v", text, err)
	}
	switch {
	case frame.Type == "message":
		return f.take(&frame.Message)
	case frame.Type == "subscribed" && !frame.Recovered:
		return wrong("what came after %d cannot be recovered: %s", f.from(), text)
	case frame.Type == "position" && f.way != bySubscribes:
		return f.passes(frame.LastID)
	case frame.Type == "error" && frame.Code == "unavailable":
		return errNotUp
	case frame.Type == "error" || !slices.Contains([]string{"welcome", "subscribed", "position"}, frame.Type):
		return wrong("unexpected frame %s", text)
	}
	return nil
}

// stream follows by Server-Sent Events.
func (f *follower) stream(ctx context.Context, addr string) error {
	res, err := f.ask(ctx, addr, "/api/stream?channels="+strings.Join(f.channels, ","), f.from())
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 2<<20)
	event := ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			event = value
		case "data":
			if err := f.event(event, value); err != nil {
				return err
			}
			if f.leaves() {
				return errLeft
			}
		case "id":
			// The id of a message stands before its data; one without data passes over what was hidden.
			event = value
		case "":
			var id int64
			if _, err := fmt.Sscan(event, &id); err == nil {
				if err := f.passes(id); err != nil {
					return err
				}
			}
			event = ""
		}
	}
	return errors.Join(lines.Err(), io.EOF)
}

func (f *follower) event(kind, data string) error {
	var welcome struct{ Recovered bool }
	var m row
	switch kind {
	case "welcome":
		if err := json.Unmarshal([]byte(data), &welcome); err != nil || !welcome.Recovered {
			return wrong("the stream begins with %.200s: %v", data, err)
		}
	case "message":
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			return wrong("the stream has %.200q: %v", data, err)
		}
		return f.take(&m)
	default:
		return wrong("the stream has the event %q: %.200s", kind, data)
	}
	return nil
}

// poll asks for page after page of one channel.
func (f *follower) poll(ctx context.Context, addr string) error {
	for ctx.Err() == nil {
		path := fmt.Sprintf("/api/messages/%s?after_id=%d&wait=%d&limit=%d", f.channels[0], f.from(), f.random.IntN(20), 1+f.random.IntN(200))
		res, err := f.ask(ctx, addr, path, -1)
		if err != nil {
			return err
		}
		var page struct {
			Messages  []row
			Next      int64 `json:"next_after_id"`
			Recovered bool
		}
		err = json.NewDecoder(res.Body).Decode(&page)
		_ = res.Body.Close()
		if err != nil {
			return err
		}
		if !page.Recovered {
			return wrong("what came after %d cannot be recovered", f.from())
		}
		for i := range page.Messages {
			if err := f.take(&page.Messages[i]); err != nil {
				return err
			}
		}
		if err := f.passes(page.Next); err != nil {
			return err
		}
		if addr = f.at(); addr == "" {
			return errNotUp
		}
	}
	return ctx.Err()
}

// ask gets something, of which a hub may say that it is not available.
func (f *follower) ask(ctx context.Context, addr, path string, after int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	if after >= 0 {
		req.Header.Set("Last-Event-ID", fmt.Sprint(after))
	}
	res, err := f.soak.client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusRequestTimeout {
		return nil, wrong("GET %s: %s %s", path, res.Status, text)
	}
	return nil, errors.New(string(text))
}

// wait waits, or for the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// visit comes with a cursor of some time ago, reads what all others have read, and goes.
func (x *soak) visit(ctx context.Context, random *rand.Rand, n int) {
	head := x.ledger.known()
	after := max(0, head-random.Int64N(3000))
	if random.IntN(10) == 0 {
		after = random.Int64N(head + 1)
		head = min(head, after+5000)
	}
	ways := []way{bySocket, bySubscribes, byStream, byPolls}
	channels := []string{x.channel(random)}
	how := ways[random.IntN(len(ways))]
	if other := x.channel(random); how != byPolls && other != channels[0] {
		channels = append(channels, other)
	}
	f := newFollower(x, fmt.Sprintf("visitor-%d", n), how, x.any(random), channels...)
	f.cursor, f.seqs = after, x.ledger.upTo(after)
	for _, ch := range channels {
		f.last[ch] = after
	}
	goal := x.ledger.upTo(head)
	stay, leave := context.WithCancel(ctx)
	defer leave()
	var reading sync.WaitGroup
	reading.Go(func() { f.run(stay) })
	x.soon(ctx, 2*time.Minute, func() string {
		if ch, have := f.lacks(goal); ch != "" {
			return fmt.Sprintf("%v has not read up to seq %d of %s: it stands at %d; next is %s", f, goal[ch], ch, have, x.ledger.what(ch, have+1))
		}
		return ""
	})
	leave()
	reading.Wait()
	x.count("visits", 1)
}
