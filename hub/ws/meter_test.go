package ws

import (
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
)

func TestSendsAndDeliveriesAreCounted(t *testing.T) {
	h := newHouse(t, auth.Config{})
	m := h.srv.meter
	a, b := h.connect("/ws?channels=a"), h.connect("/ws?channels=*")
	for _, p := range []*peer{a, b} {
		p.read("welcome")
		p.read("subscribed")
	}
	from := h.connect("/ws")
	from.read("welcome")
	for range 2 {
		from.say(`{"type":"publish","channel":"a","sender":"alice","content":"hi","idempotency_key":"k"}`)
		from.read("published")
	}
	from.say(`{"type":"publish","channel":"b","sender":"alice","content":"hi"}`)
	from.read("published")
	from.say(`{"type":"publish","channel":"b","content":"who?"}`)
	from.read("error")
	a.read("message")
	b.read("message")
	b.read("message")
	if m.Accepted.Load() != 2 || m.Duplicates.Load() != 1 || m.Open.Load() != 3 {
		t.Errorf("%d accepted, %d repeated, %d open", m.Accepted.Load(), m.Duplicates.Load(), m.Open.Load())
	}
	// A frame can be read a moment before it is counted.
	eventually(t, "three messages are delivered", func() bool { return m.Delivered() == 3 })
	if s := m.Arrived(); s.Count < 2 || s.Count > 3 || s.Sum <= 0 || s.Sum > 10 {
		t.Errorf("they took %+v", s)
	}
	m.Rejected(func(code models.Code, n int64) {
		if want := map[models.Code]int64{models.Invalid: 1}[code]; n != want {
			t.Errorf("%s: %d, want %d", code, n, want)
		}
	})
	if _, resp, err := h.shake("/ws?channels=%20,!"); err != nil || resp.StatusCode != 400 {
		t.Errorf("%v %v", resp, err)
	}
	m.Rejected(func(code models.Code, n int64) {
		if code == models.Invalid && n != 2 {
			t.Errorf("%d refused", n)
		}
	})
}

func TestResumesAreCountedByResult(t *testing.T) {
	h := newHouse(t, auth.Config{})
	m := h.srv.meter
	h.publish("a", "bob", "1")
	h.publish("a", "bob", "2")
	for _, query := range []string{"channels=a", "channels=a&after_id=0", "channels=a,b&after_id=1", "channels=a&after_id=999"} {
		p := h.connect("/ws?" + query)
		p.read("welcome")
		p.read("subscribed")
	}
	p := h.connect("/ws")
	p.read("welcome")
	for _, command := range []string{
		`{"type":"subscribe","channel":"a","after_id":2}`, `{"type":"unsubscribe","channel":"a"}`, `{"type":"subscribe","channel":"a","after_id":77}`,
	} {
		p.say("%s", command)
	}
	p.read("subscribed")
	p.read("unsubscribed")
	p.read("subscribed")
	if m.Recovered.Load() != 2 || m.Lost.Load() != 2 {
		t.Errorf("%d recovered, %d lost, want 2 each", m.Recovered.Load(), m.Lost.Load())
	}
}

func TestWhoIsTooSlowIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubble(t, auth.Config{})
		p := h.connect("/ws?channels=a")
		p.read("welcome")
		p.read("subscribed")
		h.fill("a", 50, 10_000)
		time.Sleep(stall + time.Second)
		m := h.srv.meter
		if m.Slow.Load() != 1 || m.Delivered() != 0 {
			t.Errorf("%d too slow, %d delivered", m.Slow.Load(), m.Delivered())
		}
		for {
			if _, err := p.next(); err != nil {
				break
			}
		}
		p.leave(4008)
		p.ended()
		synctest.Wait()
		if m.Open.Load() != 0 {
			t.Errorf("%d are open", m.Open.Load())
		}
		if m.Delivered() != 0 { // of the batch that it was too slow for
			t.Errorf("%d were delivered", m.Delivered())
		}
	})
}
