package wire

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"crosstalk/bridge/wire/rpc"
	"crosstalk/models"
)

func request(id string) message {
	return message{Message: rpc.Message{Kind: rpc.Request, ID: json.RawMessage(id)}}
}

func TestNothingBeginsInASessionThatIsOver(t *testing.T) {
	s := newSession(models.Principal{}, "c")
	before := s.begin(t.Context(), request("1"))
	s.kill()
	after := s.begin(t.Context(), request("2"))
	for _, f := range []*flight{before, after} {
		if !errors.Is(context.Cause(f.ctx), errCancelled) {
			t.Errorf("request %s goes on", f.message.ID)
		}
	}
	hungUp := false
	s.tune(func() { hungUp = true })
	if !hungUp {
		t.Error("its stream goes on")
	}
}

func TestAnIDThatIsUsedAgainIsThatOfTheLater(t *testing.T) {
	s := newSession(models.Principal{}, "c")
	first, second := s.begin(t.Context(), request("1")), s.begin(t.Context(), request("1"))
	first.end()
	s.cancel(json.RawMessage("1"))
	if !errors.Is(context.Cause(second.ctx), errCancelled) || errors.Is(context.Cause(first.ctx), errCancelled) {
		t.Error("not the later one was cancelled")
	}
	second.end()
	if len(s.flights) != 0 {
		t.Errorf("%d requests are remembered that have ended", len(s.flights))
	}
}

func TestARequestCannotBeCancelledWhileItsAnswerIsWritten(t *testing.T) {
	s := newSession(models.Principal{}, "c")
	f := s.begin(t.Context(), request("1"))
	f.land(func() {
		s.cancel(json.RawMessage("1"))
		if f.ctx.Err() != nil {
			t.Error("it was cancelled")
		}
		if s.landing.TryLock() {
			t.Error("the next request would not wait")
		}
	})
	s.settle()
}

func TestAnswersOfClientsGoWhereTheyAreWaitedFor(t *testing.T) {
	s := newSession(models.Principal{}, "c")
	first, one := s.question()
	second, two := s.question()
	if first == second {
		t.Fatal("two questions have one id")
	}
	answer := func(id, result string) {
		s.answered(rpc.Message{Kind: rpc.Response, ID: json.RawMessage(id), Result: json.RawMessage(result)})
	}
	answer("2", `"b"`)
	answer("2", `"again"`)
	answer(`"1"`, `"no id of ours"`)
	answer("99", `"nor this"`)
	if got := <-two; string(got.result) != `"b"` || len(one) != 0 {
		t.Errorf("got %s", got.result)
	}
	s.unquestion(first)
	answer("1", `"too late"`)
	if len(one) != 0 || len(s.asked) != 0 {
		t.Error("something is still waited for")
	}
}
