package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// publisher sends one message after the other.
type publisher struct {
	// Set by newPublisher, then constant.
	run    *run
	number int
	talks  []*talk // one for each of its channels, which get its messages in turn

	conn net.Conn
	in   *bufio.Reader
	sent int64 // messages that were tried
}

// talk is what one publisher says in one channel.
type talk struct {
	// Set by newPublisher, then constant.
	publisher int
	channel   int
	names     int64 // that it says it under

	// Owned by send; read once it has returned.
	seq     int64          // of the last message that was tried
	counted int64          // answered, of those that count
	unsure  map[int64]bool // not answered, or with an error: they may be there or not
}

// newPublisher gives the i-th publisher its channels. Where there are only two in a channel each takes three names,
// since two that talk only to each other would be stopped.
func (r *run) newPublisher(i int) *publisher {
	p := &publisher{run: r, number: i}
	for ch := r.channel(i); ch < r.Channels; ch += r.Publishers {
		t := &talk{publisher: i, channel: ch, names: 1, unsure: map[int64]bool{}}
		if publishers := (r.Publishers + r.Channels - 1 - ch) / r.Channels; publishers == 2 {
			t.names = 3
		}
		if p.talks = append(p.talks, t); i >= r.Channels {
			break
		}
	}
	return p
}

const answerTime = 30 * time.Second

// send publishes until a time.
func (p *publisher) send(ctx context.Context, first, end time.Time) {
	defer p.hangUp()
	for ctx.Err() == nil {
		if p.run.Rate > 0 {
			due := first.Add(time.Duration((float64(p.sent)*float64(p.run.Publishers) + float64(p.number)) / float64(p.run.Rate) * float64(time.Second)))
			if due.After(end) || !pause(ctx, time.Until(due)) {
				return
			}
		}
		sent := time.Now()
		if sent.After(end) {
			return
		}
		t := p.talks[p.sent%int64(len(p.talks))]
		p.sent++
		t.seq++
		p.one(ctx, t, sent)
	}
}

// one sends one message, as often as the hub asks for.
func (p *publisher) one(ctx context.Context, t *talk, sent time.Time) {
	for {
		status, after, err := p.post(ctx, p.run.body(t, sent))
		switch {
		case err == nil && status == http.StatusTooManyRequests:
			p.run.failures.note(&p.run.failures.refused, fmt.Errorf("the hub limits what is sent to it: %d, again after %s", status, after))
			if !pause(ctx, after) {
				t.unsure[t.seq] = true
				return
			}
			sent = time.Now()
			continue
		case err == nil && status == http.StatusOK:
			if sent.UnixNano() >= p.run.began.Load() {
				t.counted++
				p.run.published.Add(1)
				p.run.ack.add(time.Since(sent))
			}
			return
		case err == nil:
			err = fmt.Errorf("the hub answered a message with %d", status)
		}
		t.unsure[t.seq] = true
		if ctx.Err() == nil {
			p.run.failures.note(&p.run.failures.publish, err)
		}
		p.hangUp()
		pause(ctx, 20*time.Millisecond)
		return
	}
}

// post sends a body and returns what came back.
func (p *publisher) post(ctx context.Context, body []byte) (status int, after time.Duration, err error) {
	if p.conn == nil {
		if p.conn, err = p.run.dial(ctx); err != nil {
			return 0, 0, err
		}
		p.in = bufio.NewReaderSize(p.conn, 4096)
	}
	if err := p.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, 0, err
	}
	head := "POST /api/messages HTTP/1.1\r\nHost: " + p.run.host + "\r\n" + p.run.authorization() +
		"Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	if _, err := p.conn.Write(append([]byte(head), body...)); err != nil {
		return 0, 0, err
	}
	resp, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return 0, 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // absent is 0
	return resp.StatusCode, max(time.Duration(seconds)*time.Second, 100*time.Millisecond), err
}

func (p *publisher) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}

// authorization is the header that shows the key.
func (r *run) authorization() string {
	if r.Key == "" {
		return ""
	}
	return "Authorization: Bearer " + r.Key + "\r\n"
}

// phrases are what agents say: a search index has to work for them.
const phrases = "the build is green again after the cache was cleared, who takes the review of the session store? " +
	"migration three waits for a lock on staging; retry at noon and report the slowest query. token refresh fails when two tabs " +
	"are open, see handler and its test. renamed cursor to position in all clients, docs follow tomorrow. deploy window moved, " +
	"tell the on-call person first. memory is flat since the pool was bounded, latency a little higher than last week. "

// body is the message that is due, as JSON.
func (r *run) body(t *talk, sent time.Time) []byte {
	mark := r.mark() + strconv.Itoa(t.publisher) + "." + strconv.FormatInt(t.seq, 10) + "." + strconv.FormatInt(sent.UnixNano(), 10) + "; "
	content := mark
	if n := r.Size - len(mark); n > 0 {
		from := int((t.seq*37 + int64(t.publisher)*101) % int64(len(phrases)))
		content += strings.Repeat(phrases[from:]+phrases[:from], n/len(phrases)+1)[:n]
	}
	sender := "bench-" + strconv.Itoa(t.publisher)
	if t.names > 1 {
		sender += "-" + strconv.FormatInt(t.seq%t.names, 10)
	}
	b, err := json.Marshal(map[string]string{"channel": r.name(t.channel), "sender": sender, "content": content})
	if err != nil {
		panic(err) // texts only
	}
	return b
}

// mark is what messages of this run begin with. What follows is PUBLISHER.SEQ.NANOSECONDS;
func (r *run) mark() string { return "bench." + r.id + "." }
