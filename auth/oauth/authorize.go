package oauth

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"crosstalk/models"
	"crosstalk/models/store/access"
)

// authorize shows a person who asks for what, and takes the answer. Whatever is wrong is shown here: nobody is sent on before
// they have decided.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.ask(w, r)
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		s.decide(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		s.pages.problem(w, http.StatusMethodNotAllowed, "This page is for browsers.", "")
	}
}

func (s *Server) ask(w http.ResponseWriter, r *http.Request) {
	asked, err := s.parse(r.Context(), r.URL.Query())
	if err != nil {
		s.explain(w, asked, err)
		return
	}
	s.page(w, r, asked, r.URL.Query(), http.StatusOK, "")
}

// explain shows a person what is wrong. If the client may know of it, a link takes the answer there.
func (s *Server) explain(w http.ResponseWriter, asked request, err error) {
	p, link := s.problemOf(err), ""
	if asked.redirect != nil {
		link = s.back(asked, url.Values{"error": {p.Code}, "error_description": {p.Description}})
	}
	status := p.status
	if status == http.StatusUnauthorized { // which would ask the browser for a password
		status = http.StatusBadRequest
	}
	s.pages.problem(w, status, p.Description, link)
}

// decide takes the answer of a person: the form that page wrote.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	if wait := s.consents.wait(s.from(r), s.now()); wait > 0 {
		w.Header().Set("Retry-After", seconds(wait))
		s.pages.problem(w, http.StatusTooManyRequests, "There were too many attempts: go back and try again in "+seconds(wait)+" seconds.", "")
		return
	}
	if err := s.origins.Check(r); err != nil {
		s.pages.problem(w, http.StatusForbidden, "This form was not sent from the hub's own page, so nothing was allowed.", "")
		return
	}
	v, err := form(r)
	var asked request
	if err == nil {
		asked, err = s.parse(r.Context(), v)
	}
	if err != nil {
		s.explain(w, asked, err)
		return
	}
	if !s.genuine(r, v.Get("form")) {
		s.page(w, r, asked, v, http.StatusForbidden, "This page was open for too long, or cookies are blocked for this site. Please try again.")
		return
	}
	if v.Get("answer") != "allow" {
		s.Log.Info("OAuth consent denied", "client", asked.client.ID, "redirect", asked.redirect.Host)
		s.send(w, r, asked, url.Values{"error": {"access_denied"}, "error_description": {"the person at the hub said no"}})
		return
	}
	code, err := s.allow(r, asked, v)
	p, refused := errors.AsType[*models.Error](err)
	switch {
	case err == nil:
		s.send(w, r, asked, url.Values{"code": {code}})
	case refused && (p.Code == models.Unauthenticated || p.Code == models.Forbidden):
		s.Log.Warn("OAuth consent failed", "why", p.Message, "client", asked.client.ID, "addr", s.from(r))
		s.page(w, r, asked, v, http.StatusForbidden, sentence(p.Message))
	default:
		s.explain(w, asked, err)
	}
}

// allow opens the grant that a person allowed with a key or an invite code.
func (s *Server) allow(r *http.Request, asked request, v url.Values) (code string, err error) {
	key := strings.TrimSpace(v.Get("key"))
	if key == "" {
		return "", models.Errorf(models.Unauthenticated, "a key or an invite code is needed")
	}
	who, _, err := s.holder(r.Context(), access.Hash(key))
	if models.CodeOf(err) == models.Unauthenticated {
		return "", models.Errorf(models.Unauthenticated, "this is no key or invite code of this hub, or no longer")
	}
	if err != nil {
		return "", err
	}
	who.Address = s.from(r)
	name := v.Get("label")
	if strings.TrimSpace(name) == "" {
		name = asked.client.Name
	}
	return s.consent(r.Context(), asked, who, access.Hash(key), label(name), v.Get("access") == "write")
}

// sentence makes one of an error's text.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// send takes the answer to the client, in a request of its own.
func (s *Server) send(w http.ResponseWriter, _ *http.Request, asked request, answer url.Values) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", s.back(asked, answer))
	w.WriteHeader(http.StatusSeeOther)
}

// cookie is the name of the cookie that tells our forms from others'. Where it can be, it is bound to this very host.
func (s *Server) cookie() string {
	if s.base.Scheme == "https" {
		return "__Host-crosstalk-form"
	}
	return "crosstalk-form"
}

// genuine tells whether a form came from a page that this browser got from here.
func (s *Server) genuine(r *http.Request, shown string) bool {
	c, err := r.Cookie(s.cookie())
	return err == nil && isFormToken(c.Value) && subtle.ConstantTimeCompare([]byte(c.Value), []byte(shown)) == 1
}

func isFormToken(s string) bool { return len(s) == len(rand.Text()) }

// formToken returns the browser's token, or gives it one. Pages in several tabs have the same.
func (s *Server) formToken(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(s.cookie()); err == nil && isFormToken(c.Value) {
		return c.Value
	}
	token := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie(), Value: token, Path: "/", HttpOnly: true, Secure: s.base.Scheme == "https", SameSite: http.SameSiteLaxMode,
	})
	return token
}
