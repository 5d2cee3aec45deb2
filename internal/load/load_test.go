package load

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// liar is a hub that tells its listeners what it likes.
type liar struct {
	tell func(n int, content string) []string // of the n-th message to a channel, what listeners get
	fail func(n int) int                      // the status of the n-th answer

	mu        sync.Mutex
	n         int
	messages  []string // for those that poll
	moved     chan struct{}
	listeners map[string][]chan string // by channel
}

func startLiar(t *testing.T, l *liar) string {
	l.moved, l.listeners = make(chan struct{}), map[string][]chan string{}
	if l.tell == nil {
		l.tell = func(_ int, content string) []string { return []string{content} }
	}
	if l.fail == nil {
		l.fail = func(int) int { return http.StatusOK }
	}
	srv := httptest.NewServer(l)
	t.Cleanup(srv.Close)
	return srv.URL
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Authorization") != "Bearer k":
		http.Error(w, "no key", http.StatusUnauthorized)
	case r.URL.Path == "/ws":
		l.listen(w, r)
	case r.Method == http.MethodPost:
		l.take(w, r)
	default:
		l.poll(w, r)
	}
}

func (l *liar) take(w http.ResponseWriter, r *http.Request) {
	var m struct{ Channel, Content string }
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	if status := l.fail(l.n); status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	for _, content := range l.tell(l.n, m.Content) {
		l.messages = append(l.messages, content)
		for _, to := range l.listeners[m.Channel] {
			to <- content
		}
	}
	close(l.moved)
	l.moved = make(chan struct{})
	_, _ = io.WriteString(w, "{}")
}

func (l *liar) poll(w http.ResponseWriter, r *http.Request) {
	var after int
	_, _ = fmt.Sscan(r.URL.Query().Get("after_id"), &after)
	l.mu.Lock()
	moved := l.moved
	if r.URL.Query().Has("wait") && after >= len(l.messages) {
		l.mu.Unlock()
		select {
		case <-moved:
		case <-r.Context().Done():
			return
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	page := map[string]any{"next_after_id": len(l.messages)}
	if r.URL.Query().Has("wait") {
		page["messages"] = l.messages[after:]
	}
	_ = json.NewEncoder(w).Encode(page)
}

func (l *liar) listen(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	send := func(op byte, text string) bool {
		head := []byte{0x80 | op, 126, byte(len(text) >> 8), byte(len(text))}
		_, _ = rw.Write(append(head, text...))
		return rw.Flush() == nil
	}
	send(opText, `{"type":"welcome"}`)
	to := make(chan string, 100_000)
	l.mu.Lock()
	ch := r.URL.Query().Get("channels")
	l.listeners[ch] = append(l.listeners[ch], to)
	l.mu.Unlock()
	send(opPing, "p")
	send(opText, `{"type":"subscribed"}`)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn)
	}()
	for {
		select {
		case text := <-to:
			send(opText, text)
		case <-gone:
			return
		}
	}
}

