package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"crosstalk/auth/audit"
	"crosstalk/hub/limits"
	"crosstalk/models"
	"crosstalk/models/store/access"
	"crosstalk/models/store/grants"
)

// Config says whom to let in.
type Config struct {
	Key            string   // the one shared key; empty, and no named key either: whoever is on this machine
	ServerURL      string   // where the hub is reached from outside; may be empty
	AllowedHosts   []string // names beside loopback and ServerURL's, with a port or for any
	AllowedOrigins []string // of web pages beside the hub's own
	Compat         bool     // read ?api_key= on the paths of MCP

	TrustedProxies []string       // whose X-Forwarded-For is believed: addresses and ranges
	Limits         *limits.Limits // nil: none

	Keys    *access.Table // of named keys; nil: there are none
	Trusted bool          // whoever comes in may read the database anyhow, and needs none of them
	Sources []Source      // of other credentials
	Invites *grants.Table // and the invites that lead to some; nil: there are none
	// Challenge says where a client without a credential learns how to get one for a path, as parameters of a
	// WWW-Authenticate; empty: nowhere. nil says that of all paths.
	Challenge func(path string) string
	Log       *slog.Logger
}

// authority is a host in lower case, and a port; without a port it stands for any.
type authority struct{ host, port string }

// Gate decides who comes in. Any number of goroutines may ask it. While Run runs it hears of credentials that end.
type Gate struct {
	// Set by New, then constant.
	shared  bool // there is a shared key
	keyHash [sha256.Size]byte
	keyText string // the same as access.Hash writes it
	compat  bool
	trusted bool
	own     origin // of ServerURL; zero for none
	hosts   map[authority]bool
	origins map[origin]bool
	proxies []netip.Prefix
	limits  *limits.Limits
	seen    *audit.Log
	keys    *access.Table
	signin  func(path string) string
	invites *grants.Table
	leases  *leases
	people  *Source       // of sessions; nil: nobody can sign in
	kick    chan struct{} // size 1: something changed

	keyed   atomic.Bool // callers need a credential; once so, it stays so
	version int64       // of what was reviewed; owned by Run
}

// New makes a Gate, or tells in a sentence each which settings are wrong.
func New(c Config) (*Gate, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gate{
		shared: c.Key != "", compat: c.Compat, trusted: c.Trusted, hosts: map[authority]bool{}, origins: map[origin]bool{},
		keys: c.Keys, limits: c.Limits, seen: audit.New(c.Keys), signin: c.Challenge, invites: c.Invites, kick: make(chan struct{}, 1), version: -1,
	}
	g.keyed.Store(g.shared)
	g.keyHash, g.keyText = sha256.Sum256([]byte(c.Key)), access.Hash(c.Key)
	if err := g.read(c); err != nil {
		return nil, err
	}
	return g, g.open(c)
}

// read understands settings, or tells of each that is wrong.
func (g *Gate) read(c Config) error {
	var wrong []error
	say := func(format string, args ...any) {
		wrong = append(wrong, models.Errorf(models.Invalid, format, args...))
	}
	if strings.ContainsFunc(c.Key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		say("the key contains a blank, a control character or a letter beyond ASCII: use visible ASCII characters only")
	}
	if c.ServerURL != "" {
		own, ok := parseServerURL(c.ServerURL)
		if !ok {
			say("the server URL must look like https://bus.example.com, without user, query or fragment")
		}
		g.own = own
	}
	for _, s := range c.TrustedProxies {
		p, err := parseProxy(s)
		if err != nil {
			wrong = append(wrong, err)
		}
		g.proxies = append(g.proxies, p)
	}
	for _, s := range c.AllowedHosts {
		host, port, ok := splitHost(s)
		if !ok {
			say("the allowed host %q must be a name, with a port or without, such as bus.example.com", s)
		}
		g.hosts[authority{host, port}] = true
	}
	for _, s := range c.AllowedOrigins {
		o, ok := parseOrigin(s)
		if !ok {
			say("the allowed origin %q must be a scheme, a host and perhaps a port, such as https://app.example.com", s)
		}
		g.origins[o] = true
	}
	return errors.Join(wrong...)
}

