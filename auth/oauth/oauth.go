package oauth

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
	"crosstalk/models/store/grants"
)

// How long what is issued lasts. A refresh token lasts from its last use.
const (
	codeLife    = time.Minute
	accessLife  = time.Hour
	refreshLife = 30 * 24 * time.Hour
	// grace is how long a refresh token may be shown again after its use: answers are lost, and processes of one client
	// do not know of each other.
	grace = 10 * time.Second
)

// maxBody is the size of the largest form or registration.
const maxBody = 64 << 10

// Options are what a Server needs.
type Options struct {
	ServerURL string // where the hub is reached; without it, or over plain HTTP beyond this machine, there is no OAuth
	Grants    *grants.Table
	// Gate returns the gate, which knows the keys. It is asked when the first request comes, because a gate is made with the
	// Sources of the Server.
	Gate func() *auth.Gate
	Log  *slog.Logger
}

// Server answers the paths that Owns names. It may be called from any number of goroutines.
type Server struct {
	// Set by New, then constant.
	Options
	base      *url.URL // nil: there is no OAuth
	documents *documents
	pages     *pages
	origins   *http.CrossOriginProtection
	handler   http.Handler
	now       func() time.Time

	consents, registrations, exchanges *meter
}

// Owns tells whether path is one of OAuth's.
func Owns(path string) bool {
	return strings.HasPrefix(path, "/oauth/") || strings.HasPrefix(path, "/.well-known/oauth-")
}

// New makes a Server. o.ServerURL has been checked by the gate.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Options: o, base: issuer(o.ServerURL), documents: newDocuments(), pages: newPages(), origins: http.NewCrossOriginProtection(), now: time.Now}
	s.consents = newMeter(time.Second/5, 100, 6*time.Second, 10)
	s.registrations = newMeter(time.Second, 100, 6*time.Second, 20)
	s.exchanges = newMeter(time.Second/200, 1000, time.Second/20, 200)
	if s.base == nil {
		if o.ServerURL != "" {
			o.Log.Warn("OAuth is off: the server URL is plain HTTP, and not of this machine")
		}
		s.handler = http.HandlerFunc(s.off)
		return s
	}
	_ = s.origins.AddTrustedOrigin(s.base.Scheme + "://" + s.base.Host) // has no path, so that it is taken
	mux := http.NewServeMux()
	mux.Handle("/.well-known/oauth-protected-resource", open("GET", s.resource))
	mux.Handle("/.well-known/oauth-protected-resource/", open("GET", s.resource))
	mux.Handle("/.well-known/oauth-authorization-server", open("GET", s.server))
	mux.Handle("/.well-known/oauth-authorization-server/", open("GET", s.server))
	mux.Handle("/oauth/register", open("POST", s.register))
	mux.Handle("/oauth/token", open("POST", s.token))
	mux.Handle("/oauth/revoke", open("POST", s.revoke))
	mux.HandleFunc("/oauth/authorize", s.authorize)
	mux.HandleFunc("/", s.off)
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Gate().Keyed() {
			mux.ServeHTTP(w, r)
		} else {
			s.off(w, r)
		}
	})
	return s
}

// issuer returns the address that stands in every answer, or nil if there can be none: tokens must not cross a network in
// the clear.
func issuer(serverURL string) *url.URL {
	u, err := url.Parse(strings.TrimRight(serverURL, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil
	}
	u.Host = strings.ToLower(u.Host)
	return u
}

// isLoopback tells whether a host is a name of this machine and of no other.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// ServeHTTP answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// off is the answer where there is nothing.
func (s *Server) off(w http.ResponseWriter, _ *http.Request) {
	text := "there is nothing here"
	if s.base == nil || !s.Gate().Keyed() {
		text = "this hub offers no OAuth: it needs a key, and --server-url with the https address at which it is reached"
	}
	fail(w, http.StatusNotFound, "not_found", text)
}

// Challenge tells a client that is let in nowhere, with a 401 at path, where it learns how to sign in.
func (s *Server) Challenge(path string) string {
	if s.base == nil || s.address(path) == "" {
		return ""
	}
	return `resource_metadata="` + s.root() + "/.well-known/oauth-protected-resource" + s.base.Path + door(path) + `", scope="` + scopeWrite + `"`
}

// Sources are where the gate finds whose access tokens are whose.
func (s *Server) Sources() []auth.Source {
	if s.base == nil {
		return nil
	}
	return []auth.Source{
		{Prefix: mcpPrefix, Paths: []string{"/mcp"}, Find: s.find, Lingers: true, Used: s.Grants.Used},
		{Prefix: ssePrefix, Paths: []string{"/sse", "/messages"}, Find: s.find, Lingers: true, Used: s.Grants.Used},
	}
}

// find returns who shows the access token with this hash, and until when. It knows a token for a while longer: a wait may last longer
// than what is left of the token that it began with.
func (s *Server) find(ctx context.Context, hash string) (models.Principal, models.Time, error) {
	t, g, err := s.Grants.Find(ctx, grants.Access, hash, models.TimeOf(s.now().Add(-grants.Linger)))
	if models.CodeOf(err) == models.NotFound {
		return models.Principal{}, 0, models.Errorf(models.Unauthenticated, "the access token is not valid, or no longer: sign in again")
	}
	if err != nil {
		return models.Principal{}, 0, err
	}
	who, until, err := s.holder(ctx, g.KeyHash)
	if err != nil {
		return models.Principal{}, 0, err
	}
	if until == 0 || t.ExpiresAt < until {
		until = t.ExpiresAt
	}
	return bounded(who, g), until, nil
}

// root is the issuer without its path.
func (s *Server) root() string { return s.base.Scheme + "://" + s.base.Host }

// door is the path whose tokens are good at path: the old transport has two.
func door(path string) string {
	if path == "/messages" {
		return "/sse"
	}
	return path
}

// address is the resource, as RFC 8707 has it, that a path of the hub belongs to; empty for those that take no tokens.
func (s *Server) address(path string) string {
	switch path {
	case "/mcp", "/sse", "/messages":
		return s.base.String() + door(path)
	}
	return ""
}

// Prefixes tell secrets apart, for people and for programs that look for leaked ones. That of an access token also says where
// it is good.
const (
	codePrefix    = "ctc_"
	mcpPrefix     = "ctm_"
	ssePrefix     = "cte_"
	refreshPrefix = "ctr_"
	secretPrefix  = "ctp_"
)

// secret makes a new one, of 256 bits and more.
func secret(prefix string) string { return prefix + rand.Text() + rand.Text() }
