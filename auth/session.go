package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"crosstalk/models"
	"crosstalk/models/store/access"
)

// SessionPath is where people sign in and out. It needs no key: one is shown in the body, or none is known yet.
const SessionPath = "/api/session"

// sessionCookie names the cookie. Cookies ignore ports, so where it may the name has the port in it: several hubs on one
// machine do not sign their people out.
const sessionCookie = "crosstalk_session"

// maxCookies bounds what is looked through.
const maxCookies = 16 << 10

// Person is what a browser may know of who uses it.
type Person struct {
	Name      string       `json:"name"`  // empty: nobody is signed in
	Admin     bool         `json:"admin"` // may pause, release and delete
	KeyNeeded bool         `json:"key_needed"`
	ExpiresAt *models.Time `json:"expires_at,omitempty"`
}

// SignIn begins a person's session with a key, or without where none is needed, under a name that ParseInstance has
// passed. welcome may refuse who the person would be. cookie is what the browser must keep.
func (g *Gate) SignIn(ctx context.Context, r Request, key Secret, name string, welcome func(models.Principal) error) (p Person, cookie string, err error) {
	if g.keys == nil {
		return p, "", models.Errorf(models.Unavailable, "nobody can sign in here")
	}
	if err := g.checkHost(r.Host); err != nil {
		return p, "", err
	}
	who := g.stranger()
	if g.keyed.Load() {
		if who, err = g.unlock(string(key), r.Path); err != nil {
			r.Authorization = "Bearer " + key
			return p, "", g.failed(r, err)
		}
	}
	if who.Credential != "" && !strings.HasPrefix(string(key), access.KeyPrefix) {
		return p, "", models.Errorf(models.Forbidden, "sign in with a key of this hub: what you showed is lent to an app")
	}
	token := access.NewSession()
	s := access.Session{Hash: access.Hash(token), Person: name, KeyHash: who.Credential}
	if s.KeyHash == "" {
		s.Proof = g.proof(s.Hash)
	}
	who.Person = name
	if err := welcome(who); err != nil {
		return p, "", err
	}
	if s, err = g.keys.BeginSession(ctx, s); err != nil {
		return p, "", err
	}
	who.Address = g.Address(r)
	g.keys.Note(ctx, access.EventOf(who, access.SignedIn, name))
	p = g.personOf(who)
	p.ExpiresAt = &s.ExpiresAt
	return p, g.cookie(r, token, access.SessionLasts), nil
}

// SignOut ends the session of r, if it has one. cookie has the browser forget it.
func (g *Gate) SignOut(ctx context.Context, r Request) (cookie string, err error) {
	if token, ok, err := g.session(r); err != nil {
		return "", err
	} else if ok && token != "" {
		hash := access.Hash(token)
		who, unknown := g.person(token)
		if err := g.keys.EndSession(ctx, hash); err != nil {
			return "", err
		}
		if unknown == nil {
			who.Address = g.Address(r)
			g.keys.Note(ctx, access.EventOf(who, access.SignedOut, who.Person))
		}
		g.leases.end(hash)
		g.Changed()
	}
	return g.cookie(r, "", 0), nil
}

// Person tells who is signed in.
func (g *Gate) Person(r Request) (Person, error) {
	p := Person{KeyNeeded: g.keyed.Load()}
	r.Path = "" // the path of sessions is open, and would tell nothing
	who, err := g.Who(r)
	if models.CodeOf(err) == models.Unauthenticated {
		return p, nil
	}
	return g.personOf(who), err
}

func (g *Gate) personOf(who models.Principal) Person {
	return Person{Name: who.Person, Admin: who.Admin(), KeyNeeded: g.keyed.Load()}
}

// session returns the token that r's browser keeps for one of our own pages. ok is false where there is none that
// counts; a token that is empty although ok opens nothing.
func (g *Gate) session(r Request) (token string, ok bool, err error) {
	switch {
	case g.keys == nil, r.Cookie == "", len(r.Cookie) > maxCookies, r.Authorization != "", mcpPath(r.Path), !g.ownPage(r):
		return "", false, nil
	}
	name := g.cookieName(r)
	for pair := range strings.SplitSeq(string(r.Cookie), ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if key != name {
			continue
		}
		if ok { // another host of the same site may set one, too: which is which?
			return "", true, nil
		}
		token, ok = strings.Clone(value), true
	}
	if !ok {
		return "", false, nil
	}
	return token, true, g.checkHost(r.Host)
}

// ownPage tells whether a page of ours, and no other, sent r: the browser says so.
func (g *Gate) ownPage(r Request) bool {
	if !r.HasOrigin {
		return r.FetchSite == "same-origin"
	}
	o, ok := parseOrigin(r.Origin)
	host, _, hostOK := splitHost(r.Host)
	switch {
	case !ok || !hostOK:
		return false
	case host == g.own.host:
		return o == g.own
	}
	return o.at(r.Host)
}

// person returns who has the session of a token.
func (g *Gate) person(token string) (models.Principal, error) {
	if !strings.HasPrefix(token, access.SessionPrefix) {
		return models.Principal{}, access.ErrSessionEnded
	}
	return g.leases.lookUp(g.people, access.Hash(token))
}

// sessions is the Source of people who are signed in. It has no prefix, so that nobody can show a session as a key.
func (g *Gate) sessions() Source {
	return Source{Find: func(ctx context.Context, hash string) (who models.Principal, until models.Time, err error) {
		s, err := g.keys.FindSession(ctx, hash)
		if err != nil {
			return who, 0, err
		}
		until = s.ExpiresAt
		switch {
		case s.KeyHash != "":
			k, err := g.keys.FindKey(ctx, s.KeyHash)
			if err != nil {
				return who, 0, sessionOf(err)
			}
			who = k.Principal()
			if k.ExpiresAt > 0 {
				until = min(until, k.ExpiresAt)
			}
		case s.Proof != g.proof(hash) || g.keyed.Load() && !g.shared:
			return who, 0, access.ErrSessionEnded
		default:
			who.Name = models.SharedPrincipal
		}
		who.Person = s.Person
		return who, until, nil
	}}
}

// sessionOf says that a session ended when its key did.
func sessionOf(err error) error {
	if models.CodeOf(err) == models.Unauthenticated {
		return access.ErrSessionEnded
	}
	return err
}

// proof is what a session keeps of the shared key, or of there being none: enough to see that it has changed.
func (g *Gate) proof(hash string) string {
	sum := sha256.Sum256(append([]byte("crosstalk session "+hash+" "), g.keyHash[:]...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// secure tells whether browsers reach the hub by HTTPS.
func (g *Gate) secure() bool { return g.own.scheme == "https" }

func (g *Gate) cookieName(r Request) string {
	if g.secure() {
		return "__Host-" + sessionCookie
	}
	if _, port, ok := splitHost(r.Host); ok && port != "" {
		return sessionCookie + "_" + port
	}
	return sessionCookie
}

func (g *Gate) cookie(r Request, token string, lasts time.Duration) string {
	s := fmt.Sprintf("%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict", g.cookieName(r), token, int(lasts.Seconds()))
	if g.secure() {
		s += "; Secure"
	}
	return s
}
