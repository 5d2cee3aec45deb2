package rest

import (
	"fmt"
	"testing"

	"crosstalk/auth"
	"crosstalk/models"
)

func TestSendsAndRefusalsAreCounted(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		const body = `{"channel":"a","sender":"bob","content":"%s","idempotency_key":"k"}`
		for _, step := range []struct {
			content string
			status  int
		}{{"hi", 200}, {"hi", 200}, {"other", 409}} {
			if got := b.send(t, "POST", "/api/messages", fmt.Sprintf(body, step.content)); got.status != step.status {
				t.Errorf("%s: %d %s", step.content, got.status, got.body)
			}
		}
		b.page(t, "a", "limit=5")
		b.page(t, "a", "after_id=1")
		b.send(t, "GET", "/api/nothing", "")
		b.send(t, "POST", "/api/messages", `{`)
		b.send(t, "GET", "/metrics", "") // this hub was given none
		m := b.meter
		if m.Accepted.Load() != 1 || m.Duplicates.Load() != 1 || m.Delivered() != 1 {
			t.Errorf("%d accepted, %d repeated, %d delivered", m.Accepted.Load(), m.Duplicates.Load(), m.Delivered())
		}
		m.Rejected(func(code models.Code, n int64) {
			if want := map[models.Code]int64{models.Conflict: 1, models.NotFound: 2, models.Invalid: 1}[code]; n != want {
				t.Errorf("%s: %d, want %d", code, n, want)
			}
		})
	})
}

func TestResumedStreamsAreCountedByResult(t *testing.T) {
	b := serve(t, auth.Config{})
	b.post(t, "a", "bob", "1", "2")
	for _, parameters := range []string{"channels=a", "channels=a&after_id=0", "channels=a&after_id=1", "channels=a,b&after_id=99"} {
		l := b.listen(t, parameters)
		l.next(t)
	}
	if m := b.meter; m.Recovered.Load() != 1 || m.Lost.Load() != 1 || m.Open.Load() != 4 {
		t.Errorf("%d recovered, %d lost, %d open", m.Recovered.Load(), m.Lost.Load(), m.Open.Load())
	}
}
