package faults

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHostileBytes sends what no client should. Each time the server says what is wrong or hangs up, and when all are gone
// it is as it was.
func TestHostileBytes(t *testing.T) {
	random, _ := chance(t)
	s := newServer(t, crosstalk(t), filepath.Join(memoryFolder(t), "bus.db"), "--pprof", "127.0.0.1:0")
	s.start(t)
	well(t, s)
	before := s.level(t)

	stalled := stall(t, s)
	for name, c := range hostileRequests() {
		t.Run(name, func(t *testing.T) {
			if got := exchange(t, s, c.bytes); !slices.Contains(c.statuses, got) {
				t.Errorf("answered %d, not one of %d", got, c.statuses)
			}
		})
	}
	for name, c := range hostileFrames() {
		t.Run(name, func(t *testing.T) {
			if got := converse(t, s, c.bytes); !slices.Contains(c.statuses, got) {
				t.Errorf("ended with %d, not one of %d", got, c.statuses)
			}
		})
	}
	t.Run("anything", func(t *testing.T) {
		for range 300 {
			noise := make([]byte, 1+random.IntN(4000))
			for i := range noise {
				noise[i] = byte(random.IntN(256))
			}
			if random.IntN(2) == 0 {
				exchange(t, s, noise)
			} else {
				converse(t, s, noise)
			}
		}
	})
	stalled(t)
	well(t, s)
	var half struct{ Messages []row }
	if ask(t, s, "/api/messages/half", &half); len(half.Messages) > 0 {
		t.Errorf("a message of which only a part came was published: %+v", half.Messages)
	}
	s.settles(t, before, 8)
	s.lacksTrace(t)
}

// hostile is bytes and what may come of them: statuses or close codes, 0 for an end without a word.
type hostile struct {
	bytes    []byte
	statuses []int
}

