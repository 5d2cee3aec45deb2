package oauth

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"crosstalk/auth"
	"crosstalk/hub/limits"
	"crosstalk/models"
)

// open serves programs, also those that run in web pages of any origin: nothing here goes by a cookie.
func open(method string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		switch {
		case r.Method == http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", method+", OPTIONS")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Mcp-Protocol-Version")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
		case r.Method == method, method == http.MethodGet && r.Method == http.MethodHead:
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			next(w, r)
		default:
			h.Set("Allow", method+", OPTIONS")
			fail(w, http.StatusMethodNotAllowed, "invalid_request", r.Method+" is not possible here")
		}
	})
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs none
}

// problem is an error as OAuth has them: a code for programs, and words for people.
type problem struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	status      int
}

func (p *problem) Error() string { return p.Description }

// wrong makes a problem of what a client sent.
func wrong(code, description string) *problem {
	return &problem{Code: code, Description: description, status: http.StatusBadRequest}
}

// invalidClient is the problem of a client that is unknown, or not the one it says.
func invalidClient(description string) *problem {
	return &problem{Code: "invalid_client", Description: description, status: http.StatusUnauthorized}
}

func fail(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, problem{Code: code, Description: description})
}

// refuse answers with err. What is no problem of the client's is the hub's.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problemOf(err)
	if p.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="crosstalk"`)
	}
	fail(w, p.status, p.Code, p.Description)
}

// problemOf makes a problem of any error, and logs what is internal.
func (s *Server) problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	switch code := models.CodeOf(err); code {
	case models.Unavailable:
		return &problem{"temporarily_unavailable", models.Text(err), http.StatusServiceUnavailable}
	case models.Internal:
		s.Log.Error("OAuth failed", "error", err)
		return &problem{"server_error", models.Text(err), http.StatusInternalServerError}
	default:
		return wrong("invalid_request", models.Text(err))
	}
}

// from is whom r counts for: an address of IPv4 or a /64 of IPv6, also behind proxies that are trusted.
func (s *Server) from(r *http.Request) string { return s.Gate().Address(auth.FromHTTP(r)) }

// slow answers that something happens too often, and tells whether it does.
func (s *Server) slow(w http.ResponseWriter, r *http.Request, m *meter) bool {
	wait := m.wait(s.from(r), s.now())
	if wait > 0 {
		w.Header().Set("Retry-After", seconds(wait))
		fail(w, http.StatusTooManyRequests, "temporarily_unavailable", "too many requests: try again in "+seconds(wait)+" seconds")
	}
	return wait > 0
}

func seconds(d time.Duration) string { return strconv.FormatInt(models.Seconds(d), 10) }

// form reads the fields of a POST from its body alone, each of which may come once; resource too, though it might.
func form(r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, wrong("invalid_request", "the body must be application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return nil, wrong("invalid_request", "the form cannot be read")
	}
	return r.PostForm, once(r.PostForm)
}

// once refuses fields that come more than once: two readers might choose differently.
func once(v url.Values) error {
	for name, values := range v {
		if len(slices.Compact(slices.Clone(values))) > 1 && name == "resource" {
			return wrong("invalid_target", "a token is for one resource: ask once for each")
		}
		if len(values) > 1 && name != "resource" {
			return wrong("invalid_request", "a parameter comes more than once")
		}
	}
	return nil
}

// meter says when something happens too often: from one address, or in all.
type meter struct {
	// Set by newMeter, then constant.
	each *limits.Rates
	all  *limits.Rates // of everybody
}

// newMeter allows allBurst at once and one more each allEvery, and so for each address.
func newMeter(allEvery time.Duration, allBurst int, every time.Duration, burst int) *meter {
	return &meter{each: limits.NewRates(every, burst), all: limits.NewRates(allEvery, allBurst)}
}

// wait is how long whoever is at an address must wait; 0: they may go on, and that counts.
func (m *meter) wait(address string, now time.Time) time.Duration {
	mine, wait := m.each.Take(address, now)
	if wait > 0 {
		return wait
	}
	if _, wait = m.all.Take("", now); wait > 0 {
		mine.GiveBack()
	}
	return wait
}
