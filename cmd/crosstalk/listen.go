package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

const defaultPort = "8787"

// place is one address to listen on.
type place struct {
	host, port string
	optional   bool // a machine may lack it: then it is left out, with a warning
}

func (p place) String() string { return net.JoinHostPort(p.host, p.port) }

// loopback is this machine, in both versions of IP.
func loopback(port string) []place {
	return []place{{"127.0.0.1", port, false}, {"::1", port, true}}
}

// places decides where to listen. Without a key only this machine may connect; why names the reason where
// somebody might wonder.
func (s *serveCommand) places(keyed bool) (places []place, why string, err error) {
	switch {
	case len(s.Addr) > 0:
		var wrong []error
		for _, addr := range s.Addr {
			these, err := parsePlace(addr)
			wrong = append(wrong, err)
			places = append(places, these...)
		}
		if err := errors.Join(wrong...); err != nil {
			return nil, "", err
		}
	case s.Port == "":
		places = loopback(defaultPort)
	case !isPort(s.Port):
		return nil, "", misuse("the port to listen on must be a number from 0 to 65535, not %q", s.Port)
	case keyed:
		places = []place{{"", s.Port, false}}
	default:
		return loopback(s.Port), "there is no key, so only this machine may connect: set MCP_API_KEY to be reachable from others", nil
	}
	for _, p := range places {
		if !keyed && !p.isLoopback() {
			return nil, "", misuse("other machines could connect to %s, and there is no key: set MCP_API_KEY to a long random text, create a key with crosstalk keys create, or listen on 127.0.0.1", p)
		}
	}
	if !keyed {
		why = "there is no key, so only this machine may connect, and everything on it"
	}
	return places, why, nil
}

// parsePlace reads HOST:PORT. The name localhost is both loopback addresses.
func parsePlace(addr string) ([]place, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !isPort(port) || strings.ContainsAny(host, " /") {
		return nil, misuse("--addr %q is no address to listen on: it must look like 127.0.0.1:8787, [::1]:8787, localhost:8787 or :8787", addr)
	}
	if strings.EqualFold(host, "localhost") {
		return loopback(port), nil
	}
	return []place{{host, port, false}}, nil
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// isLoopback trusts addresses only: a name may mean another machine tomorrow.
func (p place) isLoopback() bool {
	ip, err := netip.ParseAddr(p.host)
	return err == nil && ip.Unmap().IsLoopback()
}

// listen opens all places, or none. Places with port 0 get one port together, which the system chooses.
func listen(ctx context.Context, log *slog.Logger, places []place) ([]net.Listener, error) {
	const attempts = 20 // a port that is free on the first address may be taken on the second
	var err error
	for range attempts {
		var open []net.Listener
		if open, err = listenOnce(ctx, log, places); err == nil {
			return open, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || len(places) < 2 || places[0].port != "0" {
			break
		}
	}
	return nil, err
}

func listenOnce(ctx context.Context, log *slog.Logger, places []place) (open []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(open)
			open = nil
		}
	}()
	var config net.ListenConfig
	shared := "0"
	for _, p := range places {
		if p.port == "0" {
			p.port = shared
		}
		l, err := config.Listen(ctx, "tcp", p.String())
		switch {
		case err == nil:
			open = append(open, l)
			if shared == "0" {
				shared = strconv.Itoa(portOf(l))
			}
		case p.optional && isMissing(err):
			log.Warn("this machine has no IPv6 loopback: listening without it", "addr", p.String())
		default:
			return open, refused(p, err)
		}
	}
	return open, nil
}

// isMissing says whether the machine lacks the address, as many containers lack IPv6.
func isMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) ||
		errors.Is(err, syscall.EPROTONOSUPPORT)
}

// refused says what to do when an address cannot be listened on.
func refused(p place, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %s is taken, perhaps by another crosstalk: stop that program, or choose another port, such as --addr localhost:%s (%w)",
			p.port, another(p.port), err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("this user may not listen on port %s: choose one above 1023, such as --addr localhost:%s (%w)", p.port, defaultPort, err)
	case isMissing(err):
		return fmt.Errorf("this machine has no address %s: choose one that it has, with --addr (%w)", p.host, err)
	}
	return fmt.Errorf("cannot listen on %s: %w", p, err)
}

func another(port string) string {
	if n, err := strconv.Atoi(port); err == nil && n < 65535 {
		return strconv.Itoa(n + 1)
	}
	return defaultPort
}

func portOf(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		_ = l.Close()
	}
}
