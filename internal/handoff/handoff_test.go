package handoff

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

func TestWritesTheRequestAsFiberReadIt(t *testing.T) {
	for _, c := range []struct{ name, from, to string }{
		{"fields keep their order, repeated ones are kept",
			"GET /a?b=c%20d HTTP/1.1\r\nHost: h:1\r\nX-B: 1\r\nX-A: 2\r\nX-B: 3\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n",
			"GET /a?b=c%20d HTTP/1.1\r\nHost: h:1\r\nX-B: 1\r\nX-A: 2\r\nX-B: 3\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n"},
		{"a body has its length at the end",
			"POST / HTTP/1.1\r\nContent-Length: 3\r\nHost: h\r\nContent-Type: text/plain\r\n\r\nabc",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc"},
		{"chunks become one, trailers go",
			"POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nX-T: 1\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde"},
		{"no chunk is an empty body",
			"POST / HTTP/1.1\r\nHost: h\r\ntransfer-ENCODING: chunked\r\n\r\n0\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
		{"an empty body stays one",
			"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
			"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
		{"a body of GET too",
			"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
			"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"},
		{"an expectation has been met",
			"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"},
		{"1.0 stays 1.0, HEAD stays HEAD",
			"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
			"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
		{"no fields at all",
			"GET / HTTP/1.0\r\n\r\n",
			"GET / HTTP/1.0\r\n\r\n"},
		{"spaces around values go",
			"GET / HTTP/1.1\r\nHost: h\r\nX-A:  a b\t \r\nX-B:\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\nX-A: a b\r\nX-B: \r\n\r\n"},
		{"a multipart body is left as it is",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 7\r\n\r\n--b--\r\n",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 7\r\n\r\n--b--\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var req fasthttp.Request
			r := bufio.NewReader(strings.NewReader(c.from))
			if err := req.Header.Read(r); err != nil {
				t.Fatal(err)
			}
			if err := req.ContinueReadBody(r, 0, false); err != nil {
				t.Fatal(err)
			}
			to, regular := rewrite(&req)
			if string(to) != c.to || !regular {
				t.Errorf("regular %v\n%q, want\n%q", regular, to, c.to)
			}
		})
	}
}

func TestLeavesMultipartBodiesAsTheyAre(t *testing.T) {
	p := open(t, fiber.Config{}, nil)
	body := "before\r\n--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\ny\r\n--b--\r\nafter"
	w := p.dial().send("POST /native HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if s := w.echo(); string(s.Body) != body {
		t.Errorf("read %q", s.Body)
	}
}

func TestMeetsExpectations(t *testing.T) {
	p := open(t, fiber.Config{}, nil)
	w := p.dial().send("POST /native HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	if res := w.answer("POST"); res.StatusCode != http.StatusContinue {
		t.Fatalf("answered %s", res.Status)
	}
	if s := w.send("ab").echo(); s.Engine != "net/http" || string(s.Body) != "ab" {
		t.Errorf("read %+v", s)
	}
}

// TestOneConnectionServesBothEngines sends many requests at once, so that each engine reads ahead into those
// of the other, and again one by one.
func TestOneConnectionServesBothEngines(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1000)
	asks := []struct{ engine, head, body string }{
		{"fiber", "GET /rest HTTP/1.1\r\nHost: h\r\n\r\n", ""},
		{"net/http", "GET /native HTTP/1.1\r\nHost: h\r\n\r\n", ""},
		{"fiber", "POST /rest HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "abc"},
		{"net/http", "POST /native HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ndef", "def"},
		{"net/http", "POST /native HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nghi\r\n1\r\nj\r\n0\r\n\r\n", "ghij"},
		{"fiber", "POST /rest HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nklm\r\n0\r\n\r\n", "klm"},
		{"net/http", fmt.Sprintf("POST /native HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(large), large), large},
		{"fiber", fmt.Sprintf("POST /rest HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(large), large), large},
		{"fiber", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", ""},
		{"fiber", "GET /rest HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", ""},
	}
	for _, thrifty := range []bool{false, true} {
		p := open(t, fiber.Config{ReduceMemoryUsage: thrifty}, nil)
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("thrifty %v at once %v", thrifty, atOnce), func(t *testing.T) {
				w, sent := p.dial(), make(chan bool)
				go func() {
					defer close(sent)
					for range 20 {
						for _, a := range asks {
							if _, err := io.WriteString(w, a.head); err != nil {
								t.Error(err)
								return
							}
							if !atOnce {
								sent <- true
							}
						}
					}
				}()
				for range 20 {
					for i, a := range asks {
						if !atOnce {
							<-sent
						}
						s := w.echo()
						if s.Engine != a.engine || string(s.Body) != a.body || s.Remote != w.LocalAddr().String() {
							t.Fatalf("answer %d: %.200v", i, s)
						}
					}
				}
				<-sent
			})
		}
	}
}

func TestAnswersHead(t *testing.T) {
	p := open(t, fiber.Config{}, nil)
	w := p.dial().send("HEAD /native HTTP/1.1\r\nHost: h\r\n\r\nHEAD /rest HTTP/1.1\r\nHost: h\r\n\r\nGET /native HTTP/1.1\r\nHost: h\r\n\r\n")
	if res := w.answer("HEAD"); res.StatusCode != http.StatusOK {
		t.Errorf("native answered %s", res.Status)
	}
	if res := w.answer("HEAD"); res.StatusCode != http.StatusOK {
		t.Errorf("Fiber answered %s", res.Status)
	}
	if s := w.echo(); s.Method != "GET" || s.Engine != "net/http" {
		t.Errorf("read %+v", s)
	}
}

func TestSpeaksHTTP10(t *testing.T) {
	p := open(t, fiber.Config{}, nil)
	w := p.dial().send("GET /native HTTP/1.0\r\nHost: h\r\n\r\nGET /native HTTP/1.0\r\n\r\n")
	if s := w.echo(); s.Engine != "net/http" {
		t.Errorf("read %+v", s)
	}
	w.ended()
	w = p.dial()
	for range 3 {
		w.send("GET /native HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /rest HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		for _, engine := range []string{"net/http", "fiber"} {
			if s := w.echo(); s.Engine != engine || s.Host != "" {
				t.Errorf("read %+v", s)
			}
		}
	}
}

func TestRefusesWhatNamesAHost(t *testing.T) {
	p := open(t, fiber.Config{}, nil)
	for _, ask := range []string{
		"GET http://h/native HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://h/rest HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://other/rest HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET h://native HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET //other://native HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET //other/native HTTP/1.0\r\n\r\n",
		"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
		"CONNECT *:80 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /rest HTTP/1.1\r\nHost: somebody@h\r\n\r\n",
		"GET /native HTTP/1.1\r\nHost: somebody@h\r\n\r\n",
		"GET /native HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
		"GET /native HTTP/1.1\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: somebody@h\r\n\r\n",
	} {
		t.Run(ask, func(t *testing.T) {
			w := p.dial()
			w.t = t
			w.send("%s", ask).refused(http.StatusBadRequest)
		})
	}
}

func TestRefusesWhatCanBeReadInTwoWays(t *testing.T) {
	p := open(t, fiber.Config{}, nil)
	for _, c := range []struct{ name, ask string }{
		{"two lengths", "POST /native HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
		{"one length twice", "POST /native HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"},
		{"a list of lengths", "POST /native HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\na"},
		{"a signed length", "POST /native HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na"},
		{"a length and chunks", "POST /native HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"chunks and a length", "POST /native HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"},
		{"an unknown coding", "POST /native HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"a coding that is nearly chunked", "POST /native HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
		{"chunked twice", "POST /native HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"chunks in 1.0", "POST /native HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"a space before the colon", "POST /native HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
		{"a space in the name", "POST /native HTTP/1.1\r\nHost: h\r\nX Y: z\r\n\r\n"},
		{"a tab before the colon", "POST /native HTTP/1.1\r\nHost: h\r\nContent-Length\t: 1\r\n\r\na"},
		{"NUL in a value", "GET /native HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n"},
		{"NUL in a name", "GET /native HTTP/1.1\r\nHost: h\r\nX\x00: a\r\n\r\n"},
		{"NUL in the target", "GET /native\x00 HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"a bare CR", "GET /native HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 1\r\n\r\n"},
		{"a bare LF that ends the head", "GET /native HTTP/1.1\r\nHost: h\r\n\nGET /native HTTP/1.1\r\n\r\n"},
		{"a folded line", "POST /native HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n"},
		{"a length on a folded line", "POST /native HTTP/1.1\r\nHost: h\r\nX: y\r\n\tContent-Length: 80\r\n\r\n"},
		{"a folded first line", "GET /native HTTP/1.1\r\n Host: h\r\n\r\n"},
		{"a fragment", "GET /native#x HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"a space in the target", "GET /native x HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"another version", "GET /native HTTP/1.2\r\nHost: h\r\n\r\n"},
		{"a later version", "GET /native HTTP/2.0\r\nHost: h\r\n\r\n"},
		{"no version", "GET /native\r\n\r\n"},
		{"a broken chunk", "POST /native HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\nab\n0\r\n\r\n"},
		{"a chunk of negative size", "POST /native HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n"},
		{"a broken escape", "GET /native%zz HTTP/1.1\r\nHost: h\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := p.dial()
			w.t = t
			// What follows must not be taken for a request.
			w.send("%s", c.ask+"GET /native/smuggled HTTP/1.1\r\nHost: h\r\n\r\n").refused(http.StatusBadRequest)
		})
	}
}

// TestReadsLeniencesAlike has what Fiber forgives: it forgives that on both ways.
func TestReadsLeniencesAlike(t *testing.T) {
	p := open(t, fiber.Config{}, nil)
	for _, c := range []struct{ name, ask, body string }{
		{"lines that end in LF", "POST /%s HTTP/1.1\nHost: h\nX: y\nContent-Length: 1\r\n\r\na", "a"},
		{"empty lines before", "\r\n\r\nPOST /%s HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na", "a"},
		{"no coding", "POST /%s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", ""},
		{"a length with zeros", "POST /%s HTTP/1.1\r\nHost: h\r\nContent-Length: 0001\r\n\r\na", "a"},
		{"an expectation nobody knows", "POST /%s HTTP/1.1\r\nHost: h\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\na", "a"},
		{"an old cache", "GET /%s HTTP/1.1\r\nHost: h\r\nPragma: no-cache\r\n\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rest, native := p.dial().send(c.ask, "echo").echo(), p.dial().send(c.ask, "native").echo()
			if strings.Join(rest.Fields, "\n") != strings.Join(native.Fields, "\n") || string(rest.Body) != c.body || string(native.Body) != c.body {
				t.Errorf("Fiber read\n%+v, net/http\n%+v", rest, native)
			}
		})
	}
}

func TestKeepsFibersLimits(t *testing.T) {
	p := open(t, fiber.Config{BodyLimit: 1 << 10, ReadBufferSize: 40 << 10}, nil, func(p *place) {
		p.app.Server().HeaderReceived = func(head *fasthttp.RequestHeader) (conf fasthttp.RequestConfig) {
			switch string(head.RequestURI()) {
			case "/native/large":
				conf.MaxRequestBodySize = 1 << 20
			case "/native/slow":
				conf.ReadTimeout = time.Millisecond
			}
			return conf
		}
	})
	post := func(w *wire, path string, size int) *wire {
		return w.send("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, size, strings.Repeat("x", size))
	}
	w := p.dial()
	for range 2 { // as well when net/http has had the connection
		if s := post(w, "/native", 1<<10).echo(); len(s.Body) != 1<<10 {
			t.Errorf("read %d bytes", len(s.Body))
		}
		if s := post(w, "/native/large", 1<<20).echo(); len(s.Body) != 1<<20 {
			t.Errorf("read %d bytes", len(s.Body))
		}
	}
	w.send("POST /native HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n\r\n").refused(http.StatusRequestEntityTooLarge)
	w = post(p.dial(), "/native", 1)
	w.echo()
	w.send("POST /native HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n").refused(http.StatusRequestEntityTooLarge)
	w = post(p.dial(), "/native", 1)
	w.echo()
	w.send("POST /native/slow HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n").refused(http.StatusRequestTimeout)
	w = p.dial().send("GET /native HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n", strings.Repeat("x", 36<<10))
	if s := w.echo(); len(s.Fields) != 1 || len(s.Fields[0]) != 36<<10+3 {
		t.Errorf("a long head arrived as %d fields", len(s.Fields))
	}
	w.send("GET /native HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n", strings.Repeat("x", 41<<10))
	w.refused(http.StatusRequestHeaderFieldsTooLarge)
}

func TestEndsWhatIdles(t *testing.T) {
	p := open(t, fiber.Config{IdleTimeout: time.Millisecond}, nil, func(p *place) { p.native.IdleTimeout = time.Millisecond })
	native, rest := p.dial(), p.dial()
	native.send("GET /native HTTP/1.1\r\nHost: h\r\n\r\n").echo()
	native.ended()
	rest.send("GET /native HTTP/1.1\r\nHost: h\r\n\r\nGET /rest HTTP/1.1\r\nHost: h\r\n\r\n").echo()
	rest.echo()
	rest.ended()
}

func TestServesManyRoundsOfAStandardClient(t *testing.T) {
	p := open(t, fiber.Config{}, nil)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	dials := map[string]bool{}
	for i := range 300 {
		path, engine := "/rest", "fiber"
		if i%2 == 1 {
			path, engine = "/native", "net/http"
		}
		// An http.Client sends a reader of unknown length in chunks.
		body := fmt.Sprintf("round %d", i)
		res, err := client.Post("http://"+p.addr.String()+path, "text/plain", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(res.Body)
		if err != nil || res.Body.Close() != nil {
			t.Fatal(err)
		}
		var s seen
		if err := json.Unmarshal(all, &s); err != nil {
			t.Fatal(err)
		}
		if s.Engine != engine || string(s.Body) != body {
			t.Fatalf("round %d: %+v", i, s)
		}
		dials[s.Remote] = true
	}
	if len(dials) != 1 {
		t.Errorf("it took %d connections", len(dials))
	}
}

func TestShutdownWaitsForWhatRuns(t *testing.T) {
	t.Run("by itself", func(t *testing.T) { shutdownWaits(t, false) })
	t.Run("beside Fiber's own", func(t *testing.T) { shutdownWaits(t, true) })
}

func shutdownWaits(t *testing.T, beside bool) {
	entered, hold, stay, began := make(chan string, 2), make(chan bool), make(chan bool), make(chan bool, 2)
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/wait": func(w http.ResponseWriter, _ *http.Request) {
		entered <- "native"
		<-stay
		_, _ = io.WriteString(w, "done")
	}}, before("/rest/wait", func() {
		entered <- "fiber"
		<-hold
	}), func(p *place) { p.native.RegisterOnShutdown(func() { began <- true }) })
	idle, native, rest := p.dial(), p.dial(), p.dial()
	for _, w := range []*wire{idle, rest} {
		w.send("GET /native HTTP/1.1\r\nHost: h\r\n\r\n").echo()
	}
	native.send("GET /native/wait HTTP/1.1\r\nHost: h\r\n\r\n")
	rest.send("GET /rest/wait HTTP/1.1\r\nHost: h\r\n\r\n")
	await(t, "the first runs", entered)
	await(t, "the second runs", entered)

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan error, 2)
	go func() { done <- p.Shutdown(ctx) }()
	if beside {
		go func() { done <- p.app.ShutdownWithContext(ctx) }()
	}
	idle.ended()
	waits := func() {
		t.Helper()
		select {
		case err := <-done:
			t.Errorf("Shutdown did not wait: %v", err)
		default:
		}
	}
	waits()
	close(hold)
	if s := rest.echo(); s.Engine != "fiber" {
		t.Errorf("read %+v", s)
	}
	rest.ended()
	if beside {
		if err := await(t, "Fiber's ends", done); err != nil {
			t.Error(err)
		}
	}
	await(t, "net/http is asked to end", began)
	waits()
	close(stay)
	if res := native.answer("GET"); res.StatusCode != http.StatusOK {
		t.Errorf("net/http answered %s", res.Status)
	}
	native.ended()
	if err := await(t, "Shutdown ends", done); err != nil {
		t.Error(err)
	}
	p.close(patience) // a second one is nothing
}

func TestShutdownClosesWhatDoesNotEnd(t *testing.T) {
	entered, left := make(chan bool, 2), make(chan error, 1)
	release := make(chan struct{})
	p := open(t, fiber.Config{}, map[string]http.HandlerFunc{"/native/stay": func(_ http.ResponseWriter, r *http.Request) {
		entered <- true
		<-r.Context().Done()
		left <- r.Context().Err()
	}}, before("/rest/stay", func() {
		entered <- true
		<-release
	}))
	native, rest := p.dial(), p.dial()
	native.send("GET /native/stay HTTP/1.1\r\nHost: h\r\n\r\n")
	rest.send("GET /native HTTP/1.1\r\nHost: h\r\n\r\n").echo()
	rest.send("GET /rest/stay HTTP/1.1\r\nHost: h\r\n\r\n")
	await(t, "the first runs", entered)
	await(t, "the second runs", entered)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := await(t, "the handler leaves", left); err == nil {
		t.Error("its context has no error")
	}
	native.ended()
	rest.ended()
	close(release)
}

func TestHandsNothingOverAfterShutdown(t *testing.T) {
	p := open(t, fiber.Config{}, nil)
	w := p.dial()
	w.send("GET /rest HTTP/1.1\r\nHost: h\r\n\r\n").echo()
	if err := p.native.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	// What is under way by then is closed, and nobody waits.
	p.dial().send("GET /native HTTP/1.1\r\nHost: h\r\n\r\n").ended()
	p.end()
	w.send("GET /native HTTP/1.1\r\nHost: h\r\n\r\n")
	if res := w.answer("GET"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %s", res.Status)
	}
	if s := w.send("GET /rest HTTP/1.1\r\nHost: h\r\n\r\n").echo(); s.Engine != "fiber" {
		t.Errorf("read %+v", s)
	}
}

func TestServeReturnsWhenShutdownBegins(t *testing.T) {
	h := New(fiber.New(fiber.Config{DisableStartupMessage: true}), http.NotFoundHandler(), func(string) bool { return false }, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- h.Serve() }()
	if err := h.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := await(t, "Serve returns", done); err != nil {
		t.Error(err)
	}
}
