package bridge

import (
	"context"
	"testing"
)

func TestDoneTellsOnceWhatBecameOfTheAnswer(t *testing.T) {
	var told []bool
	note := func(_ context.Context, written bool) { told = append(told, written) }
	c := &Call{}
	c.then(note)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.then(func(ctx context.Context, _ bool) {
		if ctx.Err() != nil {
			t.Error("what is noted after the answer ends with the request")
		}
	})
	c.Done(ctx, true)
	c.Done(ctx, false)
	if len(told) != 1 || !told[0] {
		t.Errorf("told %v, want true once", told)
	}
	c.then(note)
	if len(told) != 2 || told[1] {
		t.Errorf("an answer that comes after the end: told %v", told)
	}
}

func TestACallWithoutTransportStandsAlone(t *testing.T) {
	if c := callOf(t.Context()); c.Who != anyone() || c.Conn != "" || c.Progress != nil {
		t.Errorf("%+v", c)
	}
	c := &Call{Conn: "x"}
	if callOf(WithCall(t.Context(), c)) != c {
		t.Error("the call is not found")
	}
}
