package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crosstalk/cmd/crosstalk/remote"
	"crosstalk/models"
)

// tailing is a tail that runs until the test ends.
type tailing struct {
	out, errs *lines
	stop      context.CancelFunc
	ended     chan error
}

func startTail(t *testing.T, getenv func(string) string, args ...string) *tailing {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &tailing{out: &lines{}, errs: &lines{}, stop: stop, ended: make(chan error, 1)}
	go func() { l.ended <- run(ctx, append([]string{"tail"}, args...), getenv, nil, l.out, l.errs) }()
	t.Cleanup(func() {
		stop()
		if err := <-l.ended; err != nil {
			t.Errorf("tail ended with %v", err)
		}
	})
	return l
}

// contents are those of the JSON lines so far.
func (l *tailing) contents(t *testing.T) (all []string) {
	t.Helper()
	for text := range strings.Lines(l.out.String()) {
		var m models.Message
		if strings.HasSuffix(text, "\n") {
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			all = append(all, m.Content)
		}
	}
	return all
}

// front is an address that stays, as a load balancer's, before hubs that come and go.
type front struct {
	url string
	to  atomic.Pointer[string]
}

func newFront(t *testing.T) *front {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{url: "http://" + l.Addr().String()}
	var work sync.WaitGroup
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	work.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(*f.to.Load(), "http://"))
			if err != nil {
				_ = near.Close()
				continue
			}
			work.Go(func() { pass(near, far) })
			work.Go(func() { pass(far, near) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		work.Wait()
	})
	return f
}

func TestTailFollowsThroughRestarts(t *testing.T) {
	db := dbIn(t)
	r := start(t, db, env())
	f := newFront(t)
	f.to.Store(&r.url)
	c := client(t)
	var want []string
	say := func(channel, text string) {
		post(t, c, r.url, channel, text)
		if channel != "c" {
			want = append(want, text)
		}
	}
	say("a", "before")
	say("b", "before it too")
	l := startTail(t, env("CROSSTALK_URL", f.url), "--json", "#A", "b")
	arrived := func() bool { return len(l.contents(t)) >= len(want) }
	say("a", "live")
	say("c", "elsewhere")
	eventually(t, arrived)
	for i := range 2 {
		if err := r.end(t); err != nil {
			t.Fatal(err)
		}
		r = start(t, db, env())
		f.to.Store(&r.url)
		say("b", fmt.Sprintf("after restart %d", i))
		eventually(t, arrived)
	}
	if diff := cmp.Diff(want, l.contents(t)); diff != "" {
		t.Errorf("messages (-sent +shown):\n%s", diff)
	}
	if said := l.errs.String(); strings.Count(said, "nothing was missed") != 2 {
		t.Errorf("it said %q", said)
	}
}

// TestTailHearsOtherProcessesOnTheDatabase has two hubs on one file, as two processes are.
func TestTailHearsOtherProcessesOnTheDatabase(t *testing.T) {
	getenv := env("CROSSTALK_DB", dbIn(t), "USER", "me")
	does(t, getenv, "", "send", "a", "before").well(t)
	l := startTail(t, getenv, "-n", "0", "--json")
	does(t, getenv, "", "send", "a", "live").well(t) // before or after the tail stands
	does(t, getenv, "", "send", "b", "last").well(t)
	for i := 0; !strings.Contains(l.out.String(), `"`+strconv.Itoa(i-1)+`"`) && i < 50; i++ {
		does(t, getenv, "", "send", "c", strconv.Itoa(i)).well(t)
	}
	if !strings.Contains(l.out.String(), `"channel":"c"`) {
		t.Errorf("heard %s", l.out)
	}
}

// longLog serves a log of many messages in a few channels, with times that stand still now and then.
type longLog struct{ messages []models.Message }

func newLog1000(at time.Time) *longLog {
	l := &longLog{}
	for i := range 1000 {
		l.messages = append(l.messages, models.Message{
			ID: int64(i + 1), Channel: []string{"a", "a", "b", "a", "c"}[(i*i/7)%5], CreatedAt: models.TimeOf(at.Add(time.Duration(i/3) * time.Second)),
		})
	}
	return l
}

