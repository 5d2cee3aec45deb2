package ws

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"crosstalk/hub"
	"crosstalk/models"
)

const (
	maxAnswers = 256 << 10       // bytes of answers that may wait before commands do
	linger     = 5 * time.Second // for the peer to answer a close frame
)

// conn is one WebSocket. Its reader goroutine reads frames and does what they ask. What is to be written waits in out
// and in the streams until the conn's turn in the run queue; only the goroutine whose turn it is writes to the socket.
type conn struct {
	// Set before any other goroutine knows of the conn, then constant.
	srv      *Server
	who      models.Principal
	instance string // the name given at connect; empty for none
	held     bool   // the hub holds it for us
	depart   func() // gives back its place among the connections; nil for none
	unfollow func() // ends the watch of the credential; nil for none
	ws       *websocket.Conn
	nc       net.Conn
	socket   net.Conn        // nc without its wrappers
	raw      syscall.RawConn // of socket; nil: it can only be written to by waiting

	// Owned by the goroutine of the HTTP request, then by the reader.
	ahead   []byte        // what net/http had read of the client's frames
	frames  *bufio.Reader // through which the library reads
	between bool          // the library has all of the last message, and nothing of what follows
	readErr error         // of the socket

	heard atomic.Bool // since the last beat
	busy  atomic.Bool // with a command, so not hearing anything
	turn  atomic.Int32

	// Guarded by the run queue's lock.
	behindMe *conn

	// Guarded by the Server's lock.
	slot, index int

	mu sync.Mutex
	// Guarded by mu, which is held for no longer than memory takes.
	room    sync.Cond    // broadcast when out was taken, bye was written, or dead
	out     []byte       // frames to be written before anything else
	streams []*stream    // changed only by the owner of ahead
	first   int          // the stream that is served first next time
	watcher *hub.Watcher // of who comes and goes; nil: nobody asked
	tell    bool         // a position is due
	told    int64        // the greatest id that the client knows
	bye     []byte       // close frame; once set nothing else is queued
	limit   *time.Timer  // kills when the peer does not take or answer bye
	over    bool         // bye is being written: nothing may follow it
	written bool         // bye
	dead    bool
}

func (s *Server) newConn(who models.Principal) *conn {
	c := &conn{srv: s, who: who}
	c.room.L = &c.mu
	c.heard.Store(true)
	c.turn.Store(running) // until start
	return c
}

// start begins the conversation; the caller's part in the Server's work goes over to the reader.
func (c *conn) start() {
	switch c.srv.add(c) {
	case draining:
		c.close(closeRestart, retry(1))
	case shut:
		c.kill()
	}
	go c.read()
	c.requeue()
}

