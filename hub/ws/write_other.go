//go:build !unix

package ws

import (
	"net"
	"syscall"
)

// rawConn returns nil: here every write waits, in a goroutine of its own.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (b *batch) try(uintptr) bool { return true }
