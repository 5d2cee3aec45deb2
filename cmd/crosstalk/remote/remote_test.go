package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"crosstalk/models"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve answers with handler until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return open(t, Options{URL: srv.URL + "/team/", Key: "sesame"})
}

func TestAsksAsTheHubWantsToBeAsked(t *testing.T) {
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s %s %s", r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), b)
		_, _ = io.WriteString(w, `{"id":7}`)
	})
	var answer struct{ ID int }
	if err := c.Get(t.Context(), "/api/data"+Path("a/b #%é"), map[string][]string{"x": {"1 2"}}, &answer); err != nil || answer.ID != 7 {
		t.Errorf("%+v, %v", answer, err)
	}
	if want := "GET /team/api/data/a%2Fb%20%23%25%C3%A9?x=1+2 Bearer sesame  "; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if err := c.Post(t.Context(), "/api/messages", map[string]string{"content": "a<b>&\u2028"}, nil, true); err != nil {
		t.Error(err)
	}
	if want := "POST /team/api/messages Bearer sesame application/json {\"content\":\"a<b>&\\u2028\"}\n"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if err := c.Delete(t.Context(), "/api/data/x", nil); err != nil || !strings.HasPrefix(got, "DELETE /team/api/data/x ") {
		t.Errorf("asked %q, %v", got, err)
	}
}

func TestRefusalsHaveTheHubsWords(t *testing.T) {
	status, body, to := 0, "", ""
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if to != "" {
			w.Header().Set("Location", to)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	for _, tc := range []struct {
		status         int
		body, to, want string
		code           models.Code
	}{
		{404, `{"error":"no such channel","code":"not_found"}`, "", "no such channel (not_found)", models.NotFound},
		{409, `{"error":"paused: lunch","code":"paused"}`, "", "paused: lunch (paused)", models.Paused},
		{404, "<html>nothing here</html>", "", "no hub answers, but something that says 404 Not Found", ""},
		{301, "", "https://elsewhere.example.com/", `sends to "https://elsewhere.example.com/": give that address`, ""},
		{200, "<html>welcome to the hotel</html>", "", "no hub answers: what comes is not what a hub says", ""},
	} {
		status, body, to = tc.status, tc.body, tc.to
		var into map[string]any
		err := c.Get(t.Context(), "/api/channels", nil, &into)
		no, is := errors.AsType[*Error](err)
		if !is || no.Code != tc.code || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%d %s: %v, want %q", tc.status, tc.body, err, tc.want)
		}
	}
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	nc, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = nc.Close()
	}
}

// say refuses as a hub does.
func say(status int, code string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":"text","code":%q}`, code)
	}
}

// TestAsksAgainWhereThatDoesNoHarm counts how often each kind of request comes to a hub that is away for 2 s.
func TestAsksAgainWhereThatDoesNoHarm(t *testing.T) {
	for _, tc := range []struct {
		name  string
		away  func(http.ResponseWriter)
		once  bool // the hub stores it once
		again bool
	}{
		{"the connection ends, stored once", cut, true, true},
		{"the connection ends, else", cut, false, false},
		{"not stored", say(503, "unavailable"), false, true},
		{"a proxy without a hub, stored once", say(502, ""), true, true},
		{"a proxy without a hub, else", say(502, ""), false, false},
		{"refused", say(409, "conflict"), true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				back, asked := time.Now().Add(2*time.Second), 0
				c := inBubble(t, func(w http.ResponseWriter, _ *http.Request) {
					asked++
					if time.Now().Before(back) {
						tc.away(w)
					} else {
						_, _ = io.WriteString(w, "{}")
					}
				})
				err := c.Post(t.Context(), "/x", map[string]int{}, nil, tc.once)
				if tc.again != (err == nil) || tc.again != (asked > 1) {
					t.Errorf("asked %d times, %v", asked, err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := open(t, Options{URL: "http://localhost", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }})
		if err := c.Get(t.Context(), "/x", nil, nil); err == nil || time.Since(begin) > 2*patience {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if err := c.Get(soon, "/x", nil, nil); err == nil || time.Since(begin) > time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

// TestWhatARepeatedDeleteDoesNotFindIsGone asks a hub that removes what is there, and may lose the answer.
func TestWhatARepeatedDeleteDoesNotFindIsGone(t *testing.T) {
	for _, tc := range []struct {
		name string
		away func(http.ResponseWriter) // what the first comes to
		gone bool
	}{
		{"the answer is lost", cut, true},
		{"a proxy without a hub", say(502, ""), true},
		{"not done", say(503, "unavailable"), false},
		{"not there", say(404, "not_found"), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			c := inBubble(t, func(w http.ResponseWriter, _ *http.Request) {
				if asked++; asked == 1 {
					tc.away(w)
				} else {
					say(404, "not_found")(w)
				}
			})
			if err := c.Delete(t.Context(), "/x", nil); tc.gone != (err == nil) {
				t.Errorf("%s: %v", tc.name, err)
			}
			if err := c.Get(t.Context(), "/x", nil, nil); err == nil {
				t.Errorf("%s: it is there", tc.name)
			}
		})
	}
}

// inBubble serves over pipes.
func inBubble(t *testing.T, handler http.HandlerFunc) *Client {
	l := listener(make(chan net.Conn))
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return open(t, Options{URL: "http://localhost", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case l <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}})
}

type listener chan net.Conn

func (l listener) Accept() (net.Conn, error) {
	if c, is := <-l; is {
		return c, nil
	}
	return nil, io.EOF
}
func (l listener) Close() error   { close(l); return nil }
func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func TestAnAnswerThatNeverEndsIsRefused(t *testing.T) {
	var sent atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000000000")
		piece := make([]byte, 1<<20)
		for {
			n, err := w.Write(piece)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	c.most = 4 << 20
	if err := c.Get(t.Context(), "/x", nil, nil); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("after %d bytes: %v", sent.Load(), err)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, o := range []Options{{URL: "bus.example.com"}, {URL: "ws://h"}, {URL: "https://u:secret@h"}, {URL: "https://h", Key: "a b"}, {URL: "https://h", Key: "é"}} {
		if _, err := New(o); models.CodeOf(err) != models.Invalid || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
