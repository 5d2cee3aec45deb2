package rest

import (
	"net/http"

	"crosstalk/auth"
)

// share lets a page of a configured origin read the answer. Pages of the hub's own origin need no
// leave, and the gate turns away all others.
func share(g *auth.Gate, r auth.Request, set func(name, value string)) {
	set("Vary", "Origin")
	if g.Lists(r.Origin) {
		set("Access-Control-Allow-Origin", r.Origin)
		set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
	}
}

// preflight answers a browser that asks, without a credential, whether a page may send what it wants
// to. It tells whether r was such a question; the answer is then its fields alone.
func preflight(g *auth.Gate, r auth.Request, method string, set func(name, value string)) bool {
	if method == "" || !g.Lists(r.Origin) || g.Admit(r) != nil {
		return false
	}
	share(g, r, set)
	set("Access-Control-Allow-Methods", http.MethodGet+", "+http.MethodHead+", "+http.MethodPost+", "+http.MethodDelete)
	set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Last-Event-ID")
	set("Access-Control-Max-Age", "600")
	set("Cache-Control", "no-store")
	return true
}
