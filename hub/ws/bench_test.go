package ws

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
)

// BenchmarkFanOut publishes b.N messages of 200 bytes from eight publishers into a room, whose clients read in the
// same process.
func BenchmarkFanOut(b *testing.B) {
	for _, subscribers := range []int{100, 1000} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			h := newHouse(b, auth.Config{})
			var delivered atomic.Int64
			var reading sync.WaitGroup
			for range subscribers {
				p := h.connect("/ws?channels=a")
				p.read("welcome")
				p.read("subscribed")
				reading.Go(func() { count(p, b.N, &delivered) })
			}
			content := strings.Repeat("word ", 40)
			b.ResetTimer()
			var talking sync.WaitGroup
			for part := range 8 {
				talking.Go(func() {
					for range (b.N + part) / 8 {
						draft := models.Draft{Channel: "a", Sender: "bob", Content: content, Type: models.TypeMessage, Kind: models.KindAgent}
						if _, err := h.hub.Publish(context.Background(), shared(), draft); err != nil {
							b.Error(err)
						}
					}
				})
			}
			talking.Wait()
			reading.Wait()
			b.ReportMetric(float64(delivered.Load())/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

// count reads n messages, looking at no more than their heads.
func count(p *peer, n int, delivered *atomic.Int64) {
	_ = p.nc.SetDeadline(time.Time{})
	br := bufio.NewReaderSize(p.br, 16<<10)
	for i := 0; i < n; i++ {
		head, err := br.Peek(4)
		if err != nil {
			p.t.Error(err)
			return
		}
		size := 2 + int(head[1])
		if head[1] == 126 {
			size = 4 + int(head[2])<<8 + int(head[3])
		}
		if size < 100 { // a ping or a position
			i--
		} else {
			delivered.Add(1)
		}
		if _, err := br.Discard(size); err != nil {
			p.t.Error(err)
			return
		}
	}
}
