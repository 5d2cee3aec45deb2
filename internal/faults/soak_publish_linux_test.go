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
	"time"
)

// author sends one message after the other, each until it is acknowledged, with the same key; to another node when one does
// not answer. Now and then it hangs up without waiting for the answer, asks again for what it knows, or uses a key twice.
type author struct {
	// Set before run, then constant.
	soak   *soak
	number int
	door   string // rest, socket or mcp
	pace   time.Duration

	// Owned by run.
	random  *rand.Rand
	live    *socket
	session *session
	n       int   // messages so far
	last    int64 // id of its last
}

func publisherName(number int) string { return fmt.Sprintf("publisher-%d", number) }

func newAuthor(x *soak, number int, door string, pace time.Duration) *author {
	return &author{soak: x, number: number, door: door, pace: pace, random: x.dice(publisherName(number))}
}

// answer is what a hub says of a message.
type answer struct {
	id, seq   int64
	channel   string
	duplicate bool
}

// letter is what is sent.
type letter struct {
	Channel string `json:"channel"`
	Sender  string `json:"sender"`
	Content string `json:"content"`
	Parent  int64  `json:"in_reply_to,omitempty"`
	Key     string `json:"idempotency_key"`
}

// run publishes until halt is closed; what it has begun it brings to an end, unless ctx ends.
func (a *author) run(ctx context.Context, halt <-chan struct{}) {
	defer a.hangUp()
	for ctx.Err() == nil && a.soak.failed() == nil {
		select {
		case <-halt:
			return
		case <-time.After(time.Duration(a.random.Int64N(int64(2 * a.pace)))):
		}
		size := 20 + a.random.IntN(300)
		if a.random.IntN(60) == 0 {
			size = a.random.IntN(14 << 10)
		}
		parent := int64(0)
		if a.random.IntN(5) == 0 {
			parent = a.last
		}
		a.publish(ctx, a.soak.channel(a.random), strings.ToValidUTF8(filler[:size], ""), parent)
	}
}

// publish sees one message through.
func (a *author) publish(ctx context.Context, channel, text string, parent int64) {
	n := a.n
	a.n++
	m := letter{channel, publisherName(a.number), fmt.Sprintf("%d/%d %s", a.number, n, text), parent, fmt.Sprintf("key-%d", n)}
	p := a.soak.ledger.send(a.number, channel, m.Content, parent)
	node := a.soak.nodes[a.number%len(a.soak.nodes)]
	switch a.random.IntN(100) {
	case 0: // hangs up, and is never heard of again
		a.soak.count("sends abandoned", 1)
		a.hurry(node, m)
		a.soak.ledger.abandon(p)
		return
	case 1: // hangs up, and does not know
		a.soak.count("sends hung up on", 1)
		a.hurry(node, m)
	}
	got, ok := a.insist(ctx, node, m, p)
	if !ok {
		return
	}
	a.last = got.id
	switch a.random.IntN(50) {
	case 0: // asks again, somewhere else
		a.soak.count("sends repeated", 1)
		again, ok := a.insist(ctx, a.soak.pick(a.random), m, p)
		if ok && !again.duplicate {
			a.soak.failf("publisher %d sent what was acknowledged again, and was not told so: %v", a.number, p)
		}
	case 1:
		a.soak.count("keys used twice", 1)
		a.clash(ctx, m, p)
	}
}

// insist sends until there is an answer.
func (a *author) insist(ctx context.Context, node *node, m letter, p *parcel) (answer, bool) {
	for begun := time.Now(); ctx.Err() == nil && a.soak.failed() == nil; {
		got, err := a.send(node, m)
		if err == nil && got.seq == 0 && a.door != "mcp" {
			err = wrong("it was told id %d and no seq of %v", got.id, p)
		}
		if err == nil {
			if err = a.soak.ledger.ack(p, publisherName(a.number), got.id, got.seq, got.channel, got.duplicate); err == nil {
				return got, true
			}
		}
		if _, bad := errors.AsType[*wrongMessage](err); bad {
			a.soak.failf("publisher %d by %s at %v: %w", a.number, a.door, node, err)
			return got, false
		}
		if !errors.Is(err, errNotUp) {
			a.soak.count("sends not answered or refused", 1)
		}
		if time.Since(begun) > patience {
			a.soak.failf("publisher %d by %s had no answer for %s, the last from %v: %w. It sent %v", a.number, a.door, patience, node, err, p)
			return got, false
		}
		a.hangUp()
		node = a.soak.pick(a.random)
		wait(ctx, time.Duration(10+a.random.IntN(90))*time.Millisecond)
	}
	return answer{}, false
}

