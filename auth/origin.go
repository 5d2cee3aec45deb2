package auth

import (
	"net/netip"
	"net/url"
	"strings"
)

// origin is a scheme, host and port, in lower case. The port is never empty for http and https.
type origin struct{ scheme, host, port string }

// parseOrigin takes exactly what a browser sends as Origin: scheme://host or scheme://host:port.
func parseOrigin(s string) (origin, bool) {
	s = strings.ToLower(s)
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.Scheme+"://"+u.Host != s {
		return origin{}, false // also what carries a user, a path, a query or a list
	}
	host, port, ok := splitHost(u.Host)
	if !ok {
		return origin{}, false
	}
	if port == "" {
		port = defaultPort(u.Scheme)
	}
	return origin{u.Scheme, host, port}, true
}

// parseServerURL returns the origin of the pages under a URL, which may have a path.
func parseServerURL(s string) (origin, bool) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return origin{}, false
	}
	o, ok := parseOrigin(u.Scheme + "://" + u.Host)
	return o, ok && defaultPort(o.scheme) != ""
}

// at tells whether the page of o was served by the authority that a Host field names.
func (o origin) at(authority string) bool {
	host, port, ok := splitHost(authority)
	if !ok || defaultPort(o.scheme) == "" {
		return false // no page of ours has another scheme
	}
	if port == "" {
		port = defaultPort(o.scheme)
	}
	return host == o.host && port == o.port
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}

// splitHost parts name:port, [::1]:port, name and [::1]; the name comes back in lower case.
func splitHost(s string) (host, port string, ok bool) {
	host = strings.ToLower(s)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i+1:]
		if port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
			return "", "", false
		}
	}
	if strings.HasPrefix(host, "[") {
		if !strings.HasSuffix(host, "]") {
			return "", "", false
		}
		host = host[1 : len(host)-1]
		ip, err := netip.ParseAddr(host)
		return host, port, err == nil && ip.Is6() && ip.Zone() == ""
	}
	return host, port, host != "" && !strings.ContainsAny(host, ":/?#@[]\\ \t,%")
}

// isLoopback tells whether host, parted from its port, is a name that no one but this machine answers to.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
