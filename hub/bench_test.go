package hub

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
)

// text is a message of an ordinary length.
var text = strings.Repeat("please review the login ", 8)

// percentiles reports p50 and p99 of what was measured, in microseconds.
func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(p float64) float64 { return float64(took[int(p*float64(len(took)-1))].Nanoseconds()) / 1000 }
	b.ReportMetric(at(.5), "p50-us")
	b.ReportMetric(at(.99), "p99-us")
}

// eventually looks again and again until what goroutines do is done.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still not: %s", what)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// BenchmarkPublish is the whole path to disk, by so many senders at once.
func BenchmarkPublish(b *testing.B) {
	for _, senders := range []int{1, 32, 128} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) {
			h := fresh(b)
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for s := range senders {
				all.Go(func() {
					for i := s; i < b.N; i += senders {
						say(b, h, "x", fmt.Sprint("s", s), text)
					}
				})
			}
			all.Wait()
		})
	}
}

// BenchmarkWake is from a send to the end of the waits for it; the other waiters wait elsewhere.
func BenchmarkWake(b *testing.B) {
	for _, waiters := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(waiters), func(b *testing.B) {
			h := fresh(b)
			ctx, cancel := context.WithCancel(b.Context())
			var others sync.WaitGroup
			for i := range waiters - 1 {
				others.Go(func() {
					ask := Ask{Channel: fmt.Sprint("y", i), Instance: fmt.Sprint("i", i), Limit: 20}
					if _, err := h.Wait(ctx, anyone, ask, models.RoleParked, time.Hour); err != context.Canceled {
						b.Error(err)
					}
				})
			}
			eventually(b, "all is delivered", func() bool { return h.feed.open() == waiters-1 })
			var took []time.Duration
			b.ResetTimer()
			for range b.N {
				woken := make(chan time.Time, 1)
				go func() {
					ask := Ask{Channel: "x", Instance: "me", Limit: 20, Conn: "c"}
					if w, err := h.Wait(ctx, anyone, ask, models.RoleActive, time.Hour); err != nil || w.Shown(ctx) != nil {
						b.Error(err)
					}
					woken <- time.Now()
				}()
				eventually(b, "all is delivered", func() bool { return h.feed.open() == waiters })
				began := time.Now()
				say(b, h, "x", "bob", text)
				took = append(took, (<-woken).Sub(began))
				eventually(b, "all is delivered", func() bool { return h.feed.open() < waiters })
			}
			b.StopTimer()
			percentiles(b, took)
			cancel()
			others.Wait()
		})
	}
}

// still is a hub that does not run, so does not see that what it passes on is not in its log.
func still(b *testing.B) *Hub {
	b.Helper()
	st, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "crosstalk.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	h, err := New(st, Options{})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// BenchmarkFanOut passes one message to so many subscribers, without sockets.
func BenchmarkFanOut(b *testing.B) {
	for _, readers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			h := still(b)
			subs := make([]*Subscriber, readers)
			for i := range subs {
				subs[i] = follow(b, h, Subscription{Channels: []string{"x"}, Wake: func() {}})
			}
			b.ReportAllocs()
			b.ResetTimer()
			var id int64
			var entries []*Entry
			for range b.N {
				id++
				h.feed.committed([]models.Message{{ID: id, Seq: id, Channel: "x", Sender: "bob", Content: text}})
				for _, s := range subs {
					entries, _ = s.Ready(entries[:0], 64<<10)
				}
			}
			b.StopTimer()
			for _, s := range subs {
				s.Close()
			}
		})
	}
}

// BenchmarkResume reads what a subscriber missed from the log.
func BenchmarkResume(b *testing.B) {
	h := fresh(b)
	const missed = 2000
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range missed / 50 {
				say(b, h, "x", "bob", text)
			}
		})
	}
	all.Wait()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		zero := int64(0)
		s := follow(b, h, Subscription{Channels: []string{"x"}, After: &zero})
		for n := 0; n < missed; {
			got, err := s.Read(b.Context(), nil, 64<<10)
			if err != nil {
				b.Fatal(err)
			}
			n += len(got)
		}
		s.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/missed, "ns/message")
}

// open counts the seats of all rooms.
func (f *feed) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.rooms {
		n += r.others(r.channel, "")
	}
	return n
}
