package doorbell

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"crosstalk/models"
)

const (
	notifyEvery = 5 * time.Millisecond // rings in between are one
	listenCheck = 15 * time.Second     // a connection that is silent so long is asked whether it lives
	patience    = 10 * time.Second     // for one answer of the database
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 3 * time.Second
)

// Postgres is a bell for nodes on one PostgreSQL database. It notifies over a connection of its own, after and
// outside the transactions that it tells of: within them NOTIFY would let only one of them commit at a time. Its own
// rings it does not hear.
type Postgres struct {
	// Set by Dial, then constant.
	config  *pgx.ConnConfig
	channel string
	self    string        // what this process's notifications say
	pulse   time.Duration // see listenCheck
	rung    chan struct{}
	ring    chan struct{} // size 1, like rung
	log     *slog.Logger

	mute, deaf atomic.Bool // it cannot ring, or not hear
}

// Dial makes the bell of a bus. It connects while Run runs, and again whenever it is cut off. The connections of the
// URL must be sessions, not those of a pooler that shares them among transactions.
func Dial(url, busID string, log *slog.Logger) (*Postgres, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("bell: %w", err) // pgx leaves passwords out
	}
	delete(config.RuntimeParams, "pgbouncer") // is said to programs, not to the server
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = patience
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "crosstalk bell"
	}
	return &Postgres{
		config: config, channel: "crosstalk_" + busID, self: rand.Text(), pulse: listenCheck,
		rung: make(chan struct{}, 1), ring: make(chan struct{}, 1), log: log,
	}, nil
}

// Ring tells the others, soon.
func (b *Postgres) Ring() { put(b.ring) }

// Rung says that somebody else rang, or may have.
func (b *Postgres) Rung() <-chan struct{} { return b.rung }

// Trouble says which connection is cut off.
func (b *Postgres) Trouble() error {
	switch {
	case b.deaf.Load():
		return models.Errorf(models.Unavailable, "other nodes cannot be heard: their messages may come a second late")
	case b.mute.Load():
		return models.Errorf(models.Unavailable, "other nodes cannot be told: they may get this node's messages a second late")
	}
	return nil
}

// Run rings and listens until ctx has ended.
func (b *Postgres) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { b.keep(ctx, "ring", &b.mute, b.notify); return nil })
	g.Go(func() error { b.keep(ctx, "listen", &b.deaf, b.listen); return nil })
	return g.Wait()
}

// keep has work done over a connection, and over the next when that one is lost. work says when the connection has
// proved good.
func (b *Postgres) keep(ctx context.Context, what string, out *atomic.Bool, work func(ctx context.Context, c *pgx.Conn, good func()) error) {
	retry := firstRetry
	good := func() {
		if out.Swap(false) {
			b.log.Info("bell works again", "to", what)
		}
		retry = firstRetry
	}
	for ctx.Err() == nil {
		err := b.connected(ctx, func(c *pgx.Conn) error { return work(ctx, c, good) })
		if ctx.Err() != nil {
			return
		}
		if !out.Swap(true) {
			b.log.Warn("bell is out of order: messages of other nodes may come a second late", "to", what, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
		retry = min(2*retry, lastRetry)
	}
}

func (b *Postgres) connected(ctx context.Context, work func(c *pgx.Conn) error) error {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := pgx.ConnectConfig(within, b.config.Copy())
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(end)
	}()
	return work(c)
}

// notify rings for this process. A ring that could not be sent is sent over the next connection. A connection is good
// over which a notification can be sent, and begins with one that nobody listens to.
func (b *Postgres) notify(ctx context.Context, c *pgx.Conn, good func()) error {
	if err := b.exec(ctx, c, "SELECT pg_notify('crosstalk', '')"); err != nil {
		return err
	}
	good()
	ticker := time.NewTicker(b.pulse)
	defer ticker.Stop()
	for {
		query, args := "SELECT pg_notify($1, $2)", []any{b.channel, b.self}
		select {
		case <-ctx.Done():
			return nil
		case <-b.ring:
		case <-ticker.C:
			query, args = "SELECT 1", nil
		}
		if err := b.exec(ctx, c, query, args...); err != nil {
			b.Ring()
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(notifyEvery):
		}
	}
}

// listen hears the others. What they rang before it listened is unknown, so it begins with a ring.
func (b *Postgres) listen(ctx context.Context, c *pgx.Conn, good func()) error {
	if err := b.exec(ctx, c, "LISTEN "+pgx.Identifier{b.channel}.Sanitize()); err != nil {
		return err
	}
	good()
	put(b.rung)
	for {
		within, cancel := context.WithTimeout(ctx, b.pulse)
		n, err := c.WaitForNotification(within)
		silent := within.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && n != nil && n.Payload != b.self:
			put(b.rung)
		case err == nil:
		case !silent:
			return err
		default:
			if err := b.exec(ctx, c, "SELECT 1"); err != nil {
				return err
			}
		}
	}
}

func (b *Postgres) exec(ctx context.Context, c *pgx.Conn, query string, args ...any) error {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := c.Exec(within, query, args...)
	return err
}

// put leaves a token in a channel of size 1.
func put(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}