func (l *longLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ch, isPage := strings.CutPrefix(r.URL.Path, "/api/messages/")
	number := func(name string, otherwise int64) int64 {
		if n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	var answer any
	if isPage {
		p := models.Page{NextAfterID: int64(len(l.messages)), Messages: []models.Message{}}
		after, before, limit := number("after_id", -1), number("before_id", 1<<60), int(number("limit", 20))
		for _, m := range l.messages {
			if m.Channel == ch && m.ID > after && m.ID < before {
				p.Messages = append(p.Messages, m)
			}
		}
		if n := len(p.Messages); after >= 0 {
			p.Messages = p.Messages[:min(n, limit)]
		} else {
			p.Messages = p.Messages[max(0, n-limit):]
		}
		answer = p
	} else {
		var list channelList
		before, limit := number("before_id", 1<<60), int(number("limit", 200))
		listed := map[string]bool{}
		for _, m := range slices.Backward(l.messages) {
			if !listed[m.Channel] && m.ID < before {
				list.Channels = append(list.Channels, models.Channel{Name: m.Channel, LastID: &m.ID, LastMessageAt: &m.CreatedAt})
			}
			listed[m.Channel] = true
		}
		list.Channels = append(list.Channels, models.Channel{Name: "empty"})
		list.Channels = list.Channels[:min(limit, len(list.Channels))]
		answer = list
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// busOf asks a server until the test ends.
func busOf(t *testing.T, handler http.Handler) *bus {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c, err := remote.New(remote.Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &bus{Client: c}
}

func TestTailFindsItsBeginningAmongAnyNumberOfChannels(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	l := &longLog{}
	for i := range mostListed + 200 {
		l.messages = append(l.messages, models.Message{ID: int64(i + 1), Channel: fmt.Sprint("ch", i), CreatedAt: models.TimeOf(at.Add(time.Duration(i) * time.Second))})
	}
	b := busOf(t, l)
	for name, want := range map[string]int64{models.Every: 10, "ch10": 10, "ch9": 1200} {
		if cursor, err := positionAt(t.Context(), b, []string{name}, at.Add(10*time.Second)); err != nil || cursor != want {
			t.Errorf("%s begins after %d, want %d, %v", name, cursor, want, err)
		}
	}
	if newest, err := newestOf(t.Context(), b, []string{"ch0", "ch1100", "nothing"}, 1200, 5); err != nil || len(newest) != 2 || newest[0].ID != 1 || newest[1].ID != 1101 {
		t.Errorf("the newest are %v, %v", newest, err)
	}
}

func TestTailBeginsWhereItIsTold(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	l := newLog1000(at)
	asked := 0
	b := busOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++; l.ServeHTTP(w, r) }))
	follows := func(names []string, m models.Message) bool {
		return names[0] == models.Every || strings.Contains(strings.Join(names, ","), m.Channel)
	}
	for _, names := range [][]string{{models.Every}, {"a"}, {"b", "c"}, {"empty"}} {
		for _, second := range []time.Duration{-5, 0, 1, 17, 170, 332, 333, 334, 500} {
			from := at.Add(second * time.Second)
			asked = 0
			cursor, err := positionAt(t.Context(), b, names, from)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range l.messages {
				if follows(names, m) && (m.ID > cursor) == m.CreatedAt.Time().Before(from) {
					t.Fatalf("%v since second %d begins after %d, but message %d is of %s", names, second, cursor, m.ID, m.CreatedAt)
				}
			}
			if asked > 30 {
				t.Errorf("%v since second %d took %d requests", names, second, asked)
			}
		}
		for _, n := range []int{1, 7, 200} {
			var want, got []int64
			for _, m := range l.messages[:900] {
				if follows(names, m) {
					want = append(want, m.ID)
				}
			}
			newest, err := newestOf(t.Context(), b, names, 900, n)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range newest {
				got = append(got, m.ID)
			}
			if diff := cmp.Diff(want[max(0, len(want)-n):], got); len(want) > 0 && diff != "" {
				t.Errorf("%v, the newest %d (-want +got):\n%s", names, n, diff)
			}
		}
	}
}

func TestSinceIsAnIDATimeOrAMoment(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"": "", "0": "0", "1200": "1200", "90m": "2026-11-23T08:30:00Z", "7d": "2026-11-16T10:00:00Z", "0.5d": "2026-11-22T22:00:00Z",
		"2026-11-22": "2026-11-22T00:00:00Z", "2026-11-23T09:00": "2026-11-23T09:00:00Z", "2026-11-23 09:00:30": "2026-11-23T09:00:30Z",
		"2026-11-23T09:00:00+02:00": "2026-11-23T07:00:00Z",
		"-1":                        "wrong", "yesterday": "wrong", "d": "wrong", "NaNd": "wrong", "-1h": "wrong", "99999999999999999999": "wrong", "1e9d": "wrong",
	} {
		got, err := parseSince(text, now)
		said := ""
		switch {
		case err != nil && exitCode(err) == 2:
			said = "wrong"
		case got.id != nil:
			said = strconv.FormatInt(*got.id, 10)
		case !got.at.IsZero():
			said = got.at.UTC().Format(time.RFC3339)
		}
		if said != want {
			t.Errorf("%q is %q, want %q", text, said, want)
		}
	}
}

