package bridge

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"crosstalk/models"
)

// BenchmarkSendMessage and BenchmarkCheckMessages measure calls from the JSON of a request to the JSON of
// its answer, with a store that is on disk.
func BenchmarkSendMessage(b *testing.B) {
	for _, clients := range []int{1, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			h := newHouse(b, Options{})
			content := strings.Repeat("x", 200)
			benchCalls(b, h, clients, func(c *client, me string) {
				c.call("send_message", `{"channel":"auth-dev","sender":"`+me+`","content":"`+content+`"}`)
			})
		})
	}
}

func BenchmarkCheckMessages(b *testing.B) {
	for name, unread := range map[string]int{"nothing-new": 0, "20-new": 20} {
		for _, clients := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) {
				h := newHouse(b, Options{})
				for range 1000 {
					h.post("auth-dev", "bob", models.TypeMessage, strings.Repeat("x", 200))
				}
				args := `,"limit":1`
				if unread > 0 {
					args = fmt.Sprintf(`,"after_id":%d`, 1000-unread)
				}
				benchCalls(b, h, clients, func(c *client, me string) {
					c.call("check_messages", `{"channel":"auth-dev","instance_id":"`+me+`"`+args+`}`)
				})
			})
		}
	}
}

func benchCalls(b *testing.B, h *house, clients int, call func(c *client, me string)) {
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(max(1, clients/2)) // of 2 processors
	b.ResetTimer()
	run := func(next func() bool) {
		me := fmt.Sprint("i", n.Add(1))
		c := h.client(me)
		c.call("register", `{"instance_id":"`+me+`"}`)
		for next() {
			call(c, me)
		}
	}
	if clients == 1 {
		run(b.Loop)
	} else {
		b.RunParallel(func(pb *testing.PB) { run(pb.Next) })
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