// open finds out which credentials there are.
func (g *Gate) open(c Config) error {
	sources := c.Sources
	if g.keys != nil {
		sources = append([]Source{g.sessions(), namedKeys(g.keys)}, sources...)
		any, err := g.keys.AnyKey(context.Background())
		if err != nil {
			return err
		}
		g.keyed.Store(any && !c.Trusted || g.shared)
	}
	g.leases = newLeases(sources, c.Log)
	if g.keys != nil {
		g.people = &g.leases.sources[0]
	}
	if g.keyed.Load() {
		g.limits.Enforce()
	} else {
		g.leases.keep("", &lease{}, 0) // of whoever is on this machine, until there is a key
	}
	return nil
}

// Keyed tells whether callers need a key. A hub that had none needs one as soon as there is a named key.
func (g *Gate) Keyed() bool { return g.keyed.Load() }

// openness is what a path does without.
type openness struct{ host, key bool }

// open is the one place that knows which paths are open: those that monitors and importers ask, and the files of the
// dashboard, which hold no data.
func open(path string) openness {
	switch path {
	case "/health", "/livez", "/readyz":
		return openness{host: true, key: true}
	case "/openapi.json", "/", "/favicon.ico", "/favicon.svg", SessionPath:
		return openness{key: true}
	}
	file, ok := strings.CutPrefix(path, "/assets/")
	return openness{key: ok && file != "" && !strings.Contains(file, "..") && !strings.ContainsFunc(file, notOfFiles)}
}

// notOfFiles tells whether r is in no name of ours, and could make another path of one.
func notOfFiles(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
}

// Check lets r in, as the Principal that comes back, or tells what its sender must do. It counts against the limits of
// the caller and its address.
func (g *Gate) Check(r Request) (models.Principal, error) {
	if open(r.Path).host {
		return g.Who(r) // monitors ask as they like
	}
	address := g.Address(r)
	if err := g.limits.Arrive(address); err != nil {
		return models.Principal{}, err
	}
	who, err := g.Who(r)
	if err != nil {
		return who, g.failed(r, err)
	}
	who.Address = address
	g.seen.Seen(who)
	return who, g.limits.Request(who)
}

// Who is Check for a request that was counted already.
func (g *Gate) Who(r Request) (models.Principal, error) {
	if err := g.Admit(r); err != nil {
		return models.Principal{}, err
	}
	if open(r.Path).key {
		return g.stranger(), nil
	}
	token, signed, err := g.session(r)
	switch {
	case err != nil:
		return models.Principal{}, err
	case signed:
		return g.person(token)
	case !g.keyed.Load():
		return g.stranger(), nil
	}
	return g.identify(r)
}

// stranger is who shows nothing: without a key anybody on this machine, with one nobody.
func (g *Gate) stranger() models.Principal {
	if g.keyed.Load() {
		return models.Principal{}
	}
	return models.Principal{Name: models.SharedPrincipal}
}

// needsKey is what those hear who show no key, or one that opens nothing.
const needsKey = "this hub needs a key: send it in the header Authorization: Bearer KEY (a browser's WebSocket: as the subprotocol " +
	"bearer.BASE64URL-OF-KEY beside crosstalk.v1). A key in the URL is not read"

// shown is the key that r shows, where one is looked for.
func (g *Gate) shown(r Request) string {
	if secret := r.key(); secret != "" || !g.compat {
		return secret
	}
	return r.urlKey()
}

// identify returns whose credential r shows.
func (g *Gate) identify(r Request) (models.Principal, error) { return g.unlock(g.shown(r), r.Path) }

