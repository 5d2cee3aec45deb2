package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// waiter follows a channel by long polls.
type waiter struct {
	*tally
	conn  net.Conn
	in    *bufio.Reader
	after int64
}

const (
	pollSeconds = 30 // the most that a hub waits
	mostPage    = 8 << 20
)

// wait connects a waiter and finds out where its channel ends.
func (r *run) wait(ctx context.Context, ch int) (reader, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	w := &waiter{tally: r.newTally(ch, &r.wake), conn: conn, in: bufio.NewReaderSize(conn, 4096)}
	if err := w.poll("limit=1"); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("wait: %w", err)
	}
	return w, nil
}

func (w *waiter) seen() *tally { return w.tally }

func (w *waiter) close() { _ = w.conn.Close() }

// follow polls until the connection ends.
func (w *waiter) follow(ctx context.Context) {
	for {
		if err := w.poll(fmt.Sprintf("after_id=%d&wait=%d", w.after, pollSeconds)); err != nil {
			if ctx.Err() == nil {
				w.run.failures.note(&w.run.failures.closed, fmt.Errorf("a waiter's connection ended: %w", err))
			}
			return
		}
		w.run.answered.Add(1)
	}
}

// poll asks once and counts what comes.
func (w *waiter) poll(query string) error {
	if err := w.conn.SetDeadline(time.Now().Add(answerTime + pollSeconds*time.Second)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w.conn, "GET /api/messages/%s?%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", w.run.name(w.channel), query, w.run.host, w.run.authorization())
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostPage))
	if err != nil {
		return err
	}
	var page struct {
		NextAfterID int64 `json:"next_after_id"`
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the hub answered %s %.500s", resp.Status, body)
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return fmt.Errorf("the hub's answer is no page: %w", err)
	}
	w.after = page.NextAfterID
	w.scan(body)
	return nil
}
