package handoff

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

// talk is what a place made of the bytes of one client: what its engines saw, and the answers.
type talk struct {
	saw      []seen
	statuses []int
}

// converse sends bytes in two pieces, says that there are no more, and reads every answer. Answers are in order.
func converse(p *place, all []byte, cut int) (t talk, err error) {
	p.recall()
	nc, err := net.Dial(p.addr.Network(), p.addr.String())
	if err != nil {
		return t, err
	}
	defer func() { _ = nc.Close() }()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return t, err
	}
	for _, piece := range [][]byte{all[:cut], all[cut:]} {
		_, _ = nc.Write(piece) // a server that has refused does not read on
	}
	_ = nc.(*net.UnixConn).CloseWrite()
	answers, err := io.ReadAll(nc)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return t, err
	}
	t.saw = p.recall()
	told := 0
	for r := textproto.NewReader(bufio.NewReaderSize(bytes.NewReader(answers), 64<<10)); ; {
		line, err := r.ReadLine()
		if err != nil {
			return t, nil
		}
		status, err := strconv.Atoi(strings.Fields(line)[1])
		if err != nil {
			return t, err
		}
		head, err := r.ReadMIMEHeader()
		if err != nil {
			return t, err
		}
		if status < 200 {
			continue
		}
		t.statuses = append(t.statuses, status)
		var body []byte
		if length := head.Get("Content-Length"); length == "" { // so net/http ends when it cannot read a request
			body, err = io.ReadAll(r.R)
		} else if n, _ := strconv.Atoi(length); head.Get("X-Method") != http.MethodHead {
			body = make([]byte, n)
			_, err = io.ReadFull(r.R, body)
		}
		if err != nil {
			return t, fmt.Errorf("half an answer: %w", err)
		}
		if status != 200 {
			continue
		}
		if told++; told > len(t.saw) {
			return t, fmt.Errorf("%d answers, %d requests", told, len(t.saw))
		}
		var s seen
		if head.Get("X-Method") == http.MethodHead {
			continue
		}
		if err := json.Unmarshal(body, &s); err != nil {
			return t, err
		}
		if s.Engine, s.Remote = "", ""; fmt.Sprintf("%+q", s) != fmt.Sprintf("%+q", t.saw[told-1]) {
			return t, fmt.Errorf("answer %d is to %+q, the request was %+q", told, s, t.saw[told-1])
		}
	}
}

// differ tells how what other saw differs from what Fiber alone saw. It may refuse more, and then ends.
func differ(alone, other talk) error {
	for i, s := range other.saw {
		if i >= len(alone.saw) {
			if i > 0 && undecided(alone.saw[i-1]) {
				return nil
			}
			return fmt.Errorf("Fiber alone saw %d requests, here is also %+q", i, s)
		}
		if want := fmt.Sprintf("%+q", alone.saw[i]); fmt.Sprintf("%+q", s) != want {
			return fmt.Errorf("request %d: Fiber alone saw\n%s, here it is\n%+q", i, want, s)
		}
	}
	if n := len(other.saw); n < len(alone.saw) {
		refused := len(other.statuses) > 0 && other.statuses[len(other.statuses)-1] != 200
		ended := n > 0 && (other.saw[n-1].Proto == "HTTP/1.0" || other.saw[n-1].field("Connection") >= 0)
		if !refused && !ended {
			return fmt.Errorf("Fiber alone saw %d requests, here are %d", len(alone.saw), n)
		}
	}
	return nil
}

// undecided says whether the client wanted the connection to be kept and to be closed: net/http keeps it then.
func undecided(s seen) bool {
	fields := strings.ToLower(strings.Join(s.Fields, "\n"))
	return s.Proto == "HTTP/1.0" && strings.Contains(fields, "keep-alive") && strings.Contains(fields, "close")
}

// FuzzHandoff sends any bytes to Fiber alone, to net/http alone (by way of Fiber), and to where they take turns:
// what one reads is what the other reads.
func FuzzHandoff(f *testing.F) {
	for _, ask := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"HEAD /a?b=%20#c HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /ab HTTP/1.0\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: h:80\r\nContent-Length: 3\r\nX: 1\r\nx: 2\r\n\r\nabcGET /ab HTTP/1.1\r\nHost: h\r\n\r\nPOST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nd",
		"POST /ab HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2;x\r\nab\r\n0\r\nT: 1\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
		"GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n", "GET //x://y HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
		"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a HTTP/1.1\nHost: h\nX: a\n b\r\n\r\n", "GET /a HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\nY:  c \r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: h\r\n\nGET /ab HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a HTTP/1.1\r\nHost : h\r\nX\x00: \x7f\r\n\r\n",
		"\r\n\nPUT /a HTTP/1.1\r\nHost: h\r\nPragma: no-cache\r\nConnection: close\r\nCookie: a\r\nCookie: b\r\n\r\nGET /ab HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		f.Add([]byte(ask), uint16(len(ask)/2))
	}
	serve := func(name string, isNative func(string) bool) *place {
		l, err := net.Listen("unix", filepath.Join(f.TempDir(), name))
		if err != nil {
			f.Fatal(err)
		}
		// Refusals have no body, which one of HEAD would lack.
		refuse := func(c *fiber.Ctx, err error) error {
			var e *fiber.Error
			if errors.As(err, &e) {
				c.Status(e.Code)
			}
			return c.Send(nil)
		}
		return openOn(f, l, fiber.Config{BodyLimit: 8 << 10, ErrorHandler: refuse}, nil, func(p *place) {
			p.isNative = isNative
			p.native.DisableGeneralOptionsHandler = true
		})
	}
	alone := serve("alone", func(string) bool { return false })
	others := []*place{
		serve("native", func(string) bool { return true }),
		serve("turns", func(path string) bool { return len(path)%2 == 0 }),
	}
	f.Fuzz(func(t *testing.T, all []byte, cut uint16) {
		if len(all) > 32<<10 {
			return
		}
		want, err := converse(alone, all, int(cut)%(len(all)+1))
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range others {
			got, err := converse(other, all, int(cut)%(len(all)+1))
			if err = errors.Join(err, differ(want, got)); err != nil {
				t.Errorf("%s: %v", filepath.Base(other.addr.String()), err)
			}
		}
	})
}

// TestDifferTells makes sure that the fuzz test can fail.
func TestDifferTells(t *testing.T) {
	a, b := seen{Method: "GET", Target: "/a", Proto: "HTTP/1.1"}, seen{Method: "GET", Target: "/b", Proto: "HTTP/1.1"}
	for _, c := range []struct {
		name         string
		alone, other talk
		ok           bool
	}{
		{"the same", talk{[]seen{a, b}, []int{200, 200}}, talk{[]seen{a, b}, []int{200, 200}}, true},
		{"refused earlier", talk{[]seen{a, b}, []int{200, 200}}, talk{[]seen{a}, []int{200, 400}}, true},
		{"goes on after a refusal", talk{[]seen{a, b}, []int{200, 200}}, talk{[]seen{b}, []int{400, 200}}, false},
		{"another request", talk{[]seen{a, a}, []int{200, 200}}, talk{[]seen{a, b}, []int{200, 200}}, false},
		{"a request that was refused", talk{nil, []int{400}}, talk{[]seen{a}, []int{200}}, false},
		{"one more", talk{[]seen{a}, []int{200}}, talk{[]seen{a, a}, []int{200, 200}}, false},
		{"one less", talk{[]seen{a, b}, []int{200, 200}}, talk{[]seen{a}, []int{200}}, false},
		{"none", talk{[]seen{a}, []int{200}}, talk{}, false},
	} {
		if err := differ(c.alone, c.other); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
