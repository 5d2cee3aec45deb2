//go:build unix

package ws

import (
	"net"
	"syscall"
)

// rawConn returns access to the socket below nc; nil where there is none.
func rawConn(nc net.Conn) syscall.RawConn {
	if s, ok := nc.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// try writes as much of buf as the socket takes without waiting.
func (b *batch) try(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), b.buf)
		switch err {
		case nil:
			b.n = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			b.err = err
		}
		return true
	}
}
