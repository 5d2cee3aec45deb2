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
	"crosstalk/auth/oauth"
	"crosstalk/bridge"
	"crosstalk/bridge/wire"
	"crosstalk/hub"
	"crosstalk/hub/ws"
	"crosstalk/internal/handoff"
	"crosstalk/models/store/access"
	"crosstalk/models/store/grants"
	"crosstalk/rest"
	"crosstalk/rest/metrics"
	"crosstalk/web"
)

// drainTime is how long the end may take. Platforms kill what has not ended 5 s after their signal.
const drainTime = 4500 * time.Millisecond

type serverOptions struct {
	db        database
	keep      keep
	gate      auth.Config // but for what the database has
	trusted   bool        // who comes in may read the database's file, so needs none of the keys in it
	serverURL string
	compat    bool
	waits     waitSettings

	connections int   // of all callers; 0: any number
	bodies      int64 // bytes of large bodies of all callers; 0: as rest does
}

// server is the parts of a hub, tied together.
type server struct {
	*local
	log     *slog.Logger
	gate    *auth.Gate
	sockets *ws.Server
	metrics *metrics.Metrics
	listen  func(net.Listener) error // serves until the listener closes
	handoff *handoff.Handoff
	doorman *doorman
	service *service      // nil: nobody wants to know
	leave   chan struct{} // closed when streams of MCP clients shall end
}

// openServer opens the database and builds what stands on it. Nothing runs yet.
func openServer(ctx context.Context, log *slog.Logger, o serverOptions) (*server, error) {
	s := &server{log: log, doorman: newDoorman(log), leave: make(chan struct{})}
	l, err := openLocal(ctx, log, o.db, o.keep, hub.Options{Grace: o.waits.grace(), LoopGuard: !o.waits.NoLoopGuard, Limits: o.gate.Limits})
	if err != nil {
		return nil, err
	}
	s.local, s.doorman.most = l, o.connections
	granted := grants.New(l.store)
	signin := oauth.New(oauth.Options{
		ServerURL: o.serverURL, Grants: granted, Gate: func() *auth.Gate { return s.gate }, Log: log,
	})
	o.gate.Keys, o.gate.Trusted = access.New(l.store), o.trusted
	o.gate.Sources, o.gate.Invites, o.gate.Challenge = signin.Sources(), granted, signin.Challenge
	if s.gate, err = auth.New(o.gate); err != nil {
		return nil, errors.Join(err, l.close())
	}
	counts := &metrics.Options{Version: versionText(), Store: l.store, File: o.db.file, Hub: s.hub}
	s.metrics = metrics.New(counts)
	s.sockets = ws.New(ws.Options{Hub: s.hub, Gate: s.gate, Version: versionText(), Log: log, Meter: &counts.Doors.WS})
	ro := rest.Options{
		Hub: s.hub, Gate: s.gate, Version: versionText(), ServerURL: o.serverURL, Log: log, Meter: &counts.Doors.REST, Metrics: s.metrics, BodyBytes: o.bodies,
	}
	native := http.NewServeMux()
	native.Handle("/ws", s.sockets)
	so := ro
	so.Meter = &counts.Doors.Stream
	native.Handle("/api/stream", rest.Stream(so))
	mcp := wire.Options{
		Bridge: bridge.New(bridge.Options{
			Hub: s.hub, Version: versionText(), Log: log, Compat: o.compat, WaitCeiling: o.waits.ceiling(),
		}),
		Log: log, Gate: s.gate, Draining: s.leave, Meter: &counts.Doors.MCP, LargeBytes: o.bodies / largeShare,
	}
	native.Handle("/mcp", wire.HTTP(mcp))
	mcp.Meter = &counts.Doors.SSE
	sse := wire.SSE(mcp)
	native.Handle("/sse", sse)
	native.Handle("/messages", sse)
	native.Handle("/", web.Handler(s.gate))
	native.Handle("/oauth/", signin)
	native.Handle("/.well-known/", signin)
	fiber, first := rest.New(ro)
	s.handoff = handoff.New(fiber, native, isNative, log)
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
func isNative(path string) bool {
	switch path {
	case "/ws", "/api/stream", "/mcp", "/sse", "/messages":
		return true
	}
	return web.Serves(path) || oauth.Owns(path)
}

// run serves on all listeners until ctx ends or a part fails, and drains.
func (s *server) run(ctx context.Context, listeners []net.Listener, profiles net.Listener) error {
	live, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	parts, live := errgroup.WithContext(live)
	s.local.run(live, parts)
	parts.Go(func() error { return s.gate.Run(live) })
	parts.Go(func() error { return s.sockets.Run(live) })
	parts.Go(func() error { return s.metrics.Run(live) })
	parts.Go(s.handoff.Serve)
	parts.Go(func() error { return giveBack(live) })
	for _, l := range listeners {
		parts.Go(func() error { return s.listen(s.doorman.listener(l)) })
	}
	if len(listeners) > 0 {
		parts.Go(func() error { return s.service.run(live, localURL(listeners[0]), s.hub.Health) })
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
	s.service.stopping()
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
	close(s.leave)
	s.doorman.hush()
	var going errgroup.Group
	going.Go(func() error { return s.handoff.Shutdown(ctx) })
	going.Go(func() error { s.sockets.Drain(ctx); return nil })
	if err := going.Wait(); err != nil {
		s.log.Warn("some clients did not leave in time", "error", err)
	}
	s.log.Info("drained", "took", time.Since(begun).Round(time.Millisecond).String())
}
