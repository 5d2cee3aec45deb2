package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"crosstalk/models"
	"crosstalk/models/store/access"
	"crosstalk/models/store/grants"
)

// Scopes as clients ask for them. What else they ask for is not granted, and nothing here makes an administrator.
const (
	scopeRead    = "read"
	scopeWrite   = "read write"
	scopeLasting = "offline_access"
)

// holder returns whose key, or invite code, has this hash, and until when; 0: for good.
func (s *Server) holder(ctx context.Context, hash string) (models.Principal, models.Time, error) {
	who, until, err := s.Gate().Holder(ctx, hash)
	if models.CodeOf(err) != models.Unauthenticated {
		return who, until, err
	}
	i, none := s.Grants.Invite(ctx, hash)
	switch models.CodeOf(none) {
	case "":
		return i.Principal(), 0, nil
	case models.NotFound:
		return who, 0, err
	}
	return who, 0, none
}

// bounded is who calls with a token of g, which came from who: never more than who may now, or than was granted then.
func bounded(who models.Principal, g grants.Grant) models.Principal {
	scope := models.ScopeRead
	if who.May(models.ScopeWrite) && slices.Contains(strings.Fields(g.Scope), "write") {
		scope = models.ScopeWrite
	}
	return models.Principal{Name: g.Principal, Scope: scope, Channels: who.Channels}
}

// label makes the name of a connection from what somebody wrote, or the client calls itself.
func label(s string) string {
	const most = 40
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.':
			return r
		}
		return ' '
	}, s)
	s = strings.Join(strings.Fields(s), "-")
	s = strings.Trim(s[:min(len(s), most)], "-.")
	if s == "" {
		return "app"
	}
	return s
}

// consent opens a grant that r allows, and returns its code.
func (s *Server) consent(ctx context.Context, r request, who models.Principal, keyHash, label string, write bool) (string, error) {
	scope := scopeRead
	if write && r.write && who.May(models.ScopeWrite) {
		scope = scopeWrite
	}
	if r.lasting {
		scope += " " + scopeLasting
	}
	now := s.now()
	g := grants.Grant{
		ID: strings.ToLower(secret("")[:26]), Principal: "grant:" + who.Name + "/" + label, KeyHash: keyHash,
		Client: r.client.ID, ClientName: r.client.Name, Scope: scope, Resource: r.resource, Redirect: r.redirectURI,
		Challenge: r.challenge, CreatedAt: models.TimeOf(now), UsedAt: models.TimeOf(now),
	}
	code := secret(codePrefix)
	t := grants.Token{Hash: access.Hash(code), GrantID: g.ID, Kind: grants.Code, ExpiresAt: models.TimeOf(now.Add(codeLife))}
	if err := s.Gate().Noted(ctx, s.Grants.Consent(ctx, g, t), who, access.AppAllowed, g.Principal); err != nil {
		return "", err
	}
	s.record("OAuth consent", g, "redirect", r.redirect.Host)
	return code, nil
}

// record is the one place that tells what became of a grant. Steps of one sign-in share the grant's id.
func (s *Server) record(what string, g grants.Grant, more ...any) {
	s.Log.Info(what, append([]any{"grant", g.ID, "principal", g.Principal, "client", g.Client, "name", g.ClientName, "scope", g.Scope}, more...)...)
}

// token exchanges a code or a refresh token for an access token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if s.slow(w, r, s.exchanges) {
		return
	}
	issued, err := s.exchange(r)
	if err != nil {
		p := s.problemOf(err)
		s.Log.Info("OAuth token refused", "error", p.Code, "why", p.Description, "addr", s.from(r))
		s.refuse(w, r, p)
		return
	}
	answer(w, http.StatusOK, issued)
}

// issued is the answer to an exchange.
type issued struct {
	Access    string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
	Refresh   string `json:"refresh_token,omitempty"`
	Scope     string `json:"scope"`
}

