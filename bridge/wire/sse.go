package wire

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"crosstalk/models"
)

// messagesPath is where clients of the older transport send, as their stream tells them first.
const messagesPath = "/messages"

// SSE serves the transport of 2024-11-05: a GET of /sse opens a stream on which everything comes, and names the place on
// /messages to which the client POSTs. One handler serves both paths.
func SSE(o Options) http.Handler {
	h := &events{Options: &o, open: map[string]*peer{}, large: large{most: o.LargeBytes}}
	return o.door("GET, POST", h.serveHTTP)
}

// events is the door on /sse and /messages.
type events struct {
	*Options
	large large

	mu   sync.Mutex
	open map[string]*peer // by the id in their address; guarded by mu
}

func (h *events) serveHTTP(w http.ResponseWriter, r *http.Request, who models.Principal) {
	posts := strings.HasSuffix(r.URL.Path, messagesPath)
	switch {
	case posts && r.Method == http.MethodPost:
		h.post(w, r, who)
	case !posts && r.Method == http.MethodGet:
		h.stream(w, r, who)
	case posts:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "messages are POSTed here")
	default:
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, "a GET opens the stream of the older transport here; the newer one is at /mcp")
	}
}

// stream serves one client until it leaves, or the server drains and its requests have been answered.
func (h *events) stream(w http.ResponseWriter, r *http.Request, who models.Principal) {
	id := rand.Text()
	conn := connOf(who, id)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := respond(w, r, cancel)
	defer out.end()
	out.streams = true // who asks here reads nothing else
	p := &peer{o: h.Options, session: newSession(who, conn), ctx: ctx, write: out.event, old: true}
	h.put(id, p)
	defer h.Bridge.Left(conn, who)
	defer h.Bridge.Connected(conn)()
	defer func() {
		h.put(id, nil)
		_ = p.end(cancel) // a write that hangs has a deadline
	}()
	place := messagesPath + "?sessionId=" + id
	if key := r.URL.Query().Get("api_key"); key != "" && r.Header.Get("Authorization") == "" {
		place += "&api_key=" + url.QueryEscape(key) // who came in by it has no other way to show it
	}
	if out.named("endpoint", []byte(place)) != nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-h.Draining:
	}
}

func (h *events) put(id string, p *peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p == nil {
		delete(h.open, id)
	} else {
		h.open[id] = p
	}
}

// post takes one message for the stream that its address names.
func (h *events) post(w http.ResponseWriter, r *http.Request, who models.Principal) {
	h.mu.Lock()
	p := h.open[r.URL.Query().Get("sessionId")]
	h.mu.Unlock()
	if p == nil || connOf(p.session.who, "") != connOf(who, "") {
		refuse(w, http.StatusNotFound, "this stream is not open: GET /sse again")
		return
	}
	done, ok := h.large.admit(w, r)
	if !ok {
		return
	}
	m, ok := receive(w, r)
	if !ok {
		done()
		return
	}
	m.served = done
	p.serve(m)
	w.WriteHeader(http.StatusAccepted)
}
