package ws

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience is how long a peer waits for a frame. It is longer than all that the server may take.
const patience = 20 * time.Second

// peer is a client made of a socket and nothing else, so that tests see every byte.
type peer struct {
	t        testing.TB
	nc       net.Conn
	br       *bufio.Reader
	protocol string // that the server selected
}

// frame is one frame as it came.
type frame struct {
	op   byte
	body []byte
}

// message is any JSON that a server sends.
type message struct {
	Type       string          `json:"type"`
	ID         json.RawMessage `json:"id"`
	Channel    string          `json:"channel"`
	LastID     int64           `json:"last_id"`
	Recovered  bool            `json:"recovered"`
	BusID      string          `json:"bus_id"`
	MessageID  int64           `json:"message_id"`
	Seq        int64           `json:"seq"`
	Duplicate  bool            `json:"duplicate"`
	Code       string          `json:"code"`
	Error      string          `json:"error"`
	InstanceID string          `json:"instance_id"`
	Status     string          `json:"status"`
	Message    struct {
		ID       int64  `json:"id"`
		Seq      int64  `json:"seq"`
		Channel  string `json:"channel"`
		Sender   string `json:"sender"`
		Kind     string `json:"kind"`
		Content  string `json:"content"`
		Verified bool   `json:"verified"`
	} `json:"message"`
}

// shake asks for a WebSocket at path and returns the answer. fields are further header fields.
func (h *house) shake(path string, fields ...string) (*peer, *http.Response, error) {
	nc, err := h.dial()
	if err != nil {
		return nil, nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	head := "GET " + path + " HTTP/1.1\r\nHost: " + h.addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	if _, err := io.WriteString(nc, head+"\r\n"); err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	p := &peer{t: h.t, nc: nc, br: bufio.NewReaderSize(nc, 1024)}
	resp, err := http.ReadResponse(p.br, nil)
	if err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	p.protocol = resp.Header.Get("Sec-WebSocket-Protocol")
	return p, resp, nil
}

// connect opens a WebSocket and closes it when the test is over.
func (h *house) connect(path string, fields ...string) *peer {
	h.t.Helper()
	p, resp, err := h.shake(path, fields...)
	if err != nil {
		h.t.Fatalf("connect to %s: %v", path, err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_ = p.nc.Close()
		h.t.Fatalf("connect to %s: %s", path, resp.Status)
	}
	h.t.Cleanup(func() { _ = p.nc.Close() })
	return p
}

// masked makes a client's frame.
func masked(head byte, body []byte) []byte {
	b := []byte{head}
	switch n := len(body); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range body {
		b = append(b, c^mask[i%4])
	}
	return b
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	_ = p.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// say sends a text frame.
func (p *peer) say(format string, args ...any) {
	p.t.Helper()
	p.write(masked(fin|opText, fmt.Appendf(nil, format, args...)))
}

// leave sends a close frame.
func (p *peer) leave(code int) {
	p.t.Helper()
	p.write(masked(fin|opClose, binary.BigEndian.AppendUint16(nil, uint16(code))))
}

func (p *peer) frame() (frame, error) {
	_ = p.nc.SetReadDeadline(time.Now().Add(patience))
	var head [10]byte
	if _, err := io.ReadFull(p.br, head[:2]); err != nil {
		return frame{}, err
	}
	if head[0]&0x70 != 0 || head[0]&fin == 0 || head[1]&0x80 != 0 {
		return frame{}, fmt.Errorf("no frame of a server begins %x", head[:2])
	}
	n := uint64(head[1])
	var err error
	switch n {
	case 126:
		_, err = io.ReadFull(p.br, head[2:4])
		n = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		_, err = io.ReadFull(p.br, head[2:10])
		n = binary.BigEndian.Uint64(head[2:])
	}
	if err != nil {
		return frame{}, err
	}
	if n > 8<<20 {
		return frame{}, fmt.Errorf("a frame of %d bytes", n)
	}
	f := frame{op: head[0] & opcode, body: make([]byte, n)}
	_, err = io.ReadFull(p.br, f.body)
	return f, err
}

// timeless returns the next frame that is neither a ping nor a position, which come at their own times.
func (p *peer) timeless() (frame, error) {
	for {
		f, err := p.frame()
		if err != nil || f.op != opPing && !bytes.HasPrefix(f.body, []byte(`{"type":"position"`)) {
			return f, err
		}
	}
}

// next returns the next message, having answered pings.
func (p *peer) next() (message, error) {
	for {
		f, err := p.frame()
		if err != nil {
			return message{}, err
		}
		switch f.op {
		case opPing:
			p.write(masked(fin|0xA, f.body))
		case opClose:
			return message{}, closed(f.body)
		case opText:
			var m message
			err := json.Unmarshal(f.body, &m)
			return m, err
		}
	}
}

// closed is the body of a close frame.
type closed []byte

func (c closed) Error() string { return fmt.Sprintf("closed: %d %q", c.code(), c.reason()) }

func (c closed) reason() string { return string(c[min(2, len(c)):]) }

func (c closed) code() int {
	if len(c) < 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(c))
}

// read returns the next message of the given type, having passed over positions; another one fails the test.
func (p *peer) read(want string) message {
	p.t.Helper()
	m, err := p.next()
	for err == nil && m.Type == "position" && want != "position" {
		m, err = p.next()
	}
	if err != nil {
		p.t.Fatalf("waiting for %q: %v", want, err)
	}
	if m.Type != want {
		p.t.Fatalf("got %+v, want type %q", m, want)
	}
	return m
}

// content reads a message of the bus.
func (p *peer) content() string {
	p.t.Helper()
	return p.read("message").Message.Content
}

// ended reads up to the close frame, answers it and returns its code once the server has closed the socket; 0 when
// it closed without one.
func (p *peer) ended() (code int, reason string) {
	p.t.Helper()
	for {
		_, err := p.next()
		var c closed
		switch {
		case err == nil:
		case errors.As(err, &c):
			code, reason = c.code(), c.reason()
			_, _ = p.nc.Write(masked(fin|opClose, c)) // the server may not wait for it
		case errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "closed"):
			return code, reason
		default:
			p.t.Fatalf("waiting for the end: %v", err)
		}
	}
}
