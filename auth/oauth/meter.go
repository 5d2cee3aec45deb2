package oauth

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// meter says when something happens too often: from one address, or in all.
type meter struct {
	// Set by newMeter, then constant.
	all   *rate.Limiter
	every time.Duration
	burst int

	// Guarded by mu.
	mu   sync.Mutex
	each map[string]*rate.Limiter
}

// maxAddresses is how many addresses are remembered before those are forgotten that have been quiet.
const maxAddresses = 10000

// newMeter allows allBurst at once and one more each allEvery, and so for each address.
func newMeter(allEvery time.Duration, allBurst int, every time.Duration, burst int) *meter {
	return &meter{all: rate.NewLimiter(rate.Every(allEvery), allBurst), every: every, burst: burst, each: map[string]*rate.Limiter{}}
}

// wait is how long the sender of r must wait; 0: it may go on, and that counts.
func (m *meter) wait(r *http.Request, now time.Time) time.Duration {
	mine, all := m.of(address(r)).ReserveN(now, 1), m.all.ReserveN(now, 1)
	wait := max(mine.DelayFrom(now), all.DelayFrom(now))
	if wait > 0 {
		mine.CancelAt(now)
		all.CancelAt(now)
	}
	return wait
}

func (m *meter) of(address string) *rate.Limiter {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.each[address]
	if l == nil {
		if len(m.each) >= maxAddresses {
			m.forget()
		}
		l = rate.NewLimiter(rate.Every(m.every), m.burst)
		m.each[address] = l
	}
	return l
}

// forget drops the quiet, and where all are loud, all: the common limit holds without them.
func (m *meter) forget() {
	for a, l := range m.each {
		if l.Tokens() >= float64(m.burst) {
			delete(m.each, a)
		}
	}
	if len(m.each) >= maxAddresses {
		clear(m.each)
	}
}

// address is whom r counts for: an address of IPv4, a /64 of IPv6.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
