package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crosstalk/bridge"
	"crosstalk/hub"
	"crosstalk/hub/doorbell"
	"crosstalk/models"
	"crosstalk/models/store"
)

// bus is a hub on a database of its own, and the bridge to it.
type bus struct {
	path   string
	hub    *hub.Hub
	bridge *bridge.Bridge
	close  func() error
}

// openBus opens a database that others may have open, too.
func openBus(ctx context.Context, path string, push bool, log *slog.Logger) (*bus, error) {
	st, err := store.Open(ctx, store.Options{Path: path, Log: log})
	if err != nil {
		return nil, err
	}
	bell, err := doorbell.Open(path+".bell", log)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	h, err := hub.New(st, hub.Options{Log: log, Bell: bell})
	if err != nil {
		return nil, errors.Join(err, st.Close(), bell.Close())
	}
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	ends := make(chan error, 2)
	go func() { ends <- h.Run(live) }()
	go func() { ends <- bell.Run(live) }()
	return &bus{path: path, hub: h, bridge: bridge.New(bridge.Options{Hub: h, Version: "1", Push: push, Log: log}), close: func() error {
		h.Drain()
		stop()
		return errors.Join(<-ends, <-ends, st.Close(), bell.Close())
	}}, nil
}

func newBus(t testing.TB) *bus {
	t.Helper()
	b, err := openBus(t.Context(), filepath.Join(t.TempDir(), "bus.db"), false, logTo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return b
}

// say has somebody else publish in #lobby.
func (b *bus) say(t testing.TB, content string) {
	t.Helper()
	d, err := models.ParseDraft(models.Draft{Channel: "lobby", Sender: "other", Content: content})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.hub.Publish(t.Context(), models.Principal{Name: models.SharedPrincipal}, d); err != nil {
		t.Fatal(err)
	}
}

// stdioMain is the program that clients start.
func stdioMain(db string) int {
	ctx := context.Background()
	push := os.Getenv("WIRE_TEST_PUSH") != ""
	b, err := openBus(ctx, db, push, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err == nil {
		err = errors.Join(Stdio(ctx, os.Stdin, os.Stdout, Options{Bridge: b.bridge, Log: slog.Default(), Push: push}), b.close())
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// check is a call of check_messages for bob in #lobby.
func check(id int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"check_messages","arguments":{"channel":"lobby","instance_id":"bob","after_id":0}}}`, id)
}

// checkOn is check without a position of its own.
func checkOn(id int) string { return strings.Replace(check(id), `,"after_id":0`, "", 1) }
