package auth

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Request is what a door knows of a request before it serves it. A field that came several times
// holds its values joined by ", ".
type Request struct {
	Path          string
	Host          string
	Origin        string
	HasOrigin     bool // there was an Origin, be it empty
	Authorization Secret
	Protocols     Secret // Sec-WebSocket-Protocol
	Query         Secret // as it came
	Cookie        Secret
	FetchSite     string     // Sec-Fetch-Site, by which a browser says whose page asks
	Remote        netip.Addr // of the connection; zero where it is not known yet
	ForwardedFor  string     // X-Forwarded-For, by which proxies say whose request they pass on
	Forwarded     bool       // there was a Forwarded or X-Forwarded-* field
}

// FromHTTP reads a Request from the head of r.
func FromHTTP(r *http.Request) Request {
	origin, hasOrigin := r.Header["Origin"]
	q := Request{
		Path:          r.URL.Path,
		Host:          r.Host,
		Origin:        strings.Join(origin, ", "),
		HasOrigin:     hasOrigin,
		Authorization: Secret(strings.Join(r.Header["Authorization"], ", ")),
		Protocols:     Secret(strings.Join(r.Header["Sec-Websocket-Protocol"], ", ")),
		Query:         Secret(r.URL.RawQuery),
		Cookie:        Secret(strings.Join(r.Header["Cookie"], "; ")),
		FetchSite:     strings.Join(r.Header["Sec-Fetch-Site"], ", "),
		ForwardedFor:  strings.Join(r.Header["X-Forwarded-For"], ", "),
	}
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		q.Remote = remote.Addr()
	}
	for name := range r.Header {
		q.Forwarded = q.Forwarded || IsForwarded(name)
	}
	return q
}

// IsForwarded tells whether a header field of this name is one that proxies and tunnels add.
func IsForwarded(name string) bool {
	const prefix = "X-Forwarded-"
	return strings.EqualFold(name, "Forwarded") ||
		len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// urlKey returns the key that r shows in its URL, as clients of the predecessor do, on the paths of MCP.
func (r Request) urlKey() string {
	if mcpPath(r.Path) {
		q, err := url.ParseQuery(string(r.Query))
		if err == nil {
			return q.Get("api_key")
		}
	}
	return ""
}

// mcpPath tells whether a path is one of MCP.
func mcpPath(path string) bool {
	return path == "/mcp" || path == "/sse" || path == "/messages"
}

// key returns the key that r shows, empty for none.
func (r Request) key() string {
	const bearer = "Bearer "
	if a := string(r.Authorization); len(a) > len(bearer) && strings.EqualFold(a[:len(bearer)], bearer) {
		return a[len(bearer):]
	}
	for offer := range strings.SplitSeq(string(r.Protocols), ",") {
		// A browser cannot set Authorization on a WebSocket: it offers the key as a subprotocol.
		if code, ok := strings.CutPrefix(strings.Trim(offer, " \t"), "bearer."); ok {
			key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(code, "="))
			if err == nil {
				return string(key)
			}
		}
	}
	return ""
}
