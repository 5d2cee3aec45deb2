package bridge

import (
	"testing"

	"crosstalk/models"
	"crosstalk/models/meter"
)

func TestWhatIsShownAgainIsCounted(t *testing.T) {
	h := newHouse(t, Options{})
	d := &meter.Door{}
	h.post("a", "bob", models.TypeMessage, "one")
	counts := func(delivered, again int64) {
		t.Helper()
		if d.Delivered() != delivered || d.Again.Load() != again {
			t.Errorf("%d delivered and %d shown again, want %d and %d", d.Delivered(), d.Again.Load(), delivered, again)
		}
	}
	in := func(conn string) *client {
		c := h.client(conn)
		c.meter = d
		return c
	}
	const check = `{"channel":"a","instance_id":"me"}`
	first := in("first")
	first.call("check_messages", check)
	counts(1, 0)
	h.post("a", "bob", models.TypeMessage, "two")
	if _, wrong := first.try(t.Context(), "check_messages", check, false); wrong {
		t.Error("refused")
	}
	counts(1, 0) // the answer was lost
	first.call("check_messages", check)
	counts(2, 0)
	wants(t, in("second").call("check_messages", check), "(shown before)")
	counts(3, 1)
}

func TestSendsOfToolsAreCountedOnce(t *testing.T) {
	h := newHouse(t, Options{})
	c := h.client("c")
	c.meter = &meter.Door{}
	for range 2 {
		c.call("send_message", `{"channel":"a","sender":"me","content":"hi","idempotency_key":"k"}`)
	}
	if _, wrong := c.try(t.Context(), "send_message", `{"channel":"a","sender":"me","content":"other","idempotency_key":"k"}`, true); !wrong {
		t.Error("another message under the same key was taken")
	}
	if m := c.meter; m.Accepted.Load() != 1 || m.Duplicates.Load() != 1 {
		t.Errorf("%d accepted, %d repeated", m.Accepted.Load(), m.Duplicates.Load())
	}
	c.meter.Rejected(func(code models.Code, n int64) {
		if want := map[models.Code]int64{models.Conflict: 1}[code]; n != want {
			t.Errorf("%s: %d, want %d", code, n, want)
		}
	})
}
