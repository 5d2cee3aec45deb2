package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// listener follows a channel over WebSocket.
type listener struct {
	*tally
	conn net.Conn
	in   *bufio.Reader
}

const (
	opText, opClose, opPing, opPong = 1, 8, 9, 10
	mostFrame                       = 4 << 20
)

// listen connects a listener; when it returns, the hub has said that it is subscribed.
func (r *run) listen(ctx context.Context, i int) (reader, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	l := &listener{tally: r.newTally(r.channel(i), &r.endToEnd), conn: conn, in: bufio.NewReaderSize(conn, 4096)}
	if err := l.subscribe(r, i); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

func (l *listener) subscribe(r *run, i int) error {
	if err := l.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	self := ""
	if r.Named {
		self = fmt.Sprintf("&instance_id=bench-%s-%d", r.id, i)
	}
	_, err := fmt.Fprintf(l.conn, "GET /ws?channels=%s%s HTTP/1.1\r\nHost: %s\r\n%sConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", r.name(l.channel), self, r.host, r.authorization())
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("the hub answered %s %s", resp.Status, text)
	}
	for range 2 { // welcome, subscribed
		if _, err := l.next(); err != nil {
			return err
		}
	}
	return l.conn.SetDeadline(time.Time{})
}

func (l *listener) seen() *tally { return l.tally }

// follow counts what comes until the connection ends.
func (l *listener) follow(ctx context.Context) {
	for {
		text, err := l.next()
		if err != nil {
			if ctx.Err() == nil {
				l.run.failures.note(&l.run.failures.closed, fmt.Errorf("a listener's connection ended: %w", err))
			}
			return
		}
		l.scan(text)
	}
}

func (l *listener) close() { _ = l.conn.Close() }

var errClosed = errors.New("closed by the hub")

// next returns the next text, and answers pings.
func (l *listener) next() ([]byte, error) {
	for {
		op, text, err := l.frame()
		switch {
		case err != nil:
			return nil, err
		case op == opText:
			return text, nil
		case op == opClose && len(text) >= 2:
			return nil, fmt.Errorf("%w: %d %s", errClosed, binary.BigEndian.Uint16(text), text[2:])
		case op == opClose:
			return nil, errClosed
		case op == opPing:
			// Masked with zeros, which leaves it as it is.
			pong := append([]byte{0x80 | opPong, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
			if _, err := l.conn.Write(pong); err != nil {
				return nil, err
			}
		}
	}
}

// frame reads one frame. A hub sends no fragments and no masks. Each gets memory of its own, as with every client whose
// user may keep what came.
func (l *listener) frame() (op byte, text []byte, err error) {
	head, err := l.in.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	op, size, more := head[0]&15, int(head[1]&127), 0
	switch size {
	case 126:
		more = 2
	case 127:
		more = 8
	}
	if head, err = l.in.Peek(2 + more); err != nil {
		return 0, nil, err
	}
	for i, b := range head[2:] {
		if i == 0 {
			size = 0
		}
		size = size<<8 | int(b)
	}
	if size < 0 || size > mostFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	if _, err := l.in.Discard(2 + more); err != nil {
		return 0, nil, err
	}
	text = make([]byte, size)
	_, err = io.ReadFull(l.in, text)
	return op, text, err
}
