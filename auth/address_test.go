package auth

import (
	"net/netip"
	"strings"
	"testing"

	"crosstalk/hub/limits"
	"crosstalk/models"
)

func TestAddressesAreThoseOfWhoCalls(t *testing.T) {
	bare, behind := gate(t, Config{Key: key}), gate(t, Config{Key: key, TrustedProxies: []string{"10.0.0.0/8", "2001:db8:ff::1", "192.0.2.7"}})
	for _, tc := range []struct {
		remote, forwarded string
		bare, behind      string
	}{
		{"192.0.2.1:99", "", "192.0.2.1", "192.0.2.1"},
		{"[::ffff:192.0.2.1]:99", "", "192.0.2.1", "192.0.2.1"},
		{"[2001:db8::1:2:3:4]:99", "", "2001:db8::/64", "2001:db8::/64"},
		{"[2001:db8::ffff:0:0:1]:99", "", "2001:db8::/64", "2001:db8::/64"},
		{"[2001:db8:0:1::1]:99", "", "2001:db8:0:1::/64", "2001:db8:0:1::/64"},
		{"[fe80::1%eth0]:99", "", "fe80::/64", "fe80::/64"},
		{"192.0.2.1:99", "198.51.100.1", "192.0.2.1", "192.0.2.1"}, // says a stranger
		{"10.1.2.3:99", "", "10.1.2.3", "10.1.2.3"},
		{"10.1.2.3:99", "198.51.100.1", "10.1.2.3", "198.51.100.1"},
		{"10.1.2.3:99", "203.0.113.5, 198.51.100.1", "10.1.2.3", "198.51.100.1"}, // what comes before is the stranger's claim
		{"10.1.2.3:99", "198.51.100.1,10.9.9.9", "10.1.2.3", "198.51.100.1"},
		{"10.1.2.3:99", "198.51.100.1, 192.0.2.7, 10.9.9.9", "10.1.2.3", "198.51.100.1"},
		{"10.1.2.3:99", "198.51.100.1:4711", "10.1.2.3", "198.51.100.1"},
		{"10.1.2.3:99", "[2001:db8::5]:4711", "10.1.2.3", "2001:db8::/64"},
		{"10.1.2.3:99", "2001:db8::5", "10.1.2.3", "2001:db8::/64"},
		{"10.1.2.3:99", "198.51.100.1, unknown", "10.1.2.3", "10.1.2.3"},
		{"10.1.2.3:99", " , ", "10.1.2.3", "10.1.2.3"},
		{"[2001:db8:ff::1]:99", "198.51.100.1", "2001:db8:ff::/64", "198.51.100.1"},
	} {
		r := Request{Remote: netip.MustParseAddrPort(tc.remote).Addr(), ForwardedFor: tc.forwarded}
		if got := bare.Address(r); got != tc.bare {
			t.Errorf("%s, %q: %q, want %q", tc.remote, tc.forwarded, got, tc.bare)
		}
		if got := behind.Address(r); got != tc.behind {
			t.Errorf("%s, %q, with proxies: %q, want %q", tc.remote, tc.forwarded, got, tc.behind)
		}
	}
	if got := bare.Address(Request{ForwardedFor: "192.0.2.1"}); got != "" {
		t.Errorf("of nobody: %q", got)
	}
	for _, wrong := range []string{"", "x", "10.0.0.0/33", "10.0.0", "*"} {
		if _, err := New(Config{TrustedProxies: []string{wrong}}); models.CodeOf(err) != models.Invalid {
			t.Errorf("proxy %q: %v", wrong, err)
		}
	}
}

func TestWhoGuessesIsSlowedDownAndLocksNobodyOut(t *testing.T) {
	from := func(path, address, secret string) Request {
		r := request(path, "bus.example.com")
		r.Remote = netip.MustParseAddr(address)
		if secret != "" {
			r.Authorization = Secret("Bearer " + secret)
		}
		return r
	}
	tb := table(t)
	g := gate(t, Config{Key: key, Keys: tb, Limits: limits.New(limits.Config{Failures: 5})})
	var codes []models.Code
	for range 8 {
		_, err := g.Check(from("/api/messages", "192.0.2.1", "guess"))
		codes = append(codes, models.CodeOf(err))
	}
	if codes[0] != models.Unauthenticated || codes[4] != models.Unauthenticated || codes[7] != models.RateLimited {
		t.Errorf("guesses: %v", codes)
	}
	// Who has the key shares the address, or who guesses has another one.
	for _, r := range []Request{from("/api/messages", "192.0.2.1", key), from("/health", "192.0.2.1", "guess"), from("/", "192.0.2.1", "")} {
		if _, err := g.Check(r); err != nil {
			t.Errorf("%s: %v", r.Path, err)
		}
	}
	for address, want := range map[string]models.Code{"192.0.2.1": models.RateLimited, "192.0.2.2": models.Unauthenticated} {
		if _, err := g.Check(from("/mcp", address, "guess")); models.CodeOf(err) != want {
			t.Errorf("a guess from %s: %v", address, err)
		}
		if _, _, err := g.SignIn(t.Context(), from(SessionPath, address, ""), "guess", "Ada", welcome); models.CodeOf(err) != models.Forbidden {
			t.Errorf("signing in at a foreign name: %v", err)
		}
	}
	r := from(SessionPath, "192.0.2.1", "")
	r.Host = "localhost"
	if _, _, err := g.SignIn(t.Context(), r, "guess", "Ada", welcome); models.CodeOf(err) != models.RateLimited {
		t.Errorf("signing in with a guess: %v", err)
	}
	if _, err := g.Check(from("/api/messages", "192.0.2.1", "")); models.CodeOf(err) != models.Unauthenticated {
		t.Errorf("no key is no guess: %v", err)
	}
}

func TestRequestsAreCountedOnce(t *testing.T) {
	r := request("/api/messages", "localhost", "Authorization: Bearer "+key)
	r.Remote = netip.MustParseAddr("192.0.2.1")
	g := gate(t, Config{Key: key, Limits: limits.New(limits.Config{Requests: 1})})
	for i := range 7 {
		who, err := g.Check(r)
		if want := map[bool]models.Code{true: models.RateLimited}[i >= 5]; models.CodeOf(err) != want || err == nil && who.Address != "192.0.2.1" {
			t.Errorf("request %d: %+v, %v", i+1, who, err)
		}
		if _, err := g.Who(r); err != nil {
			t.Errorf("who asks only who it is: %v", err)
		}
	}
	bare := gate(t, Config{Limits: limits.New(limits.Config{Requests: 1})})
	for range 20 {
		if _, err := bare.Check(r); err != nil {
			t.Fatalf("without a key: %v", err)
		}
	}
}

// Where keys in URLs are read, guesses in URLs count as well.
func TestGuessesInURLsCount(t *testing.T) {
	g := gate(t, Config{Key: key, Compat: true, Limits: limits.New(limits.Config{Failures: 5})})
	r := request("/mcp", "bus.example.com")
	r.Remote, r.Query = netip.MustParseAddr("192.0.2.1"), "api_key=guess"
	if !strings.Contains(g.Challenge(r), "invalid_token") {
		t.Errorf("the challenge is %s", g.Challenge(r))
	}
	var err error
	for range 8 {
		_, err = g.Check(r)
	}
	if models.CodeOf(err) != models.RateLimited {
		t.Errorf("the eighth guess: %v", err)
	}
}
