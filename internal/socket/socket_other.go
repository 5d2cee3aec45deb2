//go:build !unix

package socket

import (
	"net"
	"syscall"
)

// rawConn returns nil: here every write waits, in a goroutine of its own.
func rawConn(net.Conn) syscall.RawConn { return nil }

// Write is never called, as there is no syscall.RawConn.
func (a *Attempt) Write(uintptr) bool { return true }
