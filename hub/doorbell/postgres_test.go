package doorbell

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"crosstalk/internal/pgtest"
	"crosstalk/models"
)

// dial runs a bell until the test ends.
func dial(t *testing.T, url, bus string, log *slog.Logger) *Postgres {
	t.Helper()
	b, err := Dial(url, bus, log)
	if err != nil {
		t.Fatal(err)
	}
	b.pulse = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	rings(t, b, true) // it listens
	return b
}

// rings waits for a ring, or looks whether there is one.
func rings(t *testing.T, b *Postgres, want bool) {
	t.Helper()
	if !want {
		select {
		case <-b.Rung():
			t.Error("it was rung")
		default:
		}
		return
	}
	select {
	case <-b.Rung():
	case <-time.After(30 * time.Second):
		t.Fatal("the bell rang and was not heard")
	}
}

// eventually waits for what other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s still not: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func query(t *testing.T, url, statement string) (n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if err := c.QueryRow(t.Context(), statement).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func exec(t *testing.T, url, statement string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := c.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestNodesHearEachOtherAndNotThemselves(t *testing.T) {
	url := pgtest.Start(t)
	a, b, other := dial(t, url, "bus", quiet()), dial(t, url, "bus", quiet()), dial(t, url, "bus2", quiet())
	for range 3 {
		a.Ring()
		rings(t, b, true)
		b.Ring()
		rings(t, a, true) // what a rang before has reached a by now
		rings(t, a, false)
	}
	rings(t, other, false)
}

func TestManyRingsAreOneNotification(t *testing.T) {
	url := pgtest.Start(t)
	a, b := dial(t, url, "x", quiet()), dial(t, url, "x", quiet())
	for range 100_000 {
		a.Ring() // nobody takes them: the ringer must not block
	}
	rings(t, b, true)
}

func TestABusIDOfAnyKindNamesTheChannel(t *testing.T) {
	url := pgtest.Start(t)
	for _, bus := range []string{"", `Quote " and ' and ; --`, strings.Repeat("f", 32)} {
		a, b := dial(t, url, bus, quiet()), dial(t, url, bus, quiet())
		a.Ring()
		rings(t, b, true)
	}
}

// A connection that is silent stays good: the pulse interrupts waiting many times here.
func TestALongSilenceLosesNothing(t *testing.T) {
	url := pgtest.Start(t)
	a, b := dial(t, url, "x", quiet()), dial(t, url, "x", quiet())
	pids := "SELECT coalesce(sum(pid), 0)::int FROM pg_stat_activity WHERE application_name = 'crosstalk bell' AND datname = current_database()"
	before := query(t, url, pids)
	<-time.After(10 * b.pulse)
	a.Ring()
	rings(t, b, true)
	if after := query(t, url, pids); after != before {
		t.Error("connections were made anew")
	}
}

func TestComesBackAfterTheDatabase(t *testing.T) {
	var log lines
	c := pgtest.New(t)
	url := c.Database(t)
	a, b := dial(t, url, "x", quiet()), dial(t, url, "x", slog.New(slog.NewTextHandler(&log, nil)))
	c.Kill(t)
	eventually(t, "the loss is told", func() bool { return log.count("out of order") == 2 })
	a.Ring() // kept until it can be rung
	if text := models.Text(b.Trouble()); !strings.Contains(text, "cannot be heard") || strings.Contains(text, c.Addr()) {
		t.Errorf("everybody is told %q", text)
	}
	c.Start(t)
	rings(t, b, true) // it listens again, and cannot know what it has missed
	eventually(t, "all is told to be well", func() bool { return log.count("works again") == 2 })
	if err := b.Trouble(); err != nil {
		t.Error(err)
	}
	for range 3 {
		a.Ring()
		rings(t, b, true)
	}
	if n := log.count("out of order"); n != 2 {
		t.Errorf("the loss was told %d times", n)
	}
}

// Where connections can be made and nothing can be rung over them, that is told once.
func TestIsGoodWhenItHasRung(t *testing.T) {
	var log lines
	url := pgtest.Start(t)
	for _, statement := range []string{
		"CREATE SCHEMA broken", "CREATE SEQUENCE broken.tries",
		"CREATE FUNCTION broken.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''broken.tries''); RAISE ''not here''; END'",
	} {
		exec(t, url, statement)
	}
	a, b := dial(t, url+"&search_path=broken,pg_catalog", "x", slog.New(slog.NewTextHandler(&log, nil))), dial(t, url, "x", quiet())
	a.Ring()
	eventually(t, "it is tried again", func() bool { return query(t, url, "SELECT last_value::int FROM broken.tries") >= 3 })
	if lost, good := log.count("out of order"), log.count("works again"); lost != 1 || good != 0 {
		t.Errorf("told %d times that it is out of order, %d times that it works", lost, good)
	}
	exec(t, url, "DROP FUNCTION broken.pg_notify(text, text)")
	rings(t, b, true)
	eventually(t, "it is told to work", func() bool { return log.count("works again") == 1 })
}

func TestRingsBeforeItRunsAreKept(t *testing.T) {
	url := pgtest.Start(t)
	b := dial(t, url, "x", quiet())
	a, err := Dial(url+"&pgbouncer=true", "x", quiet())
	if err != nil {
		t.Fatal(err)
	}
	a.Ring()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	rings(t, b, true)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestABadURLIsRefusedWithoutItsPassword(t *testing.T) {
	_, err := Dial("postgres://u:secret@h:notaport/db", "x", quiet())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}
