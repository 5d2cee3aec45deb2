package rest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
	"crosstalk/models/meter"
)

// event is one of a stream. Data stays empty where only the position came.
type event struct{ id, name, data string }

// listener is a client of GET /api/stream.
type listener struct {
	reply
	resp   *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

// listen opens a stream, whose connection net/http is handed.
func (b *bus) listen(t testing.TB, parameters string, fields ...string) *listener {
	t.Helper()
	return listen(t, "GET", b.url+"/api/stream?"+parameters, fields...)
}

func listen(t testing.TB, method, url string, fields ...string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	client := &http.Transport{}
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{reply: reply{resp.StatusCode, resp.Header, ""}, resp: resp, lines: bufio.NewScanner(resp.Body), cancel: cancel}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 {
		all, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		l.body = string(all)
	}
	l.lines.Buffer(nil, 1<<20)
	return l
}

// next reads one event; ok is false at the end of the stream.
func (l *listener) next(t testing.TB) (e event, ok bool) {
	t.Helper()
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch name {
		case "":
			return e, true
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		default:
			t.Errorf("the stream says %q", l.lines.Text())
		}
	}
	return e, false
}

// wants reads as many events as are named, each as "id event data".
func (l *listener) wants(t testing.TB, b *bus, want ...string) {
	t.Helper()
	for _, w := range want {
		e, ok := l.next(t)
		if got := fmt.Sprintf("%s %s %s", e.id, e.name, b.stable(e.data)); !ok || got != w {
			t.Fatalf("got  %s\nwant %s (%v, %v)", got, w, ok, l.lines.Err())
		}
	}
}

func TestStreamTellsWhatIsMissedThenWhatComes(t *testing.T) {
	b := serve(t, auth.Config{})
	b.post(t, "a", "ada", "one")
	b.post(t, "b", "bob", "two")
	b.post(t, "a", "bob", "three <&>\nü")
	message := func(id, seq int, ch, sender, content string) string {
		return fmt.Sprintf(`%d message {"id":%d,"seq":%d,"channel":"%s","sender":"%s","kind":"agent","verified":false,"content":"%s","message_type":"message","in_reply_to":null,"reply_count":0,"created_at":"T"}`,
			id, id, seq, ch, sender, content)
	}
	welcome := func(last int, recovered bool) string {
		return fmt.Sprintf(` welcome {"bus_id":"B","last_id":%d,"recovered":%v}`, last, recovered)
	}
	one, two, three := message(1, 1, "a", "ada", "one"), message(2, 1, "b", "bob", "two"), message(3, 2, "a", "bob", `three <&>\nü`)
	four, five := message(4, 2, "b", "cyd", "four"), message(5, 1, "c", "ada", "five")
	streams := map[string][]string{}
	open := map[string]*listener{}
	for name, tc := range map[string]struct {
		parameters, last string
		want             []string
	}{
		"from now on":          {"channels=*", "", []string{welcome(3, true), four, five}},
		"all":                  {"channels=*&after_id=0", "", []string{welcome(3, true), one, two, three, four, five}},
		"all, from below":      {"channels=*&after_id=-4", "", []string{welcome(3, true), one, two, three, four, five}},
		"all and one":          {"channels=a,*&after_id=2", "", []string{welcome(3, true), three, four, five}},
		"one channel":          {"channels=b&after_id=0", "", []string{welcome(3, true), two, four}},
		"two channels":         {"channels=B,c&after_id=0", "", []string{welcome(3, true), two, four, five}},
		"the same twice":       {"channels=b,+B&after_id=0", "", []string{welcome(3, true), two, four}},
		"own ones hidden":      {"channels=*&after_id=0&instance_id=bob", "", []string{welcome(3, true), one, four, five}},
		"header wins":          {"channels=*&after_id=0", "2", []string{welcome(3, true), three, four, five}},
		"empty header":         {"channels=*&after_id=2", " ", []string{welcome(3, true), three, four, five}},
		"from another bus":     {"channels=*&after_id=99", "", []string{welcome(3, false), four, five}},
		"a channel to come":    {"channels=c&after_id=0", "", []string{welcome(3, true), five}},
		"empty is from now on": {"channels=*&after_id=", "", []string{welcome(3, true), four, five}},
	} {
		open[name], streams[name] = b.listen(t, tc.parameters, "Last-Event-ID: "+tc.last), tc.want
		open[name].wants(t, b, tc.want[0]) // now it is subscribed
	}
	b.post(t, "b", "cyd", "four")
	b.post(t, "c", "ada", "five")
	for name, want := range streams {
		t.Run(name, func(t *testing.T) {
			l := open[name]
			h := l.header
			if !l.resp.Close || h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
				t.Errorf("header %v", h)
			}
			l.wants(t, b, want[1:]...)
		})
	}
}

