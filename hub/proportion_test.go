//go:build unix

package hub

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"crosstalk/models"
)

// cpu is what this process has used so far, which a busy machine changes less than it does the time.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// shape is so many channels with so many subscribers each.
type shape struct{ channels, each int }

func (s shape) String() string { return fmt.Sprintf("%dx%d", s.channels, s.each) }

// deliver publishes messages to the channels in turn, and has those who were woken take them. Nothing is stored.
func (s shape) deliver(b *testing.B, messages int) (perDelivery float64) {
	b.Helper()
	h := still(b)
	var woken, all []*Subscriber
	for ch := range s.channels {
		for range s.each {
			var sub *Subscriber
			sub = follow(b, h, Subscription{Channels: []string{"c" + strconv.Itoa(ch)}, Wake: func() { woken = append(woken, sub) }})
			all = append(all, sub)
		}
	}
	deliveries := 0
	var entries []*Entry
	began := cpu(b)
	for id := int64(1); id <= int64(messages); id++ {
		ch := "c" + strconv.Itoa(int(id)%s.channels)
		h.feed.committed([]models.Message{{ID: id, Seq: id, Channel: ch, Sender: "bob", Content: text}})
		for _, sub := range woken {
			entries, _ = sub.Ready(entries[:0], 64<<10)
			deliveries += len(entries)
		}
		woken = woken[:0]
	}
	took := cpu(b) - began
	if deliveries != messages*s.each {
		b.Fatalf("%s: %d deliveries of %d messages", s, deliveries, messages)
	}
	for _, sub := range all {
		sub.Close()
	}
	return float64(took.Nanoseconds()) / float64(deliveries)
}

// BenchmarkFanOutInProportion compares what a delivery costs in rooms of many shapes, in one run. Where each has one
// subscriber a delivery is a message, which is encoded once; so those compare with one another. near is the most that
// the larger of two like shapes costs, in terms of the smaller.
func BenchmarkFanOutInProportion(b *testing.B) {
	const many = 20_000
	sums := map[shape]float64{}
	rooms := []struct {
		shape
		messages int
	}{{shape{1, 100}, 20_000}, {shape{1, many}, 100}, {shape{1, 1}, 100_000}, {shape{many, 1}, 100_000}}
	for b.Loop() {
		for _, r := range rooms {
			sums[r.shape] += r.deliver(b, r.messages)
		}
	}
	for s, sum := range sums {
		b.ReportMetric(sum/float64(b.N), s.String()+"-ns/delivery")
	}
	b.ReportMetric(sums[shape{1, many}]/sums[shape{1, 100}], "1x20000/1x100")
	b.ReportMetric(sums[shape{many, 1}]/sums[shape{1, 1}], "20000x1/1x1")
}

// BenchmarkJoin has so many subscribers come into one room, and go in the order in which they came.
func BenchmarkJoin(b *testing.B) {
	for _, n := range []int{1000, 20_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			h := still(b)
			seats := make([]*seat, n)
			var joining, leaving time.Duration
			b.ReportAllocs()
			for b.Loop() {
				began := cpu(b)
				for i := range seats {
					seats[i] = h.feed.join("c", &Subscriber{})
				}
				joined := cpu(b)
				for _, s := range seats {
					h.feed.leave(s)
				}
				joining, leaving = joining+joined-began, leaving+cpu(b)-joined
			}
			b.ReportMetric(float64(joining.Nanoseconds())/float64(b.N*n), "ns/join")
			b.ReportMetric(float64(leaving.Nanoseconds())/float64(b.N*n), "ns/leave")
		})
	}
}