func (s *Server) exchange(r *http.Request) (issued, error) {
	v, err := form(r)
	if err != nil {
		return issued{}, err
	}
	kind, shown := grants.Code, v.Get("code")
	switch v.Get("grant_type") {
	case "authorization_code":
	case "refresh_token":
		kind, shown = grants.Refresh, v.Get("refresh_token")
	case "":
		return issued{}, wrong("invalid_request", "grant_type is missing: authorization_code or refresh_token")
	default:
		return issued{}, wrong("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
	}
	id, password, err := credentials(r, v)
	if err != nil {
		return issued{}, err
	}
	if _, err := s.identify(r.Context(), id, password); err != nil {
		return issued{}, err
	}
	now := models.TimeOf(s.now())
	t, g, err := s.Grants.Find(r.Context(), kind, access.Hash(shown), now)
	if models.CodeOf(err) == models.NotFound {
		return issued{}, invalidGrant()
	}
	if err != nil {
		return issued{}, err
	}
	if err := fits(g, id, kind, v.Get); err != nil {
		return issued{}, err
	}
	if _, _, err := s.holder(r.Context(), g.KeyHash); models.CodeOf(err) == models.Unauthenticated {
		return issued{}, wrong("invalid_grant", "the key that allowed this was revoked or replaced: sign in again")
	} else if err != nil {
		return issued{}, err
	}
	return s.issue(r.Context(), t, g, now)
}

func invalidGrant() error {
	return wrong("invalid_grant", "the code or refresh token is not known, was used, or has expired: sign in again")
}

// fits tells whether whoever shows a code or refresh token of g may have it, and asks for no more than was granted.
func fits(g grants.Grant, id string, kind grants.Kind, field func(string) string) error {
	uri, resource := field("redirect_uri"), field("resource")
	switch {
	case g.Client != id:
		return wrong("invalid_grant", "this was granted to another client")
	case resource != "" && !sameURL(resource, g.Resource):
		return wrong("invalid_target", "this was granted for "+g.Resource)
	case kind == grants.Code && uri != "" && uri != g.Redirect:
		return wrong("invalid_grant", "redirect_uri is not the one that the code was sent to")
	case kind == grants.Code && !proves(field("code_verifier"), g.Challenge):
		return wrong("invalid_grant", "code_verifier does not fit the code_challenge")
	}
	for asked := range strings.FieldsSeq(field("scope")) {
		if known := strings.Fields(scopeWrite + " admin"); slices.Contains(known, asked) && !slices.Contains(strings.Fields(g.Scope), asked) {
			return wrong("invalid_scope", "no more can be asked for than was granted: "+g.Scope)
		}
	}
	return nil
}

// issue spends t for new tokens.
func (s *Server) issue(ctx context.Context, t grants.Token, g grants.Grant, now models.Time) (issued, error) {
	ms := func(d time.Duration) models.Time { return models.Time(d.Milliseconds()) }
	prefix := mcpPrefix
	if g.Resource == s.address("/sse") {
		prefix = ssePrefix
	}
	out := issued{Access: secret(prefix), Type: "Bearer", ExpiresIn: int(accessLife.Seconds()), Scope: g.Scope}
	next := []grants.Token{{Hash: access.Hash(out.Access), GrantID: g.ID, Kind: grants.Access, ExpiresAt: now + ms(accessLife)}}
	if slices.Contains(strings.Fields(g.Scope), scopeLasting) {
		out.Refresh = secret(refreshPrefix)
		next = append(next, grants.Token{Hash: access.Hash(out.Refresh), GrantID: g.ID, Kind: grants.Refresh, ExpiresAt: now + ms(refreshLife)})
	}
	switch err := s.Grants.Spend(ctx, t, now, grace, next...); models.CodeOf(err) {
	case "":
	case models.Conflict:
		s.record("OAuth grant ended: its "+string(t.Kind)+" was shown twice", g)
		_ = s.Gate().Noted(ctx, nil, models.Principal{Name: g.Principal}, access.AppEnded, g.ClientName)
		return issued{}, wrong("invalid_grant", "this "+string(t.Kind)+" was used before. Somebody else may have it, so the connection was ended: sign in again")
	case models.NotFound:
		return issued{}, invalidGrant()
	default:
		return issued{}, err
	}
	s.record("OAuth tokens issued", g, "for", string(t.Kind))
	return out, nil
}

// revoke ends the grant of a token, RFC 7009. A token that is unknown, or another client's, is answered alike.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	if s.slow(w, r, s.exchanges) {
		return
	}
	v, err := form(r)
	id, password := "", ""
	if err == nil {
		id, password, err = credentials(r, v)
	}
	if err == nil {
		_, err = s.identify(r.Context(), id, password)
	}
	now := models.TimeOf(s.now())
	for _, kind := range []grants.Kind{grants.Access, grants.Refresh} {
		if err != nil {
			break
		}
		_, g, none := s.Grants.Find(r.Context(), kind, access.Hash(v.Get("token")), now)
		switch {
		case models.CodeOf(none) == models.NotFound:
		case none != nil:
			err = none
		case g.Client == id:
			if err = s.Grants.End(r.Context(), g.ID); err == nil {
				s.record("OAuth grant ended by its client", g)
				who := models.Principal{Name: g.Principal, Address: s.from(r)}
				_ = s.Gate().Noted(r.Context(), nil, who, access.AppEnded, g.ClientName)
			}
		}
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}
