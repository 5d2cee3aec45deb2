package wire

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"crosstalk/bridge/wire/rpc"
	"crosstalk/models"
)

// post takes one message.
func (h *streamable) post(w http.ResponseWriter, r *http.Request, who models.Principal) {
	done, ok := h.large.admit(w, r)
	if !ok {
		return
	}
	defer done()
	m, ok := receive(w, r)
	if !ok {
		return
	}
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	if mcp.IsModernProtocol(version) || mcp.IsModernProtocol(m.Version) {
		m.modern = true
		h.postModern(w, r, who, m)
		return
	}
	if m.Method != mcp.MethodInitialize && !isLegacy(version) {
		reject(w, http.StatusBadRequest, m.ID, rpc.Errorf(codeRefused, "the protocol version %q is not known here", version))
		return
	}
	s := h.sessionOf(w, r, who, m)
	if s == nil {
		return
	}
	defer h.sessions.leave(s)
	switch {
	case m.Kind == rpc.Request:
		h.request(w, r, s, m)
		return
	case m.Kind == rpc.Response:
		s.answered(m.Message)
	case m.Method == mcp.MethodNotificationCancelled:
		s.cancel(m.Cancels)
	default:
		h.ask(r.Context(), m)
	}
	w.WriteHeader(http.StatusAccepted)
}

// receive reads the message that is the body of r, or answers why it cannot.
func receive(w http.ResponseWriter, r *http.Request) (m message, ok bool) {
	switch {
	case !isJSON(r.Header.Get("Content-Type")):
		refuse(w, http.StatusUnsupportedMediaType, "the Content-Type must be application/json")
		return m, false
	case r.Header.Get("Content-Encoding") != "":
		refuse(w, http.StatusUnsupportedMediaType, "the body must not be compressed")
		return m, false
	}
	raw, err := readWhole(w, r)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		refuse(w, http.StatusRequestEntityTooLarge, "a message may have at most %d MiB", maxMessage>>20)
		return m, false
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body could not be read")
		return m, false
	}
	parsed, wrong := rpc.Parse(raw)
	if wrong != nil {
		reject(w, http.StatusBadRequest, parsed.ID, wrong)
		return m, false
	}
	return message{Message: parsed}, true
}

// readWhole reads the body into room of its size: growing into it would take five times as much.
func readWhole(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), maxMessage)) + bytes.MinRead)
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, maxMessage))
	return b.Bytes(), err
}

// sessionOf returns the session of a message of the older revisions, for a use that leave ends, or answers that there is
// none. A client that initializes gets a new one; one that sends no id is served without.
func (h *streamable) sessionOf(w http.ResponseWriter, r *http.Request, who models.Principal, m message) *session {
	switch {
	case m.Kind == rpc.Request && m.Method == mcp.MethodInitialize:
		id := rand.Text()
		w.Header().Set(mcp.HeaderSessionID, id)
		return h.sessions.enter(who, id)
	case r.Header.Get(mcp.HeaderSessionID) == "":
		return newSession(who, "")
	}
	return h.enter(w, r, who)
}

// request answers m. It ends early when the client goes away.
func (h *streamable) request(w http.ResponseWriter, r *http.Request, s *session, m message) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := respond(w, r, cancel)
	defer out.end()
	h.serve(s.begin(ctx, m), out)
}

