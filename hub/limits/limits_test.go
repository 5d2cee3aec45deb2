package limits

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"crosstalk/models"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func enforced(c Config) *Limits {
	l := New(c)
	l.Enforce()
	return l
}

// wantWait wants a refusal that says when to come back.
func wantWait(t *testing.T, err error, seconds int64) {
	t.Helper()
	if models.CodeOf(err) != models.RateLimited || models.RetryAfter(err) != seconds {
		t.Errorf("got %v, to come back in %d s, want %d", err, models.RetryAfter(err), seconds)
	}
}

func alice() models.Principal { return models.Principal{Name: "key:alice", Address: "192.0.2.1"} }
func bob() models.Principal   { return models.Principal{Name: "key:bob", Address: "192.0.2.2"} }

func TestNothingIsBoundedBeforeEnforceNorWithoutALimit(t *testing.T) {
	for name, l := range map[string]*Limits{"none": nil, "not enforced": New(Config{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}), "zero": enforced(Config{})} {
		for range 1000 {
			for what, err := range map[string]error{
				"arrive": l.Arrive("192.0.2.1"), "request": l.Request(alice()), "publish": l.Publish(alice()), "failure": l.Failure("192.0.2.1"),
			} {
				if err != nil {
					t.Fatalf("%s: %s: %v", name, what, err)
				}
			}
			for what, take := range map[string]func(models.Principal) (func(), error){"connect": l.Connect, "wait": l.Wait, "body": l.Body} {
				if _, err := take(alice()); err != nil {
					t.Fatalf("%s: %s: %v", name, what, err)
				}
			}
			if _, err := l.Subscribe(alice(), 100); err != nil {
				t.Fatalf("%s: subscribe: %v", name, err)
			}
		}
	}
}

func TestRatesAreOfEachCallerAndEachAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := enforced(Config{Requests: 2, Publishes: 1, Failures: 6})
		for what, count := range map[string]struct {
			take  func(models.Principal) error
			burst int
			wait  int64 // for the next
			every time.Duration
		}{
			"requests":  {l.Request, 10, 1, 500 * time.Millisecond},
			"addresses": {func(who models.Principal) error { return l.Arrive(who.Address) }, 10, 1, 500 * time.Millisecond},
			"publishes": {l.Publish, 5, 1, time.Second},
			"failures":  {func(who models.Principal) error { return l.Failure(who.Address) }, 6, 10, 10 * time.Second},
		} {
			for range count.burst {
				if err := count.take(alice()); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			for range 3 { // what is refused does not count
				err := count.take(alice())
				wantWait(t, err, count.wait)
				if err == nil || !strings.Contains(err.Error(), "slow down") {
					t.Errorf("%s: %v", what, err)
				}
			}
			if err := count.take(bob()); err != nil {
				t.Errorf("%s: bob pays for alice: %v", what, err)
			}
			time.Sleep(count.every)
			if err := count.take(alice()); err != nil {
				t.Errorf("%s: in time: %v", what, err)
			}
			wantWait(t, count.take(alice()), count.wait)
		}
		// What is of this process, or of nobody, is not counted.
		for range 1000 {
			if l.Arrive("") != nil || l.Failure("") != nil || l.Request(models.Principal{}) != nil {
				t.Fatal("nobody was refused")
			}
		}
	})
}

func TestManyCallersTakeNoMoreThanTheirMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Rates
		r.per(1)
		for i := range maxKept {
			if i == maxKept/2 {
				time.Sleep(time.Minute) // the first half is quiet from here on
			}
			r.Take(fmt.Sprint(i), time.Now())
		}
		for range bursts {
			r.Take("busy", time.Now())
		}
		if n := len(r.each); n > maxKept/2+1 {
			t.Errorf("%d callers are remembered", n)
		}
		if _, wait := r.Take("busy", time.Now()); wait == 0 {
			t.Error("who is busy was forgotten")
		}
	})
}

func TestWhatIsOpenAtOnceIsBounded(t *testing.T) {
	l := enforced(Config{Connections: 2, Subscriptions: 2, Waits: 2, Bodies: 2})
	for what, take := range map[string]func(models.Principal) (func(), error){
		"connect": l.Connect, "wait": l.Wait, "body": l.Body,
		"subscribe": func(who models.Principal) (func(), error) { return l.Subscribe(who, 1) },
	} {
		var done []func()
		for range 2 {
			d, err := take(alice())
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			done = append(done, d)
		}
		_, err := take(alice())
		wantWait(t, err, 5)
		if d, err := take(bob()); err != nil {
			t.Errorf("%s: bob pays for alice: %v", what, err)
		} else {
			d()
		}
		for range 2 { // only the first counts
			done[0]()
		}
		if d, err := take(alice()); err != nil {
			t.Errorf("%s: what ended still counts: %v", what, err)
		} else {
			defer d()
		}
		_, err = take(alice())
		wantWait(t, err, 5)
		done[1]()
	}
	if _, err := l.Subscribe(bob(), 3); models.CodeOf(err) != models.RateLimited {
		t.Errorf("three channels at once: %v", err)
	}
}

func TestConnectionsOfAnAddressAreBoundedWhoeverCalls(t *testing.T) {
	l := enforced(Config{Connections: 2, Bodies: 1})
	at := func(name string) models.Principal { return models.Principal{Name: name, Address: "192.0.2.1"} }
	var all []func()
	for _, name := range []string{"a", "b"} {
		done, err := l.Connect(at(name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, done)
	}
	_, err := l.Connect(at("c"))
	wantWait(t, err, 5)
	for range 2 { // c was not counted
		if done, err := l.Connect(models.Principal{Name: "c", Address: "192.0.2.9"}); err != nil {
			t.Error(err)
		} else {
			all = append(all, done)
		}
	}
	for _, done := range all {
		done()
	}
	if len(l.connections.each)+len(l.addressConnections.each) > 0 {
		t.Errorf("left: %v %v", l.connections.each, l.addressConnections.each)
	}
	// Large bodies are bounded over all callers, too.
	for i := range 4 {
		if _, err := l.Body(at(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	_, err = l.Body(at("5"))
	wantWait(t, err, 5)
	if l.bodies.each["who 5"] != 0 {
		t.Error("who was refused was counted")
	}
}
