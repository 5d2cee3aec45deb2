package wire

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"crosstalk/auth"
	"crosstalk/bridge/wire/rpc"
	"crosstalk/models"
	"crosstalk/models/meter"
)

// HTTP serves all revisions of the protocol on one path: those that begin with initialize, with sessions, and 2026-07-28
// without.
func HTTP(o Options) http.Handler {
	return o.door("GET, POST, DELETE", newStreamable(&o).serveHTTP)
}

// streamable is the door on /mcp.
type streamable struct {
	*Options
	sessions *sessions
	large    large
}

func newStreamable(o *Options) *streamable {
	known := newSessions(o.Bridge.Left)
	known.meter = o.Meter
	return &streamable{Options: o, sessions: known, large: large{most: o.LargeBytes}}
}

func (h *streamable) serveHTTP(w http.ResponseWriter, r *http.Request, who models.Principal) {
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	switch {
	case r.Method == http.MethodPost:
		h.post(w, r, who)
	case r.Method != http.MethodGet && r.Method != http.MethodDelete:
		w.Header().Set("Allow", "GET, POST, DELETE")
		refuse(w, http.StatusMethodNotAllowed, "%s is not possible here", r.Method)
	case mcp.IsModernProtocol(version):
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "%s is not part of the protocol since %s", r.Method, mcp.ProtocolVersion20260728)
	case !isLegacy(version):
		refuse(w, http.StatusBadRequest, "the protocol version %q is not known here", version)
	case r.Method == http.MethodGet:
		h.get(w, r, who)
	default:
		h.delete(w, r, who)
	}
}

// isLegacy takes any version that has sessions, also another than was agreed upon: some clients mix them up.
func isLegacy(version string) bool {
	return version == "" || mcp.IsValidProtocolVersion(version) && !mcp.IsModernProtocol(version)
}

// get opens the stream of a session on which the server may speak without being asked. The newest is the one.
func (h *streamable) get(w http.ResponseWriter, r *http.Request, who models.Principal) {
	if !takesStream(r) {
		refuse(w, http.StatusNotAcceptable, "a GET opens a stream of events: Accept must have text/event-stream")
		return
	}
	if r.Header.Get(mcp.HeaderSessionID) == "" {
		w.Header().Set("Allow", "POST, DELETE")
		refuse(w, http.StatusMethodNotAllowed, "a stream belongs to a session: send its %s", mcp.HeaderSessionID)
		return
	}
	s := h.enter(w, r, who)
	if s == nil {
		return
	}
	defer h.sessions.leave(s)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := respond(w, r, cancel)
	defer out.end()
	c := &caller{session: s, out: out}
	defer c.close()
	defer c.listen(h.Bridge.Server(), nil)()
	defer h.Bridge.Connected(s.conn)()
	s.tune(cancel)
	if out.start() != nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-h.Draining:
	}
}

// delete ends a session, at its client's wish.
func (h *streamable) delete(w http.ResponseWriter, r *http.Request, who models.Principal) {
	id := r.Header.Get(mcp.HeaderSessionID)
	if !isSessionID(id) {
		refuse(w, http.StatusBadRequest, "DELETE ends a session: send its %s", mcp.HeaderSessionID)
		return
	}
	h.sessions.remove(who, id)
	w.WriteHeader(http.StatusNoContent)
}

// enter returns the session that r names, for a use that leave ends, or answers that there can be none.
func (h *streamable) enter(w http.ResponseWriter, r *http.Request, who models.Principal) *session {
	id := r.Header.Get(mcp.HeaderSessionID)
	if !isSessionID(id) {
		refuse(w, http.StatusBadRequest, "the %s is not one of ours: leave it out, or begin with initialize", mcp.HeaderSessionID)
		return nil
	}
	s := h.sessions.enter(who, id)
	if s == nil {
		refuse(w, http.StatusNotFound, "the session was deleted: begin with initialize")
	}
	return s
}

func isSessionID(id string) bool {
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return id != "" && len(id) <= 128
}

// door lets in whom the gate lets in, and pages of configured origins read the answers.
func (o *Options) door(methods string, next func(http.ResponseWriter, *http.Request, models.Principal)) http.Handler {
	if o.Meter == nil {
		o.Meter = &meter.Door{}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, h := auth.FromHTTP(r), w.Header()
		h.Set("Cache-Control", "no-store")
		if q.HasOrigin {
			h.Set("Vary", "Origin")
			if o.Gate.Lists(q.Origin) {
				h.Set("Access-Control-Allow-Origin", q.Origin)
				h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, Retry-After, WWW-Authenticate")
			}
			if r.Method == http.MethodOptions && o.Gate.Lists(q.Origin) && o.Gate.Admit(q) == nil {
				h.Set("Access-Control-Allow-Methods", methods)
				h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, "+
					"Mcp-Method, Mcp-Name, Mcp-Protocol-Version, Mcp-Session-Id")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		who, err := o.Gate.Check(q)
		if err == nil && r.Method == http.MethodGet { // a stream
			var left func()
			if left, err = o.Gate.Connect(who); err == nil {
				defer left()
				o.Meter.Open.Add(1)
				defer o.Meter.Open.Add(-1)
			}
		}
		o.Meter.Reject(err)
		switch code := models.CodeOf(err); code {
		case "":
			ctx, stop := o.Gate.Bind(r.Context(), who)
			defer stop()
			next(w, r.WithContext(ctx), who)
		case models.Unauthenticated:
			h.Set("WWW-Authenticate", o.Gate.Challenge(q))
			refuse(w, http.StatusUnauthorized, "%s", models.Text(err))
		case models.Forbidden:
			refuse(w, http.StatusForbidden, "%s", models.Text(err))
		case models.RateLimited:
			h.Set("Retry-After", strconv.FormatInt(models.RetryAfter(err), 10))
			refuse(w, http.StatusTooManyRequests, "%s", models.Text(err))
		default:
			refuse(w, http.StatusBadRequest, "%s", models.Text(err))
		}
	})
}

// refuse answers a request that is none of the protocol's, in words that a client may show.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	reject(w, status, nil, rpc.Errorf(codeRefused, format, args...))
}

// codeRefused is from the range that JSON-RPC leaves to servers.
const codeRefused = -32000

// reject answers with an error of the transport.
func reject(w http.ResponseWriter, status int, id []byte, e *rpc.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(failure(id, e)) // a client that is gone needs none
}

// isJSON tells whether a Content-Type is that of messages.
func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/json")
}