// Challenge is the WWW-Authenticate of the answer to r when Check finds that it is unauthenticated.
func (g *Gate) Challenge(r Request) string {
	var more []string
	if g.shown(r) != "" {
		more = append(more, `error="invalid_token"`)
	}
	if g.signin != nil {
		if where := g.signin(r.Path); where != "" {
			more = append(more, where)
		}
	}
	return strings.TrimSuffix("Bearer "+strings.Join(more, ", "), " ")
}

// Holder returns whose key has an access.Hash, and until when; 0: for good. What was made from a key, such as a token, is
// no key.
func (g *Gate) Holder(ctx context.Context, hash string) (models.Principal, models.Time, error) {
	switch {
	case g.isShared(hash):
		return models.Principal{Name: models.SharedPrincipal}, 0, nil
	case g.keys == nil:
		return models.Principal{}, 0, models.Errorf(models.Unauthenticated, "%s", needsKey)
	}
	k, err := g.keys.FindKey(ctx, hash)
	if err != nil {
		return models.Principal{}, 0, err
	}
	return k.Principal(), k.ExpiresAt, nil
}

// Admit is Check but for the key. A browser's preflight request, which can carry none, is held against it.
func (g *Gate) Admit(r Request) error {
	if !g.keyed.Load() && r.Forwarded {
		return models.Errorf(models.Forbidden,
			"this hub has no key and serves its own machine only, but the request came through a proxy or tunnel: start the hub with a key")
	}
	if !g.keyed.Load() && !open(r.Path).host {
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
		"this hub does not answer to the name %.100q without a key, nor to a browser that is signed in: call it at localhost or SERVER_URL, or start it with --allowed-host", host)
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

// Follow has end called, once, when who's credential is taken back or expires; end must not block. What lasts longer
// than an answer follows its caller. stop ends that.
func (g *Gate) Follow(who models.Principal, end func()) (stop func()) {
	if g.shared && who.Credential == "" {
		return func() {}
	}
	stop, ok := g.leases.follow(who, end)
	for i := 0; !ok && i < len(g.leases.sources) && who.Credential != ""; i++ { // forgotten, because there are so many
		if _, err := g.leases.lookUp(&g.leases.sources[i], who.Credential); err == nil {
			stop, ok = g.leases.follow(who, end)
		}
	}
	if !ok {
		end()
	}
	return stop
}

// ErrEnded is why a context ends that Bind made.
var ErrEnded = models.Errorf(models.Unauthenticated, "the key that this began with opens nothing any more")

// Bind returns a context that ends with ctx, with stop, and when who's credential does.
func (g *Gate) Bind(ctx context.Context, who models.Principal) (bound context.Context, stop func()) {
	bound, cancel := context.WithCancelCause(ctx)
	unfollow := g.Follow(who, func() { cancel(ErrEnded) })
	return bound, func() {
		unfollow()
		cancel(nil)
	}
}

// Run hears of what changed until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	noted := time.Now()
	for {
		select {
		case <-ctx.Done():
			g.leases.note(context.WithoutCancel(ctx))
			g.seen.Flush(context.WithoutCancel(ctx))
			return nil
		case <-g.kick:
		case <-ticker.C:
		}
		g.look(ctx)
		g.leases.expire()
		if time.Since(noted) >= useEvery {
			g.leases.note(ctx)
			g.seen.Flush(ctx)
			noted = time.Now()
		}
	}
}

// Changed has Run look at once.
func (g *Gate) Changed() {
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// look asks about all credentials again if something changed.
func (g *Gate) look(ctx context.Context) {
	if g.keys == nil {
		return
	}
	version, err := g.keys.Version(ctx)
	if err != nil || version == g.version {
		return // the store has said what is wrong
	}
	if !g.keyed.Load() && !g.trusted {
		any, err := g.keys.AnyKey(ctx)
		if err != nil {
			return
		}
		if any {
			g.keyed.Store(true)
			g.leases.end("")
			g.limits.Enforce()
			g.leases.log.Warn("there is a named key now: whoever calls needs one")
		}
	}
	if g.leases.review(ctx) {
		g.version = version
	}
}
