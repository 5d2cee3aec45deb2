package auth

import (
	"net/netip"
	"strings"

	"crosstalk/models"
)

// maxHops bounds how many proxies one behind the other are believed.
const maxHops = 10

// Address returns where r came from: an address of IPv4, or the /64 of one of IPv6, which is what one customer has. A
// proxy that is trusted says for whom it speaks; what any other says does not count.
func (g *Gate) Address(r Request) string {
	at := r.Remote.Unmap().WithZone("")
	if !at.IsValid() {
		return ""
	}
	var said []string
	if r.ForwardedFor != "" {
		said = strings.Split(r.ForwardedFor, ",")
	}
	for hop := 0; hop < maxHops && len(said) > 0 && g.trusts(at); hop++ {
		last := said[len(said)-1]
		said = said[:len(said)-1]
		before, ok := parseAddress(strings.TrimSpace(last))
		if !ok {
			break
		}
		at = before
	}
	if at.Is6() {
		if p, err := at.Prefix(64); err == nil {
			return p.String()
		}
	}
	return at.String()
}

func (g *Gate) trusts(at netip.Addr) bool {
	for _, p := range g.proxies {
		if p.Contains(at) {
			return true
		}
	}
	return false
}

// parseAddress reads an address, with a port or without.
func parseAddress(s string) (netip.Addr, bool) {
	if with, err := netip.ParseAddrPort(s); err == nil {
		return with.Addr().Unmap().WithZone(""), true
	}
	at, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return at.Unmap().WithZone(""), err == nil
}

// parseProxy reads an address or a range of them, such as 10.0.0.0/8.
func parseProxy(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	at, ok := parseAddress(s)
	if !ok {
		return netip.Prefix{}, models.Errorf(models.Invalid, "the trusted proxy %q must be an address or a range of them, such as 10.0.0.0/8", s)
	}
	return netip.PrefixFrom(at, at.BitLen()), nil
}

// Connect counts a connection of who's that lasts, until done.
func (g *Gate) Connect(who models.Principal) (done func(), err error) { return g.limits.Connect(who) }

// Body counts a large body of who's that is on its way, until done.
func (g *Gate) Body(who models.Principal) (done func(), err error) { return g.limits.Body(who) }

// failed counts a key that opened nothing.
func (g *Gate) failed(r Request, err error) error {
	if models.CodeOf(err) != models.Unauthenticated || g.shown(r) == "" {
		return err
	}
	g.seen.Failed(g.Address(r))
	if often := g.limits.Failure(g.Address(r)); often != nil {
		return often
	}
	return err
}
