package socket

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"syscall"
)

// Below returns the connection below nc's wrappers, and access to its socket; nil where it can only be written to by
// waiting. What encrypts is no mere wrapper.
func Below(nc net.Conn) (net.Conn, syscall.RawConn) {
	for {
		if _, encrypts := nc.(*tls.Conn); encrypts {
			return nc, nil
		}
		w, wraps := nc.(interface{ NetConn() net.Conn })
		if !wraps {
			return nc, rawConn(nc)
		}
		nc = w.NetConn()
	}
}

// Attempt is a write that does not wait. Its Write is for syscall.RawConn; bind it once where many are made.
type Attempt struct {
	B   []byte // to be written
	N   int    // bytes of B that were
	Err error  // why no more can be; a full socket is no error
}

// bound is an Attempt with its Write.
type bound struct {
	Attempt
	write func(fd uintptr) bool
}

// attempts keeps them for the next Write: thousands of waits report every 15 s, and what is no garbage needs no collecting.
var attempts = sync.Pool{New: func() any {
	b := new(bound)
	b.write = b.Write
	return b
}}

// Write writes as much of b as the socket takes at once.
func Write(raw syscall.RawConn, b []byte) (n int, err error) {
	a := attempts.Get().(*bound)
	defer attempts.Put(a)
	a.Attempt = Attempt{B: b}
	if err = raw.Write(a.write); err == nil {
		err = a.Err
	}
	a.B = nil
	return a.N, err
}

type key struct{}

// With is an http.Server's ConnContext: handlers find the connection by Of.
func With(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, key{}, nc)
}

// Of returns the connection on which a request came; nil for one that is not known.
func Of(ctx context.Context) net.Conn {
	nc, _ := ctx.Value(key{}).(net.Conn)
	return nc
}
