package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"crosstalk/auth"
	"crosstalk/hub"
	"crosstalk/hub/doorbell"
	"crosstalk/hub/ws"
	"crosstalk/internal/handoff"
	"crosstalk/models/store"
	"crosstalk/rest"
)

// drainTime is how long the end may take. Platforms kill what has not ended 5 s after their signal.
const drainTime = 4500 * time.Millisecond

type serverOptions struct {
	db        string
	keep      time.Duration // 0: for good
	gate      *auth.Gate
	serverURL string
}

// server is the parts of a hub, tied together.
type server struct {
	log     *slog.Logger
	store   *store.Store
	bell    *doorbell.File // nil where there can be none
	hub     *hub.Hub
	sockets *ws.Server
	listen  func(net.Listener) error // serves until the listener closes
	handoff *handoff.Handoff
	doorman *doorman
}

// openServer opens the database and builds what stands on it. Nothing runs yet.
func openServer(ctx context.Context, log *slog.Logger, o serverOptions) (s *server, err error) {
	s = &server{log: log, doorman: newDoorman(log)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.store, err = store.Open(ctx, store.Options{Path: o.db, Keep: o.keep, Log: log}); err != nil {
		return s, fmt.Errorf("database %s: %w", o.db, err)
	}
	ho := hub.Options{Log: log}
	if bell, err := doorbell.Open(o.db+".bell", log); err != nil {
		log.Warn("messages of other processes on this database may come a second late", "error", err)
	} else {
		s.bell, ho.Bell = bell, bell
	}
	if s.hub, err = hub.New(s.store, ho); err != nil {
		return s, fmt.Errorf("hub: %w", err)
	}
	s.sockets = ws.New(ws.Options{Hub: s.hub, Gate: o.gate, Version: versionText(), Log: log})
	ro := rest.Options{Hub: s.hub, Gate: o.gate, Version: versionText(), ServerURL: o.serverURL, Log: log}
	native := http.NewServeMux()
	native.Handle("/ws", s.sockets)
	native.Handle("/api/stream", rest.Stream(ro))
	fiber, first := rest.New(ro)
	s.handoff = handoff.New(fiber, native, isNative)
	first(s.handoff.Take)
	fiber.Server().Logger = engineLog{log}
	fiber.Server().SecureErrorLogMessage = true // else what it logs may quote requests, keys included
	s.listen = fiber.Listener
	return s, nil
}

// engineLog takes what Fiber's engine has to say, which is little: that it has too many connections, above all.
type engineLog struct{ log *slog.Logger }

// Printf is called by fasthttp.
func (e engineLog) Printf(format string, args ...any) {
	e.log.Warn(fmt.Sprintf(format, args...))
}

// isNative says which paths hold conversations.
func isNative(path string) bool { return path == "/ws" || path == "/api/stream" }

// run serves on all listeners until ctx ends or a part fails, and drains.
func (s *server) run(ctx context.Context, listeners []net.Listener, profiles net.Listener) error {
	live, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	parts, live := errgroup.WithContext(live)
	parts.Go(func() error { return s.hub.Run(live) })
	if s.bell != nil {
		parts.Go(func() error { return s.bell.Run(live) })
	}
	parts.Go(func() error { return s.sockets.Run(live) })
	parts.Go(s.handoff.Serve)
	for _, l := range listeners {
		parts.Go(func() error { return s.listen(s.doorman.listener(l)) })
	}
	if profiles != nil {
		parts.Go(func() error { return serveProfiles(live, profiles) })
	}
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
	case <-live.Done():
		s.log.Error("stopping because a part failed")
	}
	s.drain()
	closeAll(listeners) // in case the end came before the beginning
	kill()
	if err := parts.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// drain lets everyone go in order: nobody new comes in, who waits is answered, sockets are asked to come back. Who has
// not gone when the time is over is left to the end of the program.
func (s *server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	begun := time.Now()
	s.hub.Drain()
	s.doorman.hush()
	var going errgroup.Group
	going.Go(func() error { return s.handoff.Shutdown(ctx) })
	going.Go(func() error { s.sockets.Drain(ctx); return nil })
	if err := going.Wait(); err != nil {
		s.log.Warn("some clients did not leave in time", "error", err)
	}
	s.log.Info("drained", "took", time.Since(begun).Round(time.Millisecond).String())
}

// close closes what openServer opened. The store answers first what it has accepted, and rings for it.
func (s *server) close() (err error) {
	if s.store != nil {
		err = s.store.Close()
	}
	if s.bell != nil {
		err = errors.Join(err, s.bell.Close())
	}
	return err
}
