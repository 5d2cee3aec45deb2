package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// caller is an MCP client that waits, again and again, for what nobody says.
type caller struct {
	*tally
	self string
	conn net.Conn
	in   *bufio.Reader
	wait *http.Response // that has begun; owned by follow once connected
}

// mostSilence is how long a hub may be silent in a wait: every 15 s it says that it lives.
const mostSilence = 60 * time.Second

// call connects a caller; when it returns, the hub has said that it waits for it.
func (r *run) call(ctx context.Context, i int) (reader, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &caller{tally: r.newTally(r.channel(i), &r.wake), self: fmt.Sprintf("bench-%s-%d", r.id, i), conn: conn, in: bufio.NewReaderSize(conn, 4096)}
	if err = c.register(); err == nil {
		err = c.begin()
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("wait_for_reply: %w", err)
	}
	return c, nil
}

func (c *caller) register() error {
	resp, err := c.ask("register", fmt.Sprintf(`{"instance_id":%q}`, c.self), "")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && strings.Contains(string(body), `"error"`) {
		err = fmt.Errorf("the hub answered %.500s", body)
	}
	return err
}

// begin begins a wait. The hub says at once that it does.
func (c *caller) begin() (err error) {
	c.wait, err = c.ask("wait_for_reply", fmt.Sprintf(`{"instance_id":%q,"channel":%q}`, c.self, c.run.name(c.channel)), `,"_meta":{"progressToken":1}`)
	if err != nil {
		return err
	}
	var first [5]byte
	if _, err := io.ReadFull(c.wait.Body, first[:]); err != nil {
		return err
	}
	if string(first[:]) != "event" && string(first[:]) != "data:" {
		return fmt.Errorf("the hub's answer is no stream of events but begins with %q", first)
	}
	return nil
}

// ask calls a tool.
func (c *caller) ask(tool, arguments, meta string) (*http.Response, error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s%s}}`, tool, arguments, meta)
	if err := c.conn.SetDeadline(time.Now().Add(mostSilence)); err != nil {
		return nil, err
	}
	_, err := fmt.Fprintf(c.conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: %d\r\n\r\n%s",
		c.run.host, c.run.authorization(), len(body), body)
	if err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return nil, fmt.Errorf("the hub answered %s %s", resp.Status, text)
	}
	return resp, nil
}

func (c *caller) seen() *tally { return c.tally }

func (c *caller) close() { _ = c.conn.Close() }

// follow waits until the connection ends.
func (c *caller) follow(ctx context.Context) {
	for {
		err := c.listen()
		if err == nil {
			c.run.answered.Add(1)
			err = c.begin()
		}
		if err != nil {
			if ctx.Err() == nil {
				c.run.failures.note(&c.run.failures.closed, fmt.Errorf("a caller's connection ended: %w", err))
			}
			return
		}
	}
}

// listen reads signs of life until the wait is over.
func (c *caller) listen() error {
	var some [512]byte
	for {
		if err := c.conn.SetReadDeadline(time.Now().Add(mostSilence)); err != nil {
			return err
		}
		if _, err := c.wait.Body.Read(some[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