func (c *conn) read() {
	defer c.srv.work.Done()
	defer c.srv.remove(c)
	for {
		c.between = c.frames.Buffered() == 0
		typ, r, err := c.ws.Reader(context.Background())
		if err == nil {
			c.busy.Store(true)
			err = c.take(typ, r)
			c.heard.Store(true)
			c.busy.Store(false)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// Large messages of all connections, which have at most maxMessage each.
const (
	largeText  = 64 << 10
	largeTexts = 32               // at once; more wait for their turn
	largeTime  = 20 * time.Second // to send one whose turn has come
)

// receive reads a message into t. A large one has a turn from then on until done, which may be called again, in vain: many
// that come slowly would fill the memory. Who takes too long over it is cut off, as others wait.
func (c *conn) receive(t *bytes.Buffer, r io.Reader) (done func(), err error) {
	done = func() {}
	if _, err = t.ReadFrom(io.LimitReader(r, largeText)); err != nil || t.Len() < largeText {
		return done, err
	}
	select {
	case c.srv.large <- struct{}{}:
	case <-c.srv.ctx.Done():
		return done, c.srv.ctx.Err()
	}
	done = sync.OnceFunc(func() { <-c.srv.large })
	timer := time.AfterFunc(largeTime, c.kill)
	defer timer.Stop()
	_, err = t.ReadFrom(r)
	return done, err
}

// take reads a message and does what it says.
func (c *conn) take(typ websocket.MessageType, r io.Reader) error {
	t := c.srv.texts.Get().(*bytes.Buffer)
	defer func() {
		if t.Cap() <= 64<<10 {
			t.Reset()
			c.srv.texts.Put(t)
		}
	}()
	done, err := c.receive(t, r)
	defer done()
	if err != nil {
		return err
	}
	if c.readErr != nil { // the library takes a socket's end between two parts of a message for the message's
		return c.readErr
	}
	if c.closing() {
		return nil
	}
	if typ != websocket.MessageText || !utf8.Valid(t.Bytes()) {
		c.close(closeInvalid, "send text frames of valid UTF-8, one JSON object each")
		return nil
	}
	c.obey(t.Bytes())
	done()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > maxAnswers && !c.dead {
		c.room.Wait()
	}
	return nil
}

// send queues an answer.
func (c *conn) send(payload []byte) {
	c.mu.Lock()
	if c.bye == nil && !c.dead {
		c.out = appendText(c.out, payload)
	}
	c.mu.Unlock()
	c.wake()
}

func (c *conn) closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bye != nil
}

// close says goodbye, unless somebody has. The reader then waits for the peer to leave, for at most linger.
func (c *conn) close(code int, reason string) {
	c.mu.Lock()
	c.leave(appendClose(nil, code, reason))
	c.mu.Unlock()
	c.wake()
}

// leave queues a close frame. The caller holds mu.
func (c *conn) leave(bye []byte) {
	if c.bye != nil || c.dead {
		return
	}
	c.bye = bye
	c.limit = time.AfterFunc(linger, c.kill)
}

// end brings the connection to its end after the reader read err.
func (c *conn) end(err error) {
	violation := c.readErr == nil && websocket.CloseStatus(err) == -1
	c.mu.Lock()
	if violation && !c.dead {
		c.leave(appendClose(nil, closeProtocol, "not a frame of RFC 6455"))
	}
	c.mu.Unlock()
	c.wake()
	if c.parting() && violation {
		// The peer is to read the close frame before it learns that nobody reads the rest of what it sends.
		if half, ok := c.socket.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, (*link)(c))
	}
	if c.unfollow != nil {
		c.unfollow()
	}
	c.release() // first, so that who comes back at once finds its name free
	c.kill()
	c.mu.Lock()
	if c.limit != nil {
		c.limit.Stop()
	}
	c.mu.Unlock()
	_ = c.ws.CloseNow() // frees what the library holds; the socket is closed
	c.srv.log.Debug("websocket closed", "instance_id", c.instance, "reason", err)
}

// parting waits until the close frame, if there is one, has been written, or cannot be any more.
func (c *conn) parting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.bye != nil && !c.written && !c.dead {
		c.room.Wait()
	}
	return c.written && !c.dead
}

// kill closes the socket at once. Whoever waits on the conn finds it dead.
func (c *conn) kill() {
	c.mu.Lock()
	was := c.dead
	c.dead = true
	c.out = nil
	c.room.Broadcast()
	c.mu.Unlock()
	if !was {
		_ = c.nc.Close()
	}
}

// release gives back, once, what the conn has of the hub.
func (c *conn) release() {
	if c.depart != nil {
		c.depart()
	}
	c.mu.Lock()
	if c.watcher != nil {
		c.watcher.Close()
	}
	streams := c.streams
	c.streams = nil
	for _, st := range streams {
		st.gone = true
	}
	c.mu.Unlock()
	for _, st := range streams {
		st.sub.Close()
	}
	if c.held {
		c.srv.hub.Release(c.who, c.instance)
	}
}

// beat pings the client, and ends the connection when nothing came since the beat before.
func (c *conn) beat() {
	if !c.busy.Load() && !c.heard.Swap(false) {
		c.kill()
		return
	}
	c.mu.Lock()
	if c.bye == nil && !c.dead && len(c.out) <= maxAnswers {
		c.out = appendHeader(c.out, opPing, 0)
	}
	c.tell = true
	c.mu.Unlock()
	c.wake()
}
