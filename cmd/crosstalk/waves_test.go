package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// wave opens so many WebSockets at a time and then closes all, every other one with a close frame.
func wave(t testing.TB, hub string, n int) {
	t.Helper()
	host := strings.TrimPrefix(hub, "http://")
	conns := make([]net.Conn, n)
	var all sync.WaitGroup
	turn := make(chan struct{}, 32)
	for i := range conns {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			conn, err := net.Dial("tcp", host)
			if err != nil {
				t.Error(err)
				return
			}
			conns[i] = conn
			_, err = fmt.Fprintf(conn, "GET /ws?channels=wave-%d&instance_id=agent-%d HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", i%100, i, host)
			if err != nil {
				t.Error(err)
				return
			}
			in := bufio.NewReaderSize(conn, 512)
			resp, err := http.ReadResponse(in, nil)
			if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("the hub answered %s", resp.Status)
			}
			if err == nil { // the welcome, and that it is subscribed
				_, err = in.ReadString('}')
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i, conn := range conns {
		if conn == nil {
			continue
		}
		if i%2 == 0 {
			_, _ = conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8}) // 1000, masked with zeros
		}
		_ = conn.Close()
	}
}

// held is what a process has of what can run out.
type held struct{ goroutines, descriptors int }

func holds() held {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil { // only Linux tells
		return held{goroutines: runtime.NumGoroutine()}
	}
	return held{runtime.NumGoroutine(), len(files)}
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc+m.StackInuse) / (1 << 20)
}

// BenchmarkWaves opens and closes 20,000 WebSockets, 2,000 at a time, each with a name of its own, and fails unless the
// hub's goroutines and descriptors come back to exactly what they were. A wave before that makes what is made once.
func BenchmarkWaves(b *testing.B) {
	const waves, each = 10, 2000
	r := start(b, dbIn(b), env())
	settled := func(is func() bool) bool {
		for deadline := time.Now().Add(time.Minute); !is(); <-time.After(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				return false
			}
		}
		return true
	}
	wave(b, r.url, each)
	least := holds()
	settled(func() bool { // workers of the HTTP engine end after 10 s without work
		now := holds()
		same := now == least
		least = now
		if same {
			<-time.After(12 * time.Second)
			same = holds() == least
		}
		return same
	})
	before, memory := holds(), heap()
	for b.Loop() {
		for range waves {
			wave(b, r.url, each)
		}
		if !settled(func() bool { return holds() == before }) {
			b.Fatalf("before it held %+v, and a minute after %+v", before, holds())
		}
		b.ReportMetric(heap()-memory, "MB-more")
		b.ReportMetric(memory, "MB-before")
		b.ReportMetric(float64(before.goroutines), "goroutines")
		b.ReportMetric(float64(before.descriptors), "descriptors")
	}
}
