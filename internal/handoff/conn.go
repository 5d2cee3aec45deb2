package handoff

import (
	"io"
	"net"
	"slices"
	"sync/atomic"
)

// What a conn is.
const (
	serving  = iota // one request to net/http
	answered        // at rest: net/http waits for another request
	leaving         // at its end to net/http, because another request has come
	plain           // a connection, to a handler that hijacked it or to Fiber
	closed
	maxAhead = 4 << 10 // read from a client that sends on while its request is answered
)

// conn is a connection for one stay with one engine: both keep tables by connection, so each stay is another.
type conn struct {
	net.Conn
	h     *Handoff
	state atomic.Int32

	// Owned by whoever reads; an engine reads in one goroutine at a time.
	request []byte // what net/http has yet to read
	ahead   []byte // what the client sent after it
	lent    int    // how much of ahead net/http holds
}

// NetConn returns the connection underneath, for its descriptor: what was read ahead comes only from Read.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Read(p []byte) (n int, err error) {
	state := c.state.Load()
	switch {
	case len(c.request) > 0:
		n = copy(p, c.request)
		if c.request = c.request[n:]; len(c.request) == 0 {
			c.request = nil // a body can be large, and a conversation long
		}
	case state == serving: // net/http looks whether the client has left, as long as it finds no byte
		if err = c.fill(c.Conn, maxAhead); err == nil {
			n = copy(p, c.ahead[c.lent:])
			c.lent += n
		}
	case state == answered || state == leaving:
		if err = c.fill(c.Conn, 1); err == nil {
			c.state.CompareAndSwap(answered, leaving)
			err = io.EOF
		}
	case len(c.ahead) > 0:
		n = copy(p, c.ahead)
		c.ahead = c.ahead[n:]
	default:
		c.ahead = nil // a conversation lasts, and would keep its 512 bytes
		n, err = c.Conn.Read(p)
	}
	return n, err
}

// fill adds to ahead what r has, until that has enough.
func (c *conn) fill(r io.Reader, enough int) error {
	for len(c.ahead) < enough {
		c.ahead = slices.Grow(c.ahead, 512)
		n, err := r.Read(c.ahead[len(c.ahead):cap(c.ahead)])
		if c.ahead = c.ahead[:len(c.ahead)+n]; err != nil {
			return err
		}
	}
	return nil
}

// Close leaves the connection to Fiber when net/http closes it because another request has come.
func (c *conn) Close() error {
	was := c.state.Swap(closed)
	if was == closed || was == leaving && c.h.back(c.Conn, c.ahead) {
		return nil
	}
	return c.Conn.Close()
}
