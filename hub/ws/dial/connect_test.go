package dial

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"crosstalk/models"
)

func TestTriesAgainLaterEachTime(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		c := h.client(Options{Channels: []string{"a"}})
		day, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := c.Next(day); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("ended with %v", err)
		}
		var first, later time.Duration
		for i := 1; i < len(h.dials); i++ {
			gap := h.dials[i].Sub(h.dials[i-1])
			if gap < firstPause || gap > longPause {
				t.Errorf("try %d came after %s", i, gap)
			}
			if i <= 3 {
				first += gap
			}
			later = max(later, gap)
		}
		if first > 7*time.Second || later < 10*time.Second || len(h.dials) < 180 {
			t.Errorf("%d tries in an hour, the first three in %s, at most %s apart", len(h.dials), first, later)
		}
		h.start()
		h.publish("a", "alice", "at last")
		c.after = new(int64)
		if got := h.content(c); got != "at last" {
			t.Errorf("got %q", got)
		}
	})
}

func TestEndsWhereTryingAgainIsNoUse(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.key = "secret"
		h.start()
		for _, key := range []string{"", "wrong"} {
			c := h.client(Options{Channels: []string{"a"}, Key: key})
			if _, err := c.Next(t.Context()); models.CodeOf(err) != models.Unauthenticated || !strings.Contains(err.Error(), "Authorization: Bearer KEY") {
				t.Errorf("key %q: %v", key, err)
			}
		}
		c := h.client(Options{Channels: []string{"a"}, Key: "secret"})
		c.after = new(int64)
		h.publish("a", "alice", "1")
		if got := h.content(c); got != "1" {
			t.Errorf("got %q", got)
		}
		h.stop(true)
		h.key = "another"
		h.start()
		if _, err := c.Next(t.Context()); models.CodeOf(err) != models.Unauthenticated {
			t.Errorf("after the key was changed: %v", err)
		}
	})
}

// TestAnswersThatAreNoWebSocket has a proxy say what proxies say while the hub behind them is away, and what others say.
func TestAnswersThatAreNoWebSocket(t *testing.T) {
	var asked atomic.Int64
	status, retry := http.StatusBadGateway, ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if retry != "" {
			w.Header().Set("Retry-After", retry)
		}
		w.WriteHeader(status)
	}))
	defer proxy.Close()
	try := func() (*Client, error) {
		c, err := New(Options{URL: proxy.URL, Channels: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Next(t.Context())
		return c, err
	}
	_, err := try()
	if asked.Load() != 2 || models.CodeOf(err) != models.NotFound || !strings.Contains(err.Error(), "418") {
		t.Errorf("after %d requests: %v", asked.Load(), err)
	}
	asked.Store(0)
	status, retry = http.StatusNotFound, "7200"
	if c, err := try(); models.CodeOf(err) != models.NotFound || time.Until(c.next) > longPause {
		t.Errorf("%v, next try in %s", err, time.Until(c.next))
	}
}

func TestHubSaysWhenToComeBack(t *testing.T) {
	for reason, want := range map[string]time.Duration{
		"restarting; retry in 1250 ms": 1250 * time.Millisecond, "retry in 999999 ms": longPause, "restarting": 0, "retry in 99999999999999999999 ms": 0,
	} {
		if got := asked(reason); got != want {
			t.Errorf("%q: %s, want %s", reason, got, want)
		}
	}
}

func TestRefusesWhatCannotBeFollowed(t *testing.T) {
	for _, o := range []Options{
		{URL: "bus.example.com", Channels: []string{"a"}},
		{URL: "ftp://bus.example.com", Channels: []string{"a"}},
		{URL: "https://user:password@bus.example.com", Channels: []string{"a"}},
		{URL: "https://bus.example.com"},
		{URL: "https://bus.example.com", Channels: []string{"a", "#"}},
		{URL: "\x00", Channels: []string{"a"}},
	} {
		if c, err := New(o); models.CodeOf(err) != models.Invalid {
			t.Errorf("%+v: %v, %v", o, c, err)
		} else if strings.Contains(err.Error(), "password") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	c, err := New(Options{URL: "wss://bus.example.com/team/", Channels: []string{"a", "#B"}, Instance: "me & you"})
	if err != nil || c.address() != "https://bus.example.com/team/ws?channels=a%2Cb&instance_id=me+%26+you" {
		t.Errorf("%v, %v", c.address(), err)
	}
}
