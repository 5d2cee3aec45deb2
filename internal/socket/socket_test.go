//go:build unix

package socket

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wrapper is a connection in another.
type wrapper struct{ net.Conn }

func (w wrapper) NetConn() net.Conn { return w.Conn }

// pair connects two sockets.
func pair(t *testing.T) (own, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if peer, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if own, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close(); _ = peer.Close() })
	return own, peer
}

func TestAFullSocketTakesPartAndWaitsForNobody(t *testing.T) {
	own, peer := pair(t)
	_, raw := Below(own)
	var wrote []byte
	for part := byte(0); ; part++ { // nobody reads
		b := bytes.Repeat([]byte{part}, 1<<20)
		n, err := Write(raw, b)
		if err != nil {
			t.Fatal(err)
		}
		if wrote = append(wrote, b[:n]...); n == 0 {
			break
		}
	}
	_ = own.Close()
	if got, err := io.ReadAll(peer); err != nil || !bytes.Equal(got, wrote) {
		t.Errorf("of %d bytes that were taken %d arrived, or others: %v", len(wrote), len(got), err)
	}
	if n, err := Write(raw, []byte("late")); n != 0 || err == nil {
		t.Errorf("a closed socket took %d bytes", n)
	}
}

func TestAWriteToWhoHasGoneFails(t *testing.T) {
	own, peer := pair(t)
	_, raw := Below(own)
	if err := peer.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = peer.Close()
	_, _ = own.Read(make([]byte, 1)) // the reset has come
	if _, err := Write(raw, []byte("hello")); err == nil {
		t.Error("who has gone took a write")
	}
}

func TestOnlyWhatEncryptsIsNotLookedThrough(t *testing.T) {
	own, _ := pair(t)
	if nc, raw := Below(wrapper{wrapper{own}}); nc != own || raw == nil {
		t.Errorf("below two wrappers is %T, %v", nc, raw)
	}
	encrypted := tls.Server(own, &tls.Config{MinVersion: tls.VersionTLS13})
	if nc, raw := Below(wrapper{encrypted}); nc != encrypted || raw != nil {
		t.Errorf("past what encrypts: %T, %v", nc, raw)
	}
	pipe, other := net.Pipe()
	defer func() { _, _ = pipe.Close(), other.Close() }()
	if nc, raw := Below(wrapper{pipe}); nc != pipe || raw != nil {
		t.Errorf("no socket: %T, %v", nc, raw)
	}
}

func TestAHandlerFindsItsConnection(t *testing.T) {
	own, _ := pair(t)
	if nc := Of(With(context.Background(), own)); nc != own {
		t.Errorf("found %v", nc)
	}
	if nc := Of(context.Background()); nc != nil {
		t.Errorf("found %v on which nothing came", nc)
	}
}
