package oauth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"crosstalk/models"
	"crosstalk/models/store/access"
	"crosstalk/models/store/grants"
)

const (
	maxRedirects = 20
	maxName      = 60 // of what a client calls itself, in characters
)

// client is a program that asks for a grant.
type client struct {
	grants.Client
	host string // that vouches for it with a document; empty: nobody does
}

// metadata is what a client says of itself, when it registers or in its document. What else it says has no meaning here.
type metadata struct {
	ID            string   `json:"client_id,omitempty"`
	Name          string   `json:"client_name,omitempty"`
	Redirects     []string `json:"redirect_uris"`
	AuthMethod    string   `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes    []string `json:"grant_types,omitempty"`
	ResponseTypes []string `json:"response_types,omitempty"`
	Scope         string   `json:"scope,omitempty"`
}

// parse checks m and makes a client of it, which has no id yet.
func (m metadata) parse() (grants.Client, error) {
	c := grants.Client{Name: cleanName(m.Name), Redirects: m.Redirects, Lasting: true}
	if len(m.Redirects) == 0 || len(m.Redirects) > maxRedirects {
		return c, wrong("invalid_redirect_uri", "redirect_uris must have at least one address, and at most 20")
	}
	for _, uri := range m.Redirects {
		if _, err := parseRedirect(uri); err != nil {
			return c, err
		}
	}
	if len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code") {
		return c, wrong("invalid_client_metadata", "response_types must have code")
	}
	if len(m.GrantTypes) > 0 {
		if !slices.Contains(m.GrantTypes, "authorization_code") {
			return c, wrong("invalid_client_metadata", "grant_types must have authorization_code")
		}
		c.Lasting = slices.Contains(m.GrantTypes, "refresh_token")
	}
	return c, nil
}

// cleanName makes what a client calls itself fit to be shown: no control characters, nor those that turn the direction of a
// text or cannot be seen.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, !unicode.IsPrint(r), unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxName {
		s = strings.TrimSpace(string(runes[:maxName])) + "…"
	}
	return s
}

// register takes a client that registers itself, RFC 7591.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	if s.slow(w, r, s.registrations) {
		return
	}
	var m metadata
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		s.refuse(w, r, wrong("invalid_client_metadata", "the body must be a JSON object with redirect_uris, of at most 64 KiB"))
		return
	}
	c, err := m.parse()
	if err == nil && !slices.Contains(append(authMethods(), ""), m.AuthMethod) {
		err = wrong("invalid_client_metadata", "token_endpoint_auth_method must be none, client_secret_post or client_secret_basic")
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	now, hidden := s.now(), ""
	c.ID, c.CreatedAt = "client-"+strings.ToLower(secret("")[:26]), models.TimeOf(now)
	if m.AuthMethod == "" {
		m.AuthMethod = "client_secret_basic" // as RFC 7591 has it
	}
	if m.AuthMethod != "none" {
		hidden = secret(secretPrefix)
		c.SecretHash = access.Hash(hidden)
	}
	if err := s.Grants.AddClient(r.Context(), c); err != nil {
		s.refuse(w, r, err)
		return
	}
	s.Log.Info("OAuth client registered", "client", c.ID, "name", c.Name, "redirect_uris", c.Redirects, "addr", s.from(r))
	m.ID, m.Name, m.GrantTypes, m.ResponseTypes = c.ID, c.Name, []string{"authorization_code"}, []string{"code"}
	if c.Lasting {
		m.GrantTypes = append(m.GrantTypes, "refresh_token")
	}
	answer(w, http.StatusCreated, registered{m, now.Unix(), hidden, 0})
}

// registered is the answer to a registration. A client without a secret is told of none: some take that for an error.
type registered struct {
	metadata
	IssuedAt        int64  `json:"client_id_issued_at"`
	Secret          string `json:"client_secret,omitempty"`
	SecretExpiresAt int64  `json:"client_secret_expires_at"`
}

// client finds the client of an id: its document if the id is an address, else its registration.
func (s *Server) client(ctx context.Context, id string) (client, error) {
	unknown := invalidClient("this client is not known here: remove the connection in the client and add it again, so that it registers anew")
	switch {
	case isDocument(id):
		return s.documents.client(ctx, id)
	case id == "" || len(id) > 100:
		return client{}, unknown
	}
	c, err := s.Grants.Client(ctx, id)
	if models.CodeOf(err) == models.NotFound {
		return client{}, unknown
	}
	return client{Client: c}, err
}

// credentials returns the client's id and secret that a request of its own shows: in the form, or as HTTP Basic.
func credentials(r *http.Request, v url.Values) (id, secret string, err error) {
	id, secret = v.Get("client_id"), v.Get("client_secret")
	user, password, ok := r.BasicAuth()
	if !ok {
		return id, secret, nil
	}
	user, err1 := url.QueryUnescape(user)
	password, err2 := url.QueryUnescape(password)
	if err1 != nil || err2 != nil || id != "" && id != user || secret != "" && secret != password {
		return "", "", invalidClient("the client's id and secret can be read in two ways")
	}
	return user, password, nil
}

// identify makes sure that a request comes from the client it names. A client known by a document, or registered without a
// secret, is whoever shows the code and its PKCE verifier, or a token. No document is fetched for that.
func (s *Server) identify(ctx context.Context, id, secret string) (grants.Client, error) {
	if isDocument(id) {
		return grants.Client{ID: id}, nil
	}
	c, err := s.client(ctx, id)
	if err == nil && c.SecretHash != "" && subtle.ConstantTimeCompare([]byte(c.SecretHash), []byte(access.Hash(secret))) == 0 {
		err = invalidClient("the client's secret is wrong")
	}
	return c.Client, err
}
