package postgres

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// fate is what becomes of the piece that carries a mark on its way to the server.
type fate int

const (
	arrives      fate = iota
	isCut             // before the server gets it
	goesNoWhere       // neither it nor anything after it moves any more, and the connection stays
	isUnanswered      // the server gets it, and the connection is cut before its answer is through
)

// proxy stands between a database and its server.
type proxy struct {
	t      *testing.T
	listen net.Listener
	server string
	mark   []byte
	all    sync.WaitGroup

	// Guarded by mu.
	mu    sync.Mutex
	fate  fate // of the next piece with the mark
	shut  bool // nobody comes in any more
	conns []net.Conn
}

// between returns the URL by which a server is reached through a proxy.
func between(t *testing.T, raw, mark string) (*proxy, string) {
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listen: l, server: u.Host, mark: []byte(mark)}
	p.all.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.all.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

// next says what becomes of the next piece with the mark, and whether new connections are let in from then on.
func (p *proxy) next(f fate, shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fate, p.shut = f, shut
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		shut := p.shut && p.fate == arrives // what was to happen has happened
		p.mu.Unlock()
		if shut {
			_ = client.Close()
			continue
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			p.t.Error(err)
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.all.Go(func() { p.pass(client, server) })
	}
}

// pass moves what both sides say, until one of them has gone.
func (p *proxy) pass(client, server net.Conn) {
	var back sync.WaitGroup
	lose := make(chan struct{})
	back.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			select {
			case <-lose:
				err = io.EOF // the server has answered, and so has done what it was asked
			default:
			}
			if err != nil {
				_ = client.Close()
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			break
		}
		now := arrives
		if bytes.Contains(buf[:n], p.mark) {
			p.mu.Lock()
			now, p.fate = p.fate, arrives
			p.mu.Unlock()
		}
		switch now {
		case isCut:
			_ = client.Close()
		case goesNoWhere:
			_, _ = client.Read(buf) // until the client gives up
		case isUnanswered:
			close(lose)
		}
		if now == isCut || now == goesNoWhere {
			break
		}
		if _, err := server.Write(buf[:n]); err != nil {
			break
		}
	}
	if !isClosed(lose) {
		_ = server.Close()
	}
	back.Wait()
	_ = server.Close()
	_ = client.Close()
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
