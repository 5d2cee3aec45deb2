package dial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"crosstalk/models"
)

const (
	shake      = 15 * time.Second // to be let in
	firstPause = 500 * time.Millisecond
	longPause  = 20 * time.Second
	maxFrame   = 4 << 20 // the longest message, were all of it escapes, takes 1.6 MB
)

// Why the hub ends a connection for good.
const (
	closeUnauthenticated websocket.StatusCode = 4401
	closeForbidden       websocket.StatusCode = 4403
)

// open connects, however often it takes.
func (c *Client) open(ctx context.Context) error {
	for {
		if err := pause(ctx, time.Until(c.next)); err != nil {
			return err
		}
		err := c.connect(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		no, _ := errors.AsType[refusal](err)
		c.down(err, no.after)
		if no.final {
			return no.error
		}
	}
}

// refusal is a hub's answer that is no WebSocket.
type refusal struct {
	error
	final bool          // trying again does not mend it
	after time.Duration // when the hub wants to be tried again; 0: it did not say
}

func (r refusal) Unwrap() error { return r.error }

func (c *Client) connect(ctx context.Context) error {
	header := http.Header{}
	if c.opt.Key != "" {
		header.Set("Authorization", "Bearer "+c.opt.Key)
	}
	c.silence.Store(int64(shake))
	bounded, cancel := context.WithTimeout(ctx, shake)
	defer cancel()
	ws, resp, err := websocket.Dial(bounded, c.address(), &websocket.DialOptions{HTTPClient: c.http, HTTPHeader: header})
	switch {
	case err == nil:
		ws.SetReadLimit(maxFrame)
		c.ws, c.since = ws, time.Now()
		return nil
	case resp != nil:
		return c.verdict(resp)
	}
	return fmt.Errorf("the hub at %s cannot be reached: %w", c.to.Host, root(err))
}

// root leaves out what the libraries say of their own work, which would quote the whole address.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if _, net := err.(*net.OpError); net || inner == nil {
			return err
		}
		err = inner
	}
}

// verdict sorts what the hub, or a proxy before it, said instead of the upgrade.
func (c *Client) verdict(resp *http.Response) error {
	var said struct {
		Error string      `json:"error"`
		Code  models.Code `json:"code"`
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // what can be had of it
	if json.Unmarshal(body, &said) != nil || said.Error == "" || said.Code == "" {
		said.Error, said.Code = fmt.Sprintf("at %s no hub answers, but something that says %s", c.to.Host, resp.Status), models.NotFound
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	later := resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout
	return refusal{
		error: models.Errorf(said.Code, "%s", said.Error), final: !later,
		after: min(time.Duration(seconds)*time.Second, longPause),
	}
}

// lost notes that the connection has ended, and returns an error where Next must.
func (c *Client) lost(ctx context.Context, err error) error {
	c.Close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	bye, _ := errors.AsType[websocket.CloseError](err)
	switch bye.Code {
	case closeUnauthenticated:
		err = models.Errorf(models.Unauthenticated, "%s", bye.Reason)
	case closeForbidden:
		err = models.Errorf(models.Forbidden, "%s", bye.Reason)
	default:
		c.down(fmt.Errorf("the connection to %s was lost: %w", c.to.Host, root(err)), asked(bye.Reason))
		return nil
	}
	c.down(err, 0)
	return err
}

// down ends the connection and sets when to try again: after what the hub asked for, else after a pause that grows.
func (c *Client) down(err error, after time.Duration) {
	c.Close()
	if !c.since.IsZero() && time.Since(c.since) > longPause {
		c.tries = 0
	}
	c.since = time.Time{}
	if after <= 0 {
		ceiling := min(2*firstPause<<min(c.tries, 6), longPause)
		after = firstPause + rand.N(ceiling-firstPause)
	}
	c.tries++
	c.next = time.Now().Add(after)
	c.troubled = true
	if c.opt.Trouble != nil {
		c.opt.Trouble(err)
	}
}

// up says that the stream stands again.
func (c *Client) up() {
	if c.troubled && c.opt.Trouble != nil {
		c.opt.Trouble(nil)
	}
	c.troubled = false
	if c.opt.Standing != nil {
		c.opt.Standing()
	}
}

// asked finds when a hub that restarts wants to be tried again. 0: it does not say.
func asked(reason string) time.Duration {
	found := regexp.MustCompile(`retry in (\d{1,6}) ms`).FindStringSubmatch(reason)
	if found == nil {
		return 0
	}
	ms, _ := strconv.Atoi(found[1]) // digits
	return min(time.Duration(ms)*time.Millisecond, longPause)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// link is a connection that breaks when it is silent for too long, as one whose other end is gone without a word.
type link struct {
	net.Conn
	silence *atomic.Int64
}

func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := c.opt.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return link{nc, &c.silence}, nil
}

// expect makes the link break when two pings and a little have not come.
func (c *Client) expect(ping time.Duration) {
	c.silence.Store(int64(2*max(ping, time.Second) + 5*time.Second))
}

func (l link) Read(p []byte) (int, error) {
	if err := l.SetReadDeadline(time.Now().Add(time.Duration(l.silence.Load()))); err != nil {
		return 0, err
	}
	return l.Conn.Read(p)
}