func TestStreamRefusesWhatItCannotServe(t *testing.T) {
	b := serve(t, auth.Config{})
	for parameters, want := range map[string]string{
		"":                                 "channels is required",
		"channels=":                        "channels is required",
		"channels=a,,b":                    "channel",
		"channels=a,%21":                   "channel",
		"channels=*&after_id=x":            "after_id must be a whole number",
		"channels=*&instance_id=a%0Ab":     "instance_id contains",
		"channels=*&instance_id=crosstalk": "reserved",
	} {
		l := b.listen(t, parameters)
		if l.status != 400 || !strings.Contains(l.body, want) || !strings.Contains(l.body, `"code":"invalid"`) || l.header.Get("Cache-Control") != "no-store" {
			t.Errorf("?%s: %d %s", parameters, l.status, l.body)
		}
	}
	if l := b.listen(t, "channels=*", "Last-Event-ID: x"); l.status != 400 || !strings.Contains(l.body, "Last-Event-ID") {
		t.Errorf("a strange Last-Event-ID: %d %s", l.status, l.body)
	}
}

func TestStreamHasTheGateBeforeIt(t *testing.T) {
	const key, app = "Authorization: Bearer sesame", "Origin: https://app.example.com"
	b := serve(t, auth.Config{Key: "sesame", AllowedOrigins: []string{"https://app.example.com"}})
	for name, tc := range map[string]struct {
		method string
		fields []string
		status int
		header string // "Name: value" of the answer
	}{
		"no key":         {"GET", nil, 401, "WWW-Authenticate: Bearer"},
		"key":            {"GET", []string{key}, 200, "Content-Type: text/event-stream"},
		"page":           {"GET", []string{key, app}, 200, "Access-Control-Allow-Origin: https://app.example.com"},
		"foreign page":   {"GET", []string{key, "Origin: https://evil.com"}, 403, "Access-Control-Allow-Origin: "},
		"page asks":      {"OPTIONS", []string{app, "Access-Control-Request-Method: GET"}, 204, "Access-Control-Allow-Origin: https://app.example.com"},
		"another method": {"POST", []string{key}, 405, "Allow: GET"},
	} {
		l := listen(t, tc.method, b.url+"/api/stream?channels=*", tc.fields...)
		field, value, _ := strings.Cut(tc.header, ": ")
		if l.status != tc.status || l.header.Get(field) != value {
			t.Errorf("%s: %d %v", name, l.status, l.header)
		}
		l.cancel()
	}
}

func TestStreamEndsWhenTheHubDrains(t *testing.T) {
	b := serve(t, auth.Config{})
	l := b.listen(t, "channels=*")
	if e, ok := l.next(t); !ok || e.name != "welcome" {
		t.Fatal(e, ok)
	}
	b.hub.Drain()
	if e, ok := l.next(t); ok || l.lines.Err() != nil {
		t.Errorf("%v, %v", e, l.lines.Err())
	}
}

func TestStreamEndsWhenItsClientLeaves(t *testing.T) {
	b := serve(t, auth.Config{})
	g, err := auth.New(auth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	stream := Stream(Options{Hub: b.hub, Gate: g})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		stream.ServeHTTP(w, r)
	}))
	defer server.Close()
	l := listen(t, "GET", server.URL+"/api/stream?channels=*")
	if e, ok := l.next(t); !ok || e.name != "welcome" {
		t.Fatal(e, ok)
	}
	l.cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the stream did not notice that its client left")
	}
}

