package handoff

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

// answer is what came back for a request: what the engine saw, if status is 200.
type answer struct {
	status int
	seen   seen
}

// converse sends bytes in two pieces, says that there are no more, and reads every answer.
func converse(p *place, all []byte, cut int) (answers []answer, err error) {
	nc, err := net.Dial(p.addr.Network(), p.addr.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = nc.Close() }()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	for _, piece := range [][]byte{all[:cut], all[cut:]} {
		_, _ = nc.Write(piece) // a server that has refused does not read on
	}
	_ = nc.(*net.UnixConn).CloseWrite()
	for r := textproto.NewReader(bufio.NewReaderSize(nc, 64<<10)); ; {
		line, err := r.ReadLine()
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return answers, err
		} else if err != nil {
			return answers, nil
		}
		a := answer{}
		if a.status, err = strconv.Atoi(strings.Fields(line)[1]); err != nil {
			return answers, err
		}
		head, err := r.ReadMIMEHeader()
		if err != nil {
			return answers, err
		}
		if a.status < 200 {
			continue
		}
		if head.Get("X-Method") != http.MethodHead {
			n, _ := strconv.Atoi(head.Get("Content-Length"))
			body := make([]byte, n)
			if _, err := io.ReadFull(r.R, body); err != nil {
				return answers, err
			}
			if a.status == 200 {
				if err := json.Unmarshal(body, &a.seen); err != nil {
					return answers, err
				}
			}
			if head.Get("Content-Length") == "" { // so net/http ends when it cannot read a request
				_, _ = io.Copy(io.Discard, r.R)
			}
		}
		a.seen.Engine, a.seen.Remote = "", ""
		answers = append(answers, a)
	}
}

// differ tells how what other saw differs from what Fiber alone saw. It may refuse more, and then ends.
func differ(alone, other []answer) error {
	for i, a := range other {
		switch {
		case i >= len(alone):
			return fmt.Errorf("request %d: Fiber alone saw none, here it is %d %+v", i, a.status, a.seen)
		case a.status == 200 && (alone[i].status != 200 || fmt.Sprintf("%+q", alone[i].seen) != fmt.Sprintf("%+q", a.seen)):
			return fmt.Errorf("request %d: Fiber alone saw\n%d %+q, here it is\n%d %+q", i, alone[i].status, alone[i].seen, a.status, a.seen)
		case a.status != 200 && alone[i].status == 200 && len(other) > i+1:
			return fmt.Errorf("request %d was refused with %d, and the connection went on", i, a.status)
		}
	}
	if n := len(other); n < len(alone) && (n == 0 || other[n-1].status == 200) {
		// A connection may end where its client lets it.
		if n == 0 || other[n-1].seen.Proto == "HTTP/1.1" && other[n-1].seen.field("Connection") < 0 {
			return fmt.Errorf("Fiber alone saw %d requests, here are %d", len(alone), n)
		}
	}
	return nil
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

// TestDiffererTells makes sure that the fuzz test can fail.
func TestDiffererTells(t *testing.T) {
	a := answer{200, seen{Method: "GET", Target: "/a", Proto: "HTTP/1.1"}}
	b := answer{200, seen{Method: "GET", Target: "/b", Proto: "HTTP/1.1"}}
	no := answer{status: 400}
	for _, c := range []struct {
		name         string
		alone, other []answer
		ok           bool
	}{
		{"the same", []answer{a, b, no}, []answer{a, b, no}, true},
		{"refused earlier", []answer{a, b}, []answer{a, no}, true},
		{"both go on after a refusal", []answer{no, a}, []answer{no, a}, true},
		{"one goes on after a refusal", []answer{a, b}, []answer{no, b}, false},
		{"another request", []answer{a, a}, []answer{a, b}, false},
		{"a request that was refused", []answer{no}, []answer{a}, false},
		{"one more", []answer{a}, []answer{a, a}, false},
		{"one less", []answer{a, a}, []answer{a}, false},
		{"none", []answer{a}, nil, false},
	} {
		if err := differ(c.alone, slices.Clone(c.other)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