// drive runs a short load against a liar.
func drive(t *testing.T, l *liar, o Options) *Report {
	t.Helper()
	o.URL, o.Key, o.Publishers, o.Size, o.Rate, o.Span = startLiar(t, l), "k", 1, 100, 100, 200*time.Millisecond
	o.Channels = max(o.Channels, 1)
	rep, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestAnHonestHubIsClean(t *testing.T) {
	t.Parallel()
	rep := drive(t, &liar{}, Options{Subscribers: 3, Waiters: 2})
	if !rep.Clean() || rep.Published < 10 || rep.Deliveries != 5*rep.Published || rep.EndToEnd == nil || rep.Wake == nil || rep.FirstFailure != "" {
		t.Errorf("%+v", rep)
	}
}

// Two publishers and five channels: each has channels of its own, and everybody there hears what is said there.
func TestEveryChannelIsSpokenTo(t *testing.T) {
	t.Parallel()
	r := &run{Options: Options{Publishers: 2, Channels: 5}}
	var channels [][]int
	for i := range r.Publishers {
		channels = append(channels, nil)
		for _, t := range r.newPublisher(i).talks {
			channels[i] = append(channels[i], t.channel)
		}
	}
	if want := [][]int{{0, 2, 4}, {1, 3}}; !cmp.Equal(channels, want) {
		t.Errorf("they speak in %v", channels)
	}
	for _, c := range []struct{ publishers, channels, names int }{{1, 1, 1}, {2, 1, 3}, {3, 1, 1}, {5, 3, 3}, {5, 5, 1}} {
		r := &run{Options: Options{Publishers: c.publishers, Channels: c.channels}}
		if got := int(r.newPublisher(0).talks[0].names); got != c.names {
			t.Errorf("%+v: %d names", c, got)
		}
	}
	if rep := drive(t, &liar{}, Options{Subscribers: 3, Channels: 3}); !rep.Clean() || rep.Published < 10 || rep.Deliveries != rep.Published {
		t.Errorf("%+v", rep)
	}
}

// once is what happens to the n-th message; all others are told as they are.
func once(n int, is func(content string) []string) func(int, string) []string {
	return func(at int, content string) []string {
		if at == n {
			return is(content)
		}
		return []string{content}
	}
}

func TestWhatIsLostRepeatedOrSwappedIsCounted(t *testing.T) {
	t.Parallel()
	var kept string // by one hub only
	for name, c := range map[string]struct {
		tell func(int, string) []string
		want [3]int64 // lost, repeated, out of order, for each of three that follow
	}{
		"lost":     {once(5, func(string) []string { return nil }), [3]int64{3, 0, 0}},
		"repeated": {once(5, func(c string) []string { return []string{c, c} }), [3]int64{0, 3, 0}},
		"swapped": {func(n int, c string) []string {
			switch n {
			case 5:
				kept = c
				return nil
			case 6:
				return []string{c, kept}
			}
			return []string{c}
		}, [3]int64{0, 0, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := drive(t, &liar{tell: c.tell}, Options{Subscribers: 2, Waiters: 1})
			if got := [3]int64{rep.Lost, rep.Repeated, rep.OutOfOrder}; got != c.want || rep.Clean() {
				t.Errorf("counted %v, not %v", got, c.want)
			}
		})
	}
}

// What was not acknowledged may be there or not: neither is the hub's mistake.
func TestWhatFailedIsNoLoss(t *testing.T) {
	t.Parallel()
	rep := drive(t, &liar{fail: func(n int) int {
		if n%10 == 0 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	}}, Options{Subscribers: 1})
	if rep.Failed == 0 || rep.Lost != 0 || !strings.Contains(rep.FirstFailure, "503") {
		t.Errorf("%+v", rep)
	}
}

func TestWhoIsToldToSlowDownSendsAgain(t *testing.T) {
	t.Parallel()
	rep := drive(t, &liar{fail: func(n int) int {
		if n == 3 {
			return http.StatusTooManyRequests
		}
		return http.StatusOK
	}}, Options{Subscribers: 1})
	if rep.Limited != 1 || rep.Failed != 0 || rep.Lost != 0 {
		t.Errorf("%+v", rep)
	}
}

func TestAHubThatTakesNothingIsAnError(t *testing.T) {
	t.Parallel()
	refusing := startLiar(t, &liar{fail: func(int) int { return http.StatusConflict }})
	for _, o := range []Options{
		{URL: refusing, Key: "k"}, {URL: refusing, Key: "wrong", Subscribers: 1}, {URL: refusing, Key: "wrong", Waiters: 1},
		{URL: "127.0.0.1:1"}, {URL: "http://127.0.0.1:1", Subscribers: 1}, {URL: "http://127.0.0.1:1"},
	} {
		o.Publishers, o.Channels, o.Size, o.Span = 1, 1, 10, 10*time.Millisecond
		if rep, err := Run(t.Context(), o); err == nil {
			t.Errorf("%+v made %+v", o, rep)
		}
	}
}

// A system has no more than 28,000 ports for the connections from one address to another.
func TestManyConnectionsComeFromSeveralAddresses(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("other systems have one loopback address")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	r := &run{addr: l.Addr().String()}
	for dialled, want := range map[int64]string{0: "127.0.0.1", perSource - 1: "127.0.0.1", perSource: "127.0.0.2", 300 * perSource: "127.0.1.51"} {
		r.dialled.Store(dialled)
		conn, err := r.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := net.SplitHostPort(conn.LocalAddr().String()); got != want {
			t.Errorf("connection %d comes from %s, not %s", dialled, got, want)
		}
		_ = conn.Close()
	}
}

func TestHoldFailsWhereItCanMeasureNothing(t *testing.T) {
	t.Parallel()
	hub := startLiar(t, &liar{})
	for _, o := range []Options{{URL: hub, Key: "k", PID: os.Getpid()}, {URL: hub, Key: "k", Subscribers: 1}, {URL: hub, Key: "wrong", Subscribers: 1, PID: os.Getpid()}, {URL: "nowhere"}} {
		if o.Channels = 1; o.URL == hub && runtime.GOOS != "linux" {
			o.PID = 0
		}
		if rep, err := Hold(t.Context(), o); err == nil {
			t.Errorf("%+v made %+v", o, rep)
		}
	}
}

func TestARunCanBeStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	o := Options{URL: startLiar(t, &liar{}), Key: "k", Publishers: 2, Subscribers: 1, Waiters: 1, Channels: 1, Size: 50, Span: time.Hour}
	o.Progress = func(now Progress) {
		if now.Connected != 2 {
			t.Errorf("%+v", now)
		}
		stop()
	}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
}
