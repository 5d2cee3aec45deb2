package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// How long the server may take for a statement, how long a transaction may stand still, and how long we wait for a
// sign of the server.
const (
	statementTime = 10 * time.Second
	stillTime     = 5 * time.Second
	connectTime   = 5 * time.Second
	patience      = 15 * time.Second
	migrationTime = time.Hour
)

// config is what a URL says.
type config struct {
	*pgx.ConnConfig
	pooled bool // transactions of others may come between ours on one connection
}

// parse reads a URL. Besides what libpq knows it may say pgbouncer=true, as it does for other programs: a pooler that
// hands out connections for one transaction each is in between.
func parse(url string) (c config, err error) {
	if c.ConnConfig, err = pgx.ParseConfig(url); err != nil {
		return c, err
	}
	switch said := c.RuntimeParams["pgbouncer"]; said {
	case "", "false":
	case "true":
		c.pooled = true
	default:
		return c, fmt.Errorf("pgbouncer=%s in the database's URL: say true or false", said)
	}
	delete(c.RuntimeParams, "pgbouncer")
	if c.pooled && (c.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement || c.DefaultQueryExecMode == pgx.QueryExecModeCacheDescribe) {
		c.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	c.pooled = c.pooled || c.DefaultQueryExecMode == pgx.QueryExecModeExec || c.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol
	c.set("application_name", "crosstalk")
	if !c.pooled {
		c.set("statement_timeout", milliseconds(statementTime))
		c.set("idle_in_transaction_session_timeout", milliseconds(stillTime))
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTime
	}
	c.wait(patience)
	return c, nil
}

// set gives the sessions a setting, unless the URL has.
func (c config) set(name, value string) {
	if _, ok := c.RuntimeParams[name]; !ok {
		c.RuntimeParams[name] = value
	}
}

// begin lists the statements that begin a transaction.
func (c config) begin() []string {
	list := []string{"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"}
	if c.pooled {
		list = append(list, "SET LOCAL statement_timeout = "+milliseconds(statementTime),
			"SET LOCAL idle_in_transaction_session_timeout = "+milliseconds(stillTime))
	}
	return list
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// wait bounds how long connections wait for the server.
func (c config) wait(most time.Duration) {
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &patient{Conn: conn, most: most}, nil
	}
}

// patient is a connection that waits for the other end, but not for ever: one that was cut off says nothing.
type patient struct {
	net.Conn
	most  time.Duration
	fixed atomic.Bool // somebody has set a deadline of their own
}

// SetDeadline ends the connection's patience, or gives it back.
func (p *patient) SetDeadline(t time.Time) error {
	p.fixed.Store(!t.IsZero())
	return p.Conn.SetDeadline(t)
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.extend(p.Conn.SetReadDeadline); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.extend(p.Conn.SetWriteDeadline); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

func (p *patient) extend(set func(time.Time) error) error {
	if p.fixed.Load() {
		return nil
	}
	err := set(time.Now().Add(p.most))
	if p.fixed.Load() { // just now
		return os.ErrDeadlineExceeded
	}
	return err
}

// explain adds what helps to what the server says.
func explain(err error) error {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	err = &oneLine{err}
	if ok && strings.Contains(pe.Message, "unsupported startup parameter") {
		return fmt.Errorf("%w: if this is PgBouncer, add pgbouncer=true to the URL", err)
	}
	return err
}

// oneLine is an error whose text has no line breaks, as that of pgx has which tried several addresses.
type oneLine struct{ error }

func (o *oneLine) Error() string { return strings.Join(strings.Fields(o.error.Error()), " ") }
func (o *oneLine) Unwrap() error { return o.error }

// aborted says that the server has refused or undone the transaction, so that nothing of it remains.
func aborted(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pe.Severity == "ERROR"
}

// again says that what failed so, and has left nothing behind, may succeed the next time.
func again(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) &&
			(pgconn.SafeToRetry(err) || lost(err))
	}
	switch {
	case strings.HasPrefix(pe.Code, "40"), strings.HasPrefix(pe.Code, "08"): // deadlock and the like; the connection
		return true
	case strings.HasPrefix(pe.Code, "57P"): // the server goes, or comes
		return true
	case pe.Code == "0A000" || pe.Code == "26000": // a newer process has changed the table, a pooler the session
		return strings.Contains(pe.Message, "cached plan") || pe.Code == "26000"
	}
	return false
}
