package auth

import (
	"crypto/sha256"
	"crypto/subtle"

	"crosstalk/models"
)

// Config says whom to let in.
type Config struct {
	Key            string   // the one shared key; empty: whoever is on this machine
	ServerURL      string   // where the hub is reached from outside; may be empty
	AllowedHosts   []string // names beside loopback and ServerURL's, with a port or for any
	AllowedOrigins []string // of web pages beside the hub's own
}

// authority is a host in lower case, and a port; without a port it stands for any.
type authority struct{ host, port string }

// Gate decides who comes in. It never changes, so any number of goroutines may ask it.
type Gate struct {
	keyed   bool
	keyHash [sha256.Size]byte
	own     origin // of ServerURL; zero for none
	hosts   map[authority]bool
	origins map[origin]bool
}

// New makes a Gate, or tells in a sentence which setting is wrong.
func New(c Config) (*Gate, error) {
	g := &Gate{keyed: c.Key != "", hosts: map[authority]bool{}, origins: map[origin]bool{}}
	for _, r := range c.Key {
		if r <= ' ' || r > '~' {
			return nil, models.Errorf(models.Invalid, "the key contains a blank, a control character or a letter beyond ASCII: use visible ASCII characters only")
		}
	}
	g.keyHash = sha256.Sum256([]byte(c.Key))
	if c.ServerURL != "" {
		own, ok := parseServerURL(c.ServerURL)
		if !ok {
			return nil, models.Errorf(models.Invalid, "the server URL must look like https://bus.example.com, without user, query or fragment")
		}
		g.own = own
	}
	for _, s := range c.AllowedHosts {
		host, port, ok := splitHost(s)
		if !ok {
			return nil, models.Errorf(models.Invalid, "the allowed host %q must be a name, with a port or without, such as bus.example.com", s)
		}
		g.hosts[authority{host, port}] = true
	}
	for _, s := range c.AllowedOrigins {
		o, ok := parseOrigin(s)
		if !ok {
			return nil, models.Errorf(models.Invalid, "the allowed origin %q must be a scheme, a host and perhaps a port, such as https://app.example.com", s)
		}
		g.origins[o] = true
	}
	return g, nil
}

// Keyed tells whether callers need a key.
func (g *Gate) Keyed() bool { return g.keyed }

// openness is what a path does without.
type openness struct{ host, key bool }

// open is the one place that knows which paths are open: those that monitors and importers ask.
func open(path string) openness {
	switch path {
	case "/health", "/livez", "/readyz":
		return openness{host: true, key: true}
	case "/openapi.json":
		return openness{key: true}
	}
	return openness{}
}

// Check lets r in, as the Principal that comes back, or tells what its sender must do.
func (g *Gate) Check(r Request) (models.Principal, error) {
	if err := g.Admit(r); err != nil {
		return models.Principal{}, err
	}
	if g.keyed && !open(r.Path).key {
		shown := sha256.Sum256([]byte(r.key()))
		if subtle.ConstantTimeCompare(shown[:], g.keyHash[:]) == 0 {
			return models.Principal{}, models.Errorf(models.Unauthenticated,
				"this hub needs its key: send it in the header Authorization: Bearer KEY (a browser's WebSocket: as the subprotocol bearer.BASE64URL-OF-KEY beside crosstalk.v1). A key in the URL is not read")
		}
	}
	return models.Principal{Name: models.SharedPrincipal}, nil
}

// Admit is Check but for the key. A browser's preflight request, which can carry none, is held against it.
func (g *Gate) Admit(r Request) error {
	if !g.keyed && r.Forwarded {
		return models.Errorf(models.Forbidden,
			"this hub has no key and serves its own machine only, but the request came through a proxy or tunnel: start the hub with a key")
	}
	if !g.keyed && !open(r.Path).host {
		if err := g.checkHost(r.Host); err != nil {
			return err
		}
	}
	if r.HasOrigin {
		return g.checkOrigin(r)
	}
	return nil
}

func (g *Gate) checkHost(s string) error {
	host, port, ok := splitHost(s)
	switch {
	case !ok:
		return models.Errorf(models.Invalid, "the Host header %.100q is not a host name", s)
	case isLoopback(host), host == g.own.host, g.hosts[authority{host, ""}], g.hosts[authority{host, port}]:
		return nil
	}
	return models.Errorf(models.Forbidden,
		"this hub has no key and does not answer to the name %.100q: call it at localhost, or start it with a key or with --allowed-host", host)
}

func (g *Gate) checkOrigin(r Request) error {
	o, ok := parseOrigin(r.Origin)
	if ok && (o == g.own || g.origins[o] || o.at(r.Host)) {
		return nil
	}
	return models.Errorf(models.Forbidden,
		"web pages of the origin %.100q may not call this hub: start it with --allowed-origin to let them", r.Origin)
}

// Lists tells whether origin is one of the configured AllowedOrigins, whose pages may read answers.
func (g *Gate) Lists(origin string) bool {
	o, ok := parseOrigin(origin)
	return ok && g.origins[o]
}
