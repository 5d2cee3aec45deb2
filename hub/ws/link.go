package ws

import (
	"bytes"
	"net"
	"time"
)

// link is the face of a conn that the WebSocket library sees. The library reads through it, but writes no data frames,
// only pongs and close frames, each with one Write; they are queued like all else. Answers to our pings, of which the
// library knows nothing, it does not see where they come alone: it would take 5 us over each, which is a quarter of all that
// an idle connection costs.
type link conn

func (l *link) Read(p []byte) (int, error) {
	if len(l.ahead) > 0 {
		l.between = false
		n := copy(p, l.ahead)
		if l.ahead = l.ahead[n:]; len(l.ahead) == 0 {
			l.ahead = nil
		}
		return n, nil
	}
	n, err := l.nc.Read(p)
	for l.between && err == nil && isPong(p[:n]) {
		l.heard.Store(true)
		n, err = l.nc.Read(p)
	}
	l.between = false
	if n > 0 {
		l.heard.Store(true)
	}
	if err != nil {
		l.readErr = err
	}
	return n, err
}

// isPong says that b is the answer to a ping of ours, which has no payload, and nothing else.
func isPong(b []byte) bool { return len(b) == 6 && b[0] == fin|opPong && b[1] == 0x80 }

func (l *link) Write(p []byte) (int, error) {
	c := (*conn)(l)
	c.mu.Lock()
	switch {
	case c.dead:
		c.mu.Unlock()
		return 0, net.ErrClosed
	case p[0]&opcode == opClose:
		c.leave(bytes.Clone(p))
	case c.bye == nil && len(c.out) <= maxAnswers: // of pongs only the latest must be sent
		c.out = append(c.out, p...)
	}
	c.mu.Unlock()
	c.wake()
	return len(p), nil
}

// Close leaves the socket open when there is a close frame: the library closes as soon as it has handed it to Write,
// when it is yet to be written.
func (l *link) Close() error {
	if c := (*conn)(l); !c.closing() {
		c.kill()
	}
	return nil
}

func (l *link) LocalAddr() net.Addr                { return l.nc.LocalAddr() }
func (l *link) RemoteAddr() net.Addr               { return l.nc.RemoteAddr() }
func (l *link) SetDeadline(t time.Time) error      { return l.nc.SetDeadline(t) }
func (l *link) SetReadDeadline(t time.Time) error  { return l.nc.SetReadDeadline(t) }
func (l *link) SetWriteDeadline(t time.Time) error { return l.nc.SetWriteDeadline(t) }
