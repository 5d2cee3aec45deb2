package faults

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// socket is the client's end of a WebSocket, on bare TCP: small enough to have a thousand, and able to misbehave.
type socket struct {
	net.Conn
	in  *bufio.Reader
	buf []byte
}

const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// closed is how the server ended a WebSocket.
type closed struct {
	code   int
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed with %d %s", c.code, c.reason) }

// codeOf returns the close code that err carries; 1006 when there was none.
func codeOf(err error) int {
	if c, ok := errors.AsType[*closed](err); ok {
		return c.code
	}
	return 1006
}

// openSocket connects to /ws. With narrow, the system keeps little of what is not read.
func openSocket(addr, query string, narrow bool) (*socket, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if narrow {
		if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	s := &socket{Conn: conn, in: bufio.NewReaderSize(conn, 2048)}
	if err := s.handshake(addr, query); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) handshake(addr, query string) error {
	if err := s.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s, "GET /ws?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", query, addr)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(res.Body)
		return fmt.Errorf("handshake: %s %s", res.Status, text)
	}
	return s.SetDeadline(time.Time{})
}

// next returns the next text, which is good until the call after. It answers pings on the way. The end of the
// conversation is a *closed.
func (s *socket) next() ([]byte, error) {
	for {
		op, err := s.frame()
		if err != nil {
			return nil, err
		}
		switch op {
		case opText:
			return s.buf, nil
		case opPing:
			if err := s.send(opPong, s.buf); err != nil {
				return nil, err
			}
		case opPong:
		case opClose:
			c := &closed{code: 1005}
			if len(s.buf) >= 2 {
				c.code, c.reason = int(binary.BigEndian.Uint16(s.buf)), string(s.buf[2:])
			}
			return nil, c
		default:
			return nil, fmt.Errorf("the server sent a frame with opcode %d", op)
		}
	}
}

// frame reads one frame into buf.
func (s *socket) frame() (op byte, err error) {
	var head [10]byte
	if _, err := io.ReadFull(s.in, head[:2]); err != nil {
		return 0, err
	}
	if head[0]&0xf0 != 0x80 || head[1]&0x80 != 0 {
		return 0, fmt.Errorf("the server sent a frame that begins with %x", head[:2])
	}
	n := uint64(head[1])
	switch n {
	case 126:
		_, err = io.ReadFull(s.in, head[2:4])
		n = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		_, err = io.ReadFull(s.in, head[2:10])
		n = binary.BigEndian.Uint64(head[2:])
	}
	if err != nil {
		return 0, err
	}
	if n > 4<<20 {
		return 0, fmt.Errorf("the server sent a frame of %d bytes", n)
	}
	if uint64(cap(s.buf)) < n {
		s.buf = make([]byte, n)
	}
	s.buf = s.buf[:n]
	_, err = io.ReadFull(s.in, s.buf)
	return head[0] & 0x0f, err
}

// send sends one frame.
func (s *socket) send(op byte, payload []byte) error {
	_, err := s.Write(appendFrame(nil, 0x80|op, payload))
	return err
}

// appendFrame appends a frame masked with a key of zeros, which changes nothing.
func appendFrame(dst []byte, first byte, payload []byte) []byte {
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, 0x80|127), uint64(n))
	}
	return append(append(dst, 0, 0, 0, 0), payload...)
}