// pipes is a listener whose connections are made by dial, within a synctest bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// inBubble runs a stream of the instance ada where time passes only when all wait for it. The client's
// end of the connection has sent its request and read the welcome.
func inBubble(t *testing.T, parameters string, run func(t *testing.T, b *bus, client net.Conn, ended chan struct{})) {
	synctest.Test(t, func(t *testing.T) {
		h, _, stop := start(t)
		defer stop()
		g, err := auth.New(auth.Config{})
		if err != nil {
			t.Fatal(err)
		}
		m := &meter.Door{}
		stream, ended := Stream(Options{Hub: h, Gate: g, Meter: m}), make(chan struct{})
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			stream.ServeHTTP(w, r)
		})}
		ln := pipes{make(chan net.Conn), make(chan struct{})}
		served := make(chan error)
		go func() { served <- server.Serve(ln) }()
		client, far := net.Pipe()
		ln.conns <- far
		if _, err := io.WriteString(client, "GET /api/stream?"+parameters+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		run(t, &bus{hub: h, meter: m}, client, ended)
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		<-ended
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
}

// say publishes past the door.
func (b *bus) say(t testing.TB, sender, content string) {
	t.Helper()
	d, err := models.ParseDraft(models.Draft{Sender: sender, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.hub.Publish(t.Context(), models.Principal{Name: models.SharedPrincipal}, d); err != nil {
		t.Fatal(err)
	}
}

func TestStreamMovesTheCursorPastWhatWasHidden(t *testing.T) {
	inBubble(t, "channels=*&instance_id=ada", func(t *testing.T, b *bus, client net.Conn, _ chan struct{}) {
		who := models.Principal{Name: models.SharedPrincipal}
		if err := b.hub.Register(t.Context(), who, models.Registration{ID: "ada"}); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		l := &listener{lines: bufio.NewScanner(resp.Body)}
		l.wants(t, b, ` welcome {"bus_id":"B","last_id":0,"recovered":true}`)
		begin := time.Now()
		b.say(t, "ada", "own")
		l.wants(t, b, "1  ")
		if took := time.Since(begin); took != beat {
			t.Errorf("the first position came after %v", took)
		}
		b.say(t, "bob", "x")
		if e, ok := l.next(t); !ok || e.id != "2" || e.name != "message" {
			t.Errorf("a message came as %+v", e)
		}
		for range 20 {
			l.wants(t, b, "2  ")
		}
		if took := time.Since(begin); took != 21*beat {
			t.Errorf("21 positions in %v", took)
		}
		if online, err := b.hub.Instances(t.Context(), who, models.Online, 5); err != nil || len(online) != 1 || online[0].ID != "ada" {
			t.Errorf("a listener is not seen: %+v, %v", online, err)
		}
	})
}

func TestStreamEndsAsAnAnswerDoes(t *testing.T) {
	inBubble(t, "channels=*", func(t *testing.T, b *bus, client net.Conn, _ chan struct{}) {
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		l := &listener{lines: bufio.NewScanner(resp.Body)}
		l.wants(t, b, ` welcome {"bus_id":"B","last_id":0,"recovered":true}`)
		time.Sleep(streamWrite + time.Second) // the deadline of that write is over
		b.hub.Drain()
		if e, ok := l.next(t); ok || l.lines.Err() != nil {
			t.Errorf("%v, %v", e, l.lines.Err())
		}
	})
}

func TestStreamEndsWhenItsClientTakesNothing(t *testing.T) {
	inBubble(t, "channels=*", func(t *testing.T, b *bus, client net.Conn, ended chan struct{}) {
		begin := time.Now()
		<-ended // not even the welcome was read
		if took := time.Since(begin); took < streamWrite || took > 2*streamWrite {
			t.Errorf("it ended after %v", took)
		}
		if n := b.meter.Slow.Load(); n != 1 {
			t.Errorf("%d clients count as too slow", n)
		}
	})
}