// hostile is text that would drive a terminal, fake a message, or turn around what follows.
const hostile = "a\x1b]0;title\x07\x1b[2J\r\n12 10:00:00 #ops boss: pay\u009b31m\u202ekcab\u2066\x7f\x00\b\tend\u2028x"

func TestNoTextDrivesTheTerminal(t *testing.T) {
	var screen bytes.Buffer
	parent := int64(3)
	m := models.Message{ID: 1, Channel: "ops", Sender: hostile, Content: hostile, Type: models.TypeRequest, InReplyTo: &parent, Kind: models.KindHuman}
	for _, asJSON := range []bool{false, true} {
		o := &printer{w: &screen, json: asJSON, screen: true}
		for _, err := range []error{
			o.message(&m), o.table([]string{"A", "B"}, [][]string{{hostile, name(hostile)}}), o.text(hostile), o.object(map[string]string{hostile: hostile}), markdown(&screen, &m),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, r := range screen.String() {
		if r != '\n' && r != '\t' && drives(r) {
			t.Fatalf("%U at %d of:\n%q", r, i, screen.String())
		}
	}
	screen.Reset()
	o := &printer{w: &screen, colour: true}
	if err := o.message(&m); err != nil {
		t.Fatal(err)
	}
	all := screen.String()
	if strings.Count(all, "\n") != 2 || !strings.Contains(all, "\n    12 10:00:00 #ops boss: pay") {
		t.Errorf("a line of the message passes for another message:\n%s", all)
	}
	var back map[string]string
	if err := json.Unmarshal(asciiControls([]byte(`{"x":"`+"\u009b\U000e0001é😀"+`"}`)), &back); err != nil || back["x"] != "\u009b\U000e0001é😀" {
		t.Errorf("JSON changed its meaning: %q, %v", back["x"], err)
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	m := models.Message{ID: 7, Channel: "a", Sender: "bob", Content: "x", Type: models.TypeMessage, CreatedAt: models.TimeOf(time.Now())}
	var out bytes.Buffer
	if err := newPrinter(&process{stdout: &out, getenv: env("TERM", "xterm")}, false).message(&m); err != nil || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	if err := (&printer{w: &out, colour: true}).message(&m); err != nil || !strings.Contains(out.String(), "\x1b[1;") {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestKeysOfDataAreWholePaths(t *testing.T) {
	if got, want := remote.Path("a/b", "#c?", "é %"), "/a%2Fb/%23c%3F/%C3%A9%20%25"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := url.ParseRequestURI("/x" + remote.Path("..", ".")); err != nil {
		t.Error(err)
	}
}
