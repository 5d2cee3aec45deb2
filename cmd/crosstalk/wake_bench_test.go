package main

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkWakeAcrossProcesses is from the call of send_message in one process to the answer of wait_for_reply in
// another, of so many on one database that all wait.
func BenchmarkWakeAcrossProcesses(b *testing.B) {
	for _, n := range []int{2, 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { wakeAcross(b, n) })
	}
}

func wakeAcross(b *testing.B, n int) {
	db := dbIn(b)
	agents, waits := make([]*agent, n), make([]int, n)
	wait := func(i int) {
		waits[i] = agents[i].call("wait_for_reply", map[string]any{"instance_id": fmt.Sprint("a", i), "channel": fmt.Sprint("c", i)})
	}
	for i := range agents {
		agents[i] = startAgent(b, "mcp", "--db", db)
		wait(i)
	}
	var woken, sent []time.Duration
	b.ResetTimer()
	for i := range b.N {
		from, to := i%n, (i+1)%n
		// Whoever was woken before waits again: that is written once things have settled.
		<-time.After(250 * time.Millisecond)
		began := time.Now()
		send := agents[from].call("send_message", map[string]any{
			"sender": fmt.Sprint("a", from), "channel": fmt.Sprint("c", to), "content": "wake up",
		})
		done := make(chan time.Duration)
		go func() {
			has(b, agents[to].answer(waits[to]), "wake up")
			done <- time.Since(began)
		}()
		has(b, agents[from].answer(send), "sent to #")
		sent = append(sent, time.Since(began))
		woken = append(woken, <-done)
		wait(to)
	}
	b.StopTimer()
	for name, took := range map[string][]time.Duration{"woken": woken, "sent": sent} {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), name+"-p50-us")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), name+"-p99-us")
	}
}
