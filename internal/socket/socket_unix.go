//go:build unix

package socket

import (
	"net"
	"syscall"
)

func rawConn(nc net.Conn) syscall.RawConn {
	if s, ok := nc.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// Write writes as much of B as the socket takes without waiting.
func (a *Attempt) Write(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), a.B)
		switch err {
		case nil:
			a.N = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			a.Err = err
		}
		return true
	}
}
