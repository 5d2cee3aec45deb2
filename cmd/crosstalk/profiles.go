package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// openProfiles listens for those who look into the running program. Profiles tell what the memory holds, so no other
// machine may ask. Without an address there is nothing to listen on, and the listener is nil.
func openProfiles(ctx context.Context, log *slog.Logger, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	if err := checkProfiles(addr); err != nil {
		return nil, err
	}
	places, err := parsePlace(addr)
	if err != nil {
		return nil, err
	}
	open, err := listen(ctx, log, places[:1])
	if err != nil {
		return nil, err
	}
	log.Info("profiles", "url", localURL(open[0])+"/debug/pprof/")
	return open[0], nil
}

func checkProfiles(addr string) error {
	if places, err := parsePlace(addr); err != nil || !places[0].isLoopback() {
		return misuse("--pprof %q must be a loopback address, such as 127.0.0.1:6060: profiles tell what the memory holds", addr)
	}
	return nil
}

// serveProfiles answers until ctx has ended.
func serveProfiles(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("profiles: %w", err)
	}
	return nil
}
