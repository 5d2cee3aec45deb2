package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"crosstalk/cmd/crosstalk/remote"
	wsdial "crosstalk/hub/ws/dial"
)

// hubSettings say which hub a command talks to.
type hubSettings struct {
	URL              string `group:"Hub" name:"url" placeholder:"URL" from:"CROSSTALK_URL" help:"The hub there, such as https://bus.example.com."`
	Key              string `group:"Hub" placeholder:"KEY" from:"CROSSTALK_KEY,MCP_API_KEY" help:"The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine."`
	databaseSettings `embed:""`
	hubHere          `embed:""`
}

// hubHere are settings of serve that hold also for the hub that a command is on a database. Help leaves them out: they
// are for variables, which are set for all that runs on a machine.
type hubHere struct {
	ListenURL   string `hidden:"" name:"listen-url" from:"CROSSTALK_LISTEN_URL,DATABASE_LISTEN_URL"`
	Connections int    `hidden:"" name:"database-connections" default:"5" from:"CROSSTALK_DATABASE_CONNECTIONS"`
}

// needs says what a command expects of a database of this machine.
type needs int

const (
	there   needs = iota // it reads, so an absent one is a mistake
	created              // it writes
)

// bus is the hub that a command talks to: one elsewhere, or one of its own on a database of this machine, which it
// asks over pipes in the same words.
type bus struct {
	*remote.Client
	where string // in what people read
	db    string // empty for a hub elsewhere
	dial  wsdial.Options
	end   func() error
}

// remoteURL is empty where the settings mean a database of this machine. What is given goes before what is set by a
// variable.
func (h hubSettings) remoteURL(p *process) (string, error) {
	dbGiven := h.DB != "" && !p.filled("db") || h.DatabaseURL != "" && !p.filled("database-url")
	if dbGiven && h.URL != "" && !p.filled("url") {
		return "", misuse("--url names a hub, and --db or --database-url a database: give one of them")
	}
	if dbGiven {
		return "", nil
	}
	return h.URL, nil
}

func (h hubSettings) open(p *process, want needs) (*bus, error) {
	url, err := h.remoteURL(p)
	if err != nil {
		return nil, err
	}
	if url == "" {
		return h.openHere(p, want)
	}
	c, err := remote.New(remote.Options{URL: url, Key: h.Key})
	if err != nil {
		return nil, usageError{err}
	}
	return &bus{Client: c, where: "the hub at " + c.Host(), dial: wsdial.Options{URL: url, Key: h.Key}, end: func() error { return nil }}, nil
}

// openHere runs a whole hub on the database, beside others that may be running, behind a listener that nobody else
// can reach.
func (h hubSettings) openHere(p *process, want needs) (*bus, error) {
	db, err := h.database(p)
	if err != nil {
		return nil, err
	}
	// To import is for a hub that stays, or for crosstalk import.
	if db, err = db.with(serverSettings{ListenURL: h.ListenURL, Connections: h.Connections, SkipImport: true}); err != nil {
		return nil, err
	}
	if _, err := os.Stat(db.file); db.url == "" && want == there && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no database at %s: name a hub with --url or CROSSTALK_URL, or the file with --db", db)
	}
	srv, err := openServer(p.ctx, newLog(p.stderr, "warn", "text"), serverOptions{db: db, trusted: true, waits: waitSettings{NoLoopGuard: true}})
	if err != nil {
		return nil, err
	}
	l := &pipes{calls: make(chan net.Conn), closed: make(chan struct{})}
	ctx, stop := context.WithCancel(context.WithoutCancel(p.ctx))
	ended := make(chan error, 1)
	go func() { ended <- srv.run(ctx, []net.Listener{l}, nil) }()
	b := &bus{where: "database " + db.short(), db: db.String(), dial: wsdial.Options{URL: "http://localhost", Dial: l.dial}}
	b.end = func() error {
		_ = l.Close() // first, or Fiber's shutdown takes 100 ms
		l.quiet()
		stop()
		return errors.Join(<-ended, srv.close())
	}
	b.Client, err = remote.New(remote.Options{URL: b.dial.URL, Dial: l.dial})
	if err != nil {
		err = errors.Join(err, b.end())
	}
	return b, err
}

// close ends what open began.
func (b *bus) close() error {
	b.Close()
	return b.end()
}

// do runs fn with the hub open.
func (h hubSettings) do(p *process, want needs, fn func(*bus) error) error {
	b, err := h.open(p, want)
	if err != nil {
		return err
	}
	return errors.Join(fn(b), b.close())
}

// pipes is a listener inside the process.
type pipes struct {
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
	open   sync.WaitGroup // the hub's ends of connections
}

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	l.open.Add(1)
	select {
	case l.calls <- &pipe{Conn: far, gone: sync.OnceFunc(l.open.Done)}:
		return near, nil
	case <-l.closed:
		l.open.Done()
		return nil, net.ErrClosed
	case <-ctx.Done():
		l.open.Done()
		return nil, ctx.Err()
	}
}

// quiet waits, for a moment, until the hub has noticed that its callers have gone: it looks only every 100 ms whether
// those that are there when it ends have left.
func (l *pipes) quiet() {
	gone := make(chan struct{})
	go func() {
		l.open.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(50 * time.Millisecond):
	}
}

// Accept waits for a dial.
func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-l.closed:
		return nil, io.EOF
	}
}

// Close may be called several times.
func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is that of no network.
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// pipe is the hub's end of a connection. What it says of its end is what a network says.
type pipe struct {
	net.Conn
	gone func()
}

// Close may be called several times.
func (c *pipe) Close() error {
	defer c.gone()
	return c.Conn.Close()
}

func (c *pipe) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, closedPipe(err)
}

func (c *pipe) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, closedPipe(err)
}

// SetReadDeadline is no news on a connection that has ended.
func (c *pipe) SetReadDeadline(t time.Time) error { return closedPipe(c.Conn.SetReadDeadline(t)) }

// SetWriteDeadline is no news on a connection that has ended.
func (c *pipe) SetWriteDeadline(t time.Time) error { return closedPipe(c.Conn.SetWriteDeadline(t)) }

func closedPipe(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("%w: %w", syscall.EPIPE, err)
	}
	return err
}
