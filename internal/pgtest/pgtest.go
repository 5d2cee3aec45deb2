package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// shared is the cluster that all tests of a program share. It does not write for keeps: nothing here outlives it.
var shared = sync.OnceValues(func() (*Cluster, error) {
	return start("fsync = off\nsynchronous_commit = off\nfull_page_writes = off")
})

// Start returns the URL of an empty database, which is dropped when the test ends.
func Start(t testing.TB) string {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return c.Database(t)
}

// New starts a cluster that writes for keeps and ends with the test. Each setting is a line of its configuration, and
// goes before those that pgtest makes.
func New(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	c, err := start(strings.Join(settings, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.end)
	return c
}

// Database returns the URL of an empty database of the cluster, which is dropped when the test ends.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := c.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A test may leave its cluster in any state; with a cluster of its own the folder goes as well.
		if err := c.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Log(err)
		}
	})
	return c.url(name)
}

// Addr is where the cluster listens.
func (c *Cluster) Addr() string { return fmt.Sprintf("127.0.0.1:%d", c.port) }

func (c *Cluster) url(name string) string {
	return fmt.Sprintf("postgres://crosstalk@%s/%s?sslmode=disable", c.Addr(), name)
}

func (c *Cluster) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the test's PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
