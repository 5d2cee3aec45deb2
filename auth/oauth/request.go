package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// request is what a client asks a person for, by way of the browser. All of it has been checked.
type request struct {
	client      client
	redirectURI string // as the client wrote it
	redirect    *url.URL
	state       string
	challenge   string
	resource    string
	write       bool // it asks to write, not only to read
	lasting     bool // it asks to stay
}

// fields are what the page sends back of a request, to be checked anew.
func fields() []string {
	return []string{"response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method", "resource", "scope"}
}

// parse checks what a client asks for. When r.redirect is set the error may be told to the client; else it is for the person alone.
func (s *Server) parse(ctx context.Context, v url.Values) (r request, err error) {
	if err := once(v); err != nil {
		return r, err
	}
	if r.client, err = s.client(ctx, v.Get("client_id")); err != nil {
		return r, err
	}
	r.redirectURI = v.Get("redirect_uri")
	redirect, err := parseRedirect(r.redirectURI)
	if err != nil {
		return r, err
	}
	if !slices.ContainsFunc(r.client.Redirects, func(known string) bool { return matches(known, r.redirectURI) }) {
		return r, wrong("invalid_redirect_uri", "the redirect_uri is none of those that the client registered")
	}
	r.redirect, r.state, r.challenge = redirect, v.Get("state"), v.Get("code_challenge")
	switch {
	case len(r.state) > 4*maxURI:
		r.state = ""
		return r, wrong("invalid_request", "state is too long")
	case v.Get("response_type") != "code":
		return r, wrong("unsupported_response_type", "response_type must be code")
	case v.Get("response_mode") != "" && v.Get("response_mode") != "query":
		return r, wrong("invalid_request", "response_mode must be query")
	case v.Get("request") != "":
		return r, wrong("request_not_supported", "request objects are not understood here")
	case v.Get("request_uri") != "":
		return r, wrong("request_uri_not_supported", "request objects are not understood here")
	case v.Get("code_challenge_method") != "S256" || !isChallenge(r.challenge):
		return r, wrong("invalid_request", "PKCE is required: code_challenge, and code_challenge_method S256")
	}
	if r.resource, err = s.target(v.Get("resource")); err != nil {
		return r, err
	}
	asked := strings.Fields(v.Get("scope"))
	r.write = slices.Contains(asked, "write") || !slices.Contains(asked, "read")
	r.lasting = r.client.Lasting || slices.Contains(asked, scopeLasting)
	return r, nil
}

// target is the resource that a token shall be for. A client that knows of none means /mcp.
func (s *Server) target(resource string) (string, error) {
	if resource == "" {
		return s.address("/mcp"), nil
	}
	for _, path := range []string{"/mcp", "/sse"} {
		if sameURL(resource, s.address(path)) {
			return s.address(path), nil
		}
	}
	return "", wrong("invalid_target", "resource must be "+s.address("/mcp")+" or "+s.address("/sse"))
}

// sameURL compares addresses; a slash at the end, the case of the host and a port that goes without saying make no difference.
func sameURL(a, b string) bool {
	plain := func(s string) string {
		u, err := url.Parse(strings.TrimRight(s, "/"))
		if err != nil {
			return s
		}
		u.Host = strings.ToLower(u.Host)
		if u.Scheme == "https" {
			u.Host = strings.TrimSuffix(u.Host, ":443")
		} else {
			u.Host = strings.TrimSuffix(u.Host, ":80")
		}
		return u.String()
	}
	return a == b || plain(a) == plain(b)
}

// isChallenge tells whether s can be a SHA-256 in base64url, as PKCE's S256 has it.
func isChallenge(s string) bool {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(b) == sha256.Size && len(s) == 43
}

// proves tells whether a verifier is the secret behind a challenge.
func proves(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// back is the address that takes an answer to the client. The issuer tells a client that knows several who answers.
func (s *Server) back(r request, answer url.Values) string {
	answer.Set("iss", s.base.String())
	if r.state != "" {
		answer.Set("state", r.state)
	}
	u := *r.redirect
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += answer.Encode()
	return u.String()
}

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
