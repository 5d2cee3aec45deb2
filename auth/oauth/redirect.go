package oauth

import (
	"net/url"
	"slices"
	"strings"
)

// maxURI bounds addresses that clients send.
const maxURI = 2000

// schemes are those under which programs on a person's own device are known to take answers.
func schemes() []string {
	return []string{"claude", "cursor", "raycast", "vscode", "vscode-insiders", "warp", "windsurf", "zed"}
}

// parseRedirect takes an address to which answers may go: of HTTPS, of this machine, or of a program's own scheme. Only what
// it took is ever redirected to.
func parseRedirect(s string) (*url.URL, error) {
	refused := wrong("invalid_redirect_uri",
		"a redirect_uri must be https://HOST/PATH, http://localhost:PORT/PATH, or of the scheme of a known program; without user or fragment")
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '\\' || c == '"' || c == '<' || c == '>' || c == '#' {
			return nil, refused
		}
	}
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURI || u.User != nil || u.Hostname() == "" || u.Opaque != "" || strings.HasSuffix(u.Host, ":") {
		return nil, refused
	}
	switch u.Scheme {
	case "https":
		return u, hostname(u, refused)
	case "http":
		if isLoopback(u.Hostname()) {
			return u, nil
		}
	default:
		if slices.Contains(schemes(), u.Scheme) {
			return u, hostname(u, refused)
		}
	}
	return nil, refused
}

// hostname refuses what no host is called, such as what would end a policy's source.
func hostname(u *url.URL, refused error) error {
	if strings.Trim(strings.ToLower(u.Hostname()), "abcdefghijklmnopqrstuvwxyz0123456789.-_:") != "" {
		return refused
	}
	return nil
}

// matches tells whether asked is the registered address: to the letter, but for the port of this machine, which a program
// gets anew each time (RFC 8252).
func matches(registered, asked string) bool {
	if registered == asked {
		return true
	}
	r, err1 := parseRedirect(registered)
	a, err2 := parseRedirect(asked)
	if err1 != nil || err2 != nil || r.Scheme != "http" || a.Scheme != "http" {
		return false
	}
	without := func(u *url.URL, s string) string {
		return strings.TrimPrefix(s, "http://"+u.Host)
	}
	return r.Hostname() == a.Hostname() && without(r, registered) == without(a, asked)
}