func hostileRequests() map[string]hostile {
	send := func(head, body string, statuses ...int) hostile {
		return hostile{[]byte("POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + head + "\r\n" + body), statuses}
	}
	sized := func(body string, statuses ...int) hostile {
		return send(fmt.Sprintf("Content-Length: %d\r\n", len(body)), body, statuses...)
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 32<<20))
	_ = z.Close()
	deep := `{"sender":"a","content":` + strings.Repeat("[", 500_000)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("a", 1<<20))
	raw := func(text string, statuses ...int) hostile { return hostile{[]byte(text), statuses} }
	return map[string]hostile{
		"invalid UTF-8":           sized("{\"sender\":\"a\",\"content\":\"\xff\xfe\"}", 400),
		"U+0000":                  sized(`{"sender":"a","content":"a\u0000b"}`, 400),
		"a bare NUL":              sized("{\"sender\":\"a\",\"content\":\"a\x00b\"}", 400),
		"compressed bomb":         send(fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n", bomb.Len()), bomb.String(), 415),
		"compressed, says gzip":   send("Content-Encoding: br, gzip\r\nContent-Length: 2\r\n", "{}", 415),
		"body too large":          send(fmt.Sprintf("Content-Length: %d\r\n", 3<<20), strings.Repeat("a", 3<<20), 413),
		"chunks without an end":   send("Transfer-Encoding: chunked\r\n", strings.Repeat(chunk, 4), 413),
		"content too large":       sized(fmt.Sprintf(`{"sender":"a","content":%q}`, strings.Repeat("a", 300<<10)), 413),
		"length beyond all bound": send("Content-Length: 9223372036854775807\r\n", "{", 400, 413),
		"length below zero":       send("Content-Length: -1\r\n", "", 400, 413),
		"two lengths":             send("Content-Length: 2\r\nContent-Length: 3\r\n", "{}", 400),
		"length and chunks":       send("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n", 400),
		"chunks of no size":       send("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n", 400),
		"nesting without an end":  sized(deep, 400),
		"header too large":        raw("GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("a", 64<<10)+"\r\n\r\n", 400, 413, 431),
		"header without an end":   raw("GET / HTTP/1.1\r\n"+strings.Repeat("X: a\r\n", 20_000), 400, 413, 431),
		"TLS":                     raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("\x00", 512)+"\r\n\r\n", 400, 0),
		"HTTP/2":                  raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505, 0),
		"no HTTP":                 raw("hello\r\n\r\n", 400, 0),
		"upgrade without a key":   raw("GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", 400),
		"upgrade of old":          raw("GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 400, 426),
	}
}

// exchange sends bytes on a connection of their own and returns the first status that is answered.
func exchange(t *testing.T, s *server, b []byte) int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.at(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = conn.Write(b) // the server may have hung up in the middle
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	defer func() { <-sent }()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("no answer to %.40q", b)
	}
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func hostileFrames() map[string]hostile {
	frame := func(first byte, payload string, codes ...int) hostile {
		return hostile{appendFrame(nil, first, []byte(payload)), codes}
	}
	text := func(payload string, codes ...int) hostile { return frame(0x80|opText, payload, codes...) }
	raw := func(b string, codes ...int) hostile { return hostile{[]byte(b), codes} }
	part := string(appendFrame(nil, 0x00, bytes.Repeat([]byte("a"), 100<<10)))
	return map[string]hostile{
		"frame: invalid UTF-8":           text("{\"type\":\"ping\",\"id\":\"\xff\"}", 1007),
		"frame: no JSON":                 text("hello", 1007),
		"frame: no object":               text("[]", 1007),
		"frame: nothing":                 text("", 1007),
		"frame: binary":                  frame(0x82, "{}", 1003, 1007),
		"frame: nesting without an end":  text(`{"type":`+strings.Repeat("[", 500_000), 1007),
		"frame: too large":               text(strings.Repeat("a", 2<<20), 1009),
		"frame: too large in parts":      raw(string(appendFrame(nil, opText, []byte("a")))+strings.Repeat(part, 20), 1009),
		"frame: larger than memory":      raw("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"+strings.Repeat("a", 2<<20), 1002, 1009),
		"frame: of negative length":      raw("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1002, 1009),
		"frame: without mask":            raw("\x81\x02{}", 1002),
		"frame: compressed":              frame(0xc1, "{}", 1002),
		"frame: of a kind not known":     frame(0x83, "{}", 1002),
		"frame: continues nothing":       frame(0x80, "{}", 1002),
		"frame: begins within another":   raw(string(appendFrame(nil, opText, []byte("{")))+string(appendFrame(nil, 0x81, []byte("{}"))), 1002),
		"frame: ping too large":          frame(0x89, strings.Repeat("a", 126), 1002),
		"frame: ping in parts":           frame(0x09, "a", 1002),
		"frame: close with half a code":  frame(0x88, "a", 1002),
		"frame: close with a wrong code": frame(0x88, "\x03\xec", 1002),
		"frame: cut off":                 raw("\x81\xfe\x00", 1002, 1006),
		"frame: cut off after its head":  raw("\x81\x85\x00\x00\x00\x00", 1002, 1006),
		"frame: one part and no other":   frame(opText, `{"type":"publish","channel":"half","sender":"a","content":"half a message"}`, 1002, 1006),
	}
}

// converse opens a WebSocket, sends bytes on it and returns how it ends.
func converse(t *testing.T, s *server, b []byte) int {
	t.Helper()
	c, err := openSocket(s.at(), "channels=hostile", false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = c.Write(b)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
	}()
	defer func() { <-sent }()
	for {
		_, err := c.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a WebSocket does not end after %.40q", b)
		}
		if err != nil {
			return codeOf(err)
		}
	}
}

// stall opens connections that stop in the middle of what they say, or say it one byte at a time, and returns a function
// that checks that the server has hung up on all of them.
func stall(t *testing.T, s *server) func(*testing.T) {
	t.Helper()
	const each = 20
	post := "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
	begun := time.Now()
	conns := make(chan net.Conn, 4*each)
	ended := make(chan error, 4*each)
	for i := range 4 * each {
		conn, err := net.DialTimeout("tcp", s.at(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns <- conn
		go func() {
			var err error
			switch i % 4 {
			case 0: // says nothing at all
			case 1:
				_, err = io.WriteString(conn, post[:30])
			case 2:
				_, err = io.WriteString(conn, post)
			case 3:
				go func() {
					for i := range post {
						if _, err := io.WriteString(conn, post[i:i+1]); err != nil {
							return
						}
						<-time.After(500 * time.Millisecond)
					}
				}()
			}
			if err == nil {
				_ = conn.SetReadDeadline(begun.Add(40 * time.Second))
				_, err = io.Copy(io.Discard, conn)
			}
			ended <- err
		}()
	}
	return func(t *testing.T) {
		t.Helper()
		for range 4 * each {
			if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after 40 s the server still waits for who says no more")
			}
		}
		t.Logf("all that stalled were let go after %s", time.Since(begun).Round(time.Millisecond))
		for range 4 * each {
			_ = (<-conns).Close()
		}
	}
}

// well checks that the server does what it is there for.
func well(t *testing.T, s *server) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	if err := post(c, s, "well", "hello"); err != nil {
		t.Error(err)
	}
	if status := ask(t, s, "/readyz", new(any)); status != http.StatusOK {
		t.Errorf("/readyz answered %d", status)
	}
}