// postModern takes a message of 2026-07-28, where each stands alone. What a client says in its head must be what it says
// in the message: proxies decide by the head.
func (h *streamable) postModern(w http.ResponseWriter, r *http.Request, who models.Principal, m message) {
	if m.Kind == rpc.Notification && m.Method == mcp.MethodNotificationCancelled {
		w.WriteHeader(http.StatusAccepted) // whose it is cannot be known; a client cancels by going away
		return
	}
	if m.Kind == rpc.Response {
		reject(w, http.StatusBadRequest, m.ID, rpc.Errorf(mcp.INVALID_REQUEST,
			"a client has nothing to answer since %s: retry the request with inputResponses", mcp.ProtocolVersion20260728))
		return
	}
	if !mcp.IsValidProtocolVersion(m.Version) && m.Version == r.Header.Get(mcp.HeaderProtocolVersion) {
		answer := mcp.UnsupportedProtocolVersionError{Version: m.Version, Supported: mcp.ValidProtocolVersions}.JSONRPCError()
		answer.ID = rpc.ID(m.ID)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(statusOf(answer.Error.Code))
		_ = json.NewEncoder(w).Encode(answer) // a client that is gone needs none
		return
	}
	if wrong := checkHead(r.Header, m); wrong != nil {
		reject(w, statusOf(wrong.Code), m.ID, wrong)
		return
	}
	if m.Kind == rpc.Notification {
		h.ask(r.Context(), m)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if m.listens() && !takesStream(r) {
		reject(w, http.StatusNotAcceptable, m.ID, rpc.Errorf(codeRefused, "%s opens a stream of events: Accept must have text/event-stream", m.Method))
		return
	}
	h.request(w, r, newSession(who, ""), m)
}

// checkHead compares what a request of 2026-07-28 says in its head with what it says in the message.
func checkHead(head http.Header, m message) *rpc.Error {
	version := head.Get(mcp.HeaderProtocolVersion)
	switch {
	case m.Version == "":
		return rpc.Errorf(mcp.INVALID_PARAMS, "params._meta must have %s", mcp.MetaKeyProtocolVersion)
	case version != m.Version:
		return rpc.Errorf(mcp.HEADER_MISMATCH, "the header %s is %q, and the message has %q", mcp.HeaderProtocolVersion, version, m.Version)
	case head.Get(mcp.HeaderLastEventID) != "":
		return rpc.Errorf(mcp.HEADER_MISMATCH, "streams cannot be resumed since %s: send the request again", mcp.ProtocolVersion20260728)
	case m.Kind == rpc.Notification:
		return nil
	}
	params, err := json.Marshal(map[string]string{"name": m.Name, "uri": m.URI})
	if err == nil {
		err = mcp.ValidateStandardHeaders(head.Get, m.Version, m.Method, params)
	}
	if err != nil {
		return rpc.Errorf(mcp.HEADER_MISMATCH, "%v", err)
	}
	return nil
}

// statusOf is the HTTP status of an error since 2026-07-28.
func statusOf(code int) int {
	switch code {
	case mcp.METHOD_NOT_FOUND:
		return http.StatusNotFound
	case mcp.PARSE_ERROR, mcp.INVALID_REQUEST, mcp.INVALID_PARAMS, mcp.HEADER_MISMATCH,
		mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, mcp.UNSUPPORTED_PROTOCOL_VERSION:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

const (
	largeMessage = 64 << 10         // from here on a message counts
	largeFor     = 30 * time.Second // at most: who waits after that has let go of most of it
	largeAgain   = 2 * time.Second
)

// large bounds the bytes of large messages that are being read and served at once on a door of HTTP: each becomes some
// copies of itself on its way to the store.
type large struct {
	most int64 // set before use

	mu    sync.Mutex
	bytes int64
}

// admit counts the message of r until done, or answers that there is no room for it now.
func (l *large) admit(w http.ResponseWriter, r *http.Request) (done func(), ok bool) {
	done, err := l.take(r.ContentLength)
	if err != nil {
		w.Header().Set("Retry-After", strconv.FormatInt(models.RetryAfter(err), 10))
		refuse(w, http.StatusTooManyRequests, "%s", models.Text(err))
	}
	return done, err == nil
}

// take counts a message of n bytes until done, which may be called again, in vain. There is always room for one.
func (l *large) take(n int64) (done func(), err error) {
	if n <= largeMessage {
		return func() {}, nil
	}
	n = min(n, maxMessage)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes > 0 && l.bytes+n > cmp.Or(l.most, maxMessage) {
		return nil, models.After(models.Errorf(models.RateLimited,
			"%d MiB of large messages are being served, and the hub takes no more at once: try again in a moment", l.bytes>>20), largeAgain)
	}
	l.bytes += n
	give := sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.bytes -= n
	})
	timer := time.AfterFunc(largeFor, give)
	return func() {
		timer.Stop()
		give()
	}, nil
}
