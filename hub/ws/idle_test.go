//go:build unix

package ws

import (
	"net"
	"runtime"
	"syscall"
	"testing"

	"crosstalk/auth"
)

// BenchmarkIdleConnection reports what a connection costs that is subscribed to one channel and hears nothing. Its
// clients are bare descriptors, which cost the process no memory of their own.
func BenchmarkIdleConnection(b *testing.B) {
	const conns = 2000
	inUse := func() float64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	h := newHouse(b, auth.Config{})
	addr, err := net.ResolveTCPAddr("tcp4", h.addr)
	if err != nil {
		b.Fatal(err)
	}
	to := &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
	request := []byte("GET /ws?channels=a HTTP/1.1\r\nHost: " + h.addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	open := func() int {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := syscall.Connect(fd, to); err != nil {
			b.Fatal(err)
		}
		if _, err := syscall.Write(fd, request); err != nil {
			b.Fatal(err)
		}
		var answer [100]byte
		if _, err := syscall.Read(fd, answer[:]); err != nil {
			b.Fatal(err)
		}
		return fd
	}
	fds := make([]int, 0, conns+1)
	fds = append(fds, open())
	runtime.GC()
	for b.Loop() {
		before := inUse()
		for range conns {
			fds = append(fds, open())
		}
		fresh := inUse()
		runtime.GC()
		runtime.GC()
		b.ReportMetric((fresh-before)/conns, "B/conn-fresh")
		b.ReportMetric((inUse()-before)/conns, "B/conn")
		for _, fd := range fds {
			_ = syscall.Close(fd)
		}
		fds = fds[:0]
		eventually(b, "all have gone", func() bool { return h.srv.Len() == 0 })
		runtime.GC()
	}
}