// clash sends something else under a key that was used: it must not be stored.
func (a *author) clash(ctx context.Context, m letter, p *parcel) {
	m.Content += " and something else"
	for range 20 {
		_, err := a.rest(ctx, a.soak.pick(a.random).at(), m)
		if err == nil {
			a.soak.failf("publisher %d was let use a key twice: %v", a.number, p)
			return
		}
		if _, bad := errors.AsType[*wrongMessage](err); bad {
			a.soak.failf("publisher %d used a key twice: %w. It was that of %v", a.number, err, p)
			return
		}
		if strings.HasPrefix(err.Error(), "409 ") || ctx.Err() != nil {
			return
		}
		wait(ctx, 100*time.Millisecond)
	}
}

// hurry sends and does not wait for the answer.
func (a *author) hurry(node *node, m letter) {
	body, _ := json.Marshal(m) // texts and a number
	conn, err := net.DialTimeout("tcp", node.at(), 5*time.Second)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	<-time.After(time.Duration(a.random.IntN(3000)) * time.Microsecond)
}

// send sends once. Unless the error is a wrongMessage, there is no telling whether the message was stored.
func (a *author) send(node *node, m letter) (answer, error) {
	addr := node.at()
	if addr == "" {
		return answer{}, errNotUp
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	switch a.door {
	case "socket":
		return a.overSocket(addr, m)
	case "mcp":
		return a.overMCP(ctx, addr, m)
	}
	got, err := a.rest(ctx, addr, m)
	if err != nil && strings.HasPrefix(err.Error(), "4") {
		err = wrong("it was answered %v", err)
	}
	return got, err
}

func (a *author) rest(ctx context.Context, addr string, m letter) (got answer, err error) {
	if addr == "" {
		return got, errNotUp
	}
	body, err := json.Marshal(m)
	if err != nil {
		return got, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/api/messages", bytes.NewReader(body))
	if err != nil {
		return got, err
	}
	req.GetBody = nil // so that the transport does not send again by itself
	req.Header.Set("Content-Type", "application/json")
	res, err := a.soak.client.Do(req)
	if err != nil {
		return got, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return got, err
	case res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusConflict:
		return got, fmt.Errorf("%s %s", res.Status, text)
	case res.StatusCode != http.StatusOK:
		return got, wrong("it was answered %s %s", res.Status, text)
	}
	var told struct {
		ID, Seq   int64
		Channel   string
		Duplicate bool
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return got, err
	}
	return answer{told.ID, told.Seq, told.Channel, told.Duplicate}, nil
}

func (a *author) overSocket(addr string, m letter) (got answer, err error) {
	if a.live == nil {
		if a.live, err = openSocket(addr, "", false); err != nil {
			return got, unlessAway(err)
		}
	}
	body, err := json.Marshal(struct {
		Type string `json:"type"`
		ID   string `json:"id"`
		letter
	}{"publish", m.Key, m})
	if err != nil {
		return got, err
	}
	if err := a.live.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return got, err
	}
	if err := a.live.send(opText, body); err != nil {
		return got, err
	}
	for {
		text, err := a.live.next()
		if err != nil {
			return got, err
		}
		var frame struct {
			Type, Code, ID string
			MessageID      int64 `json:"message_id"`
			Seq            int64
			Duplicate      bool
		}
		if err := json.Unmarshal(text, &frame); err != nil {
			return got, wrong("frame %q: %v", text, err)
		}
		switch {
		case frame.Type == "welcome":
		case frame.Type == "published" && frame.ID == m.Key:
			return answer{frame.MessageID, frame.Seq, m.Channel, frame.Duplicate}, nil
		case frame.Type == "error" && frame.Code == "unavailable":
			return got, errors.New(string(text))
		default:
			return got, wrong("it was answered %s", text)
		}
	}
}

func (a *author) overMCP(ctx context.Context, addr string, m letter) (got answer, err error) {
	if a.session == nil {
		a.session = newSession(a.soak, publisherName(a.number))
	}
	args := map[string]any{"channel": m.Channel, "sender": m.Sender, "content": m.Content, "idempotency_key": m.Key}
	if m.Parent > 0 {
		args["in_reply_to"] = m.Parent
	}
	text, err := a.session.call(ctx, addr, "send_message", args)
	if err != nil {
		return got, err
	}
	if _, err := fmt.Sscanf(text, "Message #%d sent to #%s ", &got.id, &got.channel); err != nil {
		return got, wrong("it was answered %q: %v", text, err)
	}
	got.duplicate = strings.Contains(text, "It was sent before")
	return got, nil
}

func (a *author) hangUp() {
	if a.live != nil {
		_ = a.live.Close()
		a.live = nil
	}
	a.session = nil
}
