package ws

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/coder/websocket"

	"crosstalk/auth"
	"crosstalk/internal/socket"
	"crosstalk/models"
)

const (
	subprotocol     = "crosstalk.v1"
	maxMessage      = 1 << 20 // bytes of one message from a client
	connectChannels = 100     // named at connect
)

// ServeHTTP makes a WebSocket of the request. All that can be refused is refused before the upgrade, with a status, but
// for a browser's sake: its scripts cannot read that status, so a client that offers crosstalk.v1 and may not come in
// gets its WebSocket and reads 4400, 4401, 4403 or 4429.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		err := models.Errorf(models.Unavailable, "the hub is restarting: come back in a moment")
		s.meter.Reject(err)
		refuse(w, err)
		return
	}
	started := false
	defer func() {
		if !started {
			s.work.Done()
		}
	}()
	who, err := s.gate.Check(auth.FromHTTP(r))
	if err == nil && !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		answer(w, http.StatusUpgradeRequired, models.Errorf(models.Invalid, "this address speaks WebSocket only"))
		return
	}
	c := s.newConn(who)
	if err == nil {
		if c.depart, err = s.gate.Connect(who); err == nil {
			err = c.prepare(r)
		}
	}
	code, told := closeCodes(err)
	if err != nil {
		s.meter.Reject(err)
		c.release()
		if !told || !offers(r) {
			if models.CodeOf(err) == models.Internal && r.Context().Err() == nil {
				s.log.Error("websocket not accepted", "error", err)
			}
			refuse(w, err)
			return
		}
		c = s.newConn(who) // without what was to begin the conversation
	}
	if err := c.accept(w, r); err != nil {
		s.log.Debug("websocket not accepted", "error", err)
		c.release()
		return
	}
	if told {
		c.close(code, models.Text(err))
	} else {
		c.unfollow = s.gate.Follow(who, func() { c.close(closeUnauthenticated, models.Text(auth.ErrEnded)) })
	}
	started = true
	c.start()
}

// closeCodes returns the close code that tells err to a client after the upgrade; told is false where there is none.
func closeCodes(err error) (code int, told bool) {
	switch models.CodeOf(err) {
	case models.Invalid, models.TooLarge:
		return closeRefused, true
	case models.Unauthenticated:
		return closeUnauthenticated, true
	case models.Forbidden:
		return closeForbidden, true
	case models.RateLimited:
		return closeRateLimited, true
	}
	return 0, false
}

// offers tells whether the client knows our subprotocol, as browsers must that want to send a key.
func offers(r *http.Request) bool {
	for _, field := range r.Header["Sec-Websocket-Protocol"] {
		for offer := range strings.SplitSeq(field, ",") {
			if strings.EqualFold(strings.TrimSpace(offer), subprotocol) {
				return true
			}
		}
	}
	return false
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch models.CodeOf(err) {
	case models.Invalid:
		status = http.StatusBadRequest
	case models.TooLarge:
		status = http.StatusRequestEntityTooLarge
	case models.Unauthenticated:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer")
	case models.Forbidden:
		status = http.StatusForbidden
	case models.RateLimited:
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.FormatInt(models.RetryAfter(err), 10))
	case models.Unavailable:
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.FormatInt(models.RetryAfter(err), 10))
	}
	answer(w, status, err)
}

func answer(w http.ResponseWriter, status int, err error) {
	body, jerr := json.Marshal(map[string]string{"error": models.Text(err), "code": string(models.CodeOf(err))})
	if jerr != nil { // two strings have no way to fail
		panic(jerr)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // who does not read it has gone
}

// prepare does what the query asks for, and writes down the frames that begin the conversation. All of it happens in
// the goroutine of the HTTP request, whose grown stack goes with it.
func (c *conn) prepare(r *http.Request) error {
	q := r.URL.Query()
	after, err := models.ParseInt("after_id", q.Get("after_id"))
	if err != nil {
		return err
	}
	channels, err := parseChannels(q["channels"])
	if err != nil {
		return err
	}
	if instance := q.Get("instance_id"); strings.TrimSpace(instance) != "" {
		if c.instance, err = models.ParseInstance("instance_id", strings.Clone(instance)); err != nil {
			return err
		}
	}
	c.who.Session = rand.Text()
	var st *stream
	if len(channels) > 0 {
		if st, err = c.open(r.Context(), channels, after, c.instance); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		c.srv.countResume(st, after)
	}
	if c.instance != "" { // after that: who is seen online hears what is said
		if c.held, err = c.srv.hub.Hold(r.Context(), c.who, c.instance); err != nil {
			if st != nil {
				st.sub.Close()
			}
			return fmt.Errorf("hold %q: %w", c.instance, err)
		}
	}
	c.send(appendWelcome(nil, c.srv.version, c.srv.hub.BusID()))
	if st != nil {
		c.attach(st, nil)
	}
	if q.Get("presence") == "1" {
		c.watch()
	}
	return nil
}

// parseChannels reads the names that a client subscribes to at connect; * among them means all.
func parseChannels(lists []string) ([]string, error) {
	var names []string
	for _, list := range lists {
		for part := range strings.SplitSeq(list, ",") {
			part = strings.TrimSpace(part)
			if part == "" {
				continue
			}
			if part == models.Every {
				return []string{models.Every}, nil
			}
			name, err := models.ParseChannel(part)
			if err != nil {
				return nil, err
			}
			if slices.Contains(names, name) {
				continue
			}
			if names = append(names, name); len(names) > connectChannels {
				return nil, models.Errorf(models.Invalid, "at most %d channels can be named at connect: name * for all, or subscribe to more afterwards", connectChannels)
			}
		}
	}
	return names, nil
}

func (c *conn) accept(w http.ResponseWriter, r *http.Request) (err error) {
	c.ws, err = websocket.Accept(&hijacker{ResponseWriter: w, c: c}, r, &websocket.AcceptOptions{
		Subprotocols:   []string{subprotocol},
		OriginPatterns: []string{"*"}, // the Gate has judged the origin
	})
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	c.ws.SetReadLimit(maxMessage)
	return nil
}

// hijacker gives the WebSocket library our connection in place of the one it would take from net/http, whose two
// buffers of 4 KB would stay for as long as the connection.
type hijacker struct {
	http.ResponseWriter
	c *conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	h.c.ahead = bytes.Clone(ahead)
	h.c.setConn(nc)
	// The library buffers no more than one control frame for writing, at most 127 bytes.
	l := (*link)(h.c)
	h.c.frames = bufio.NewReaderSize(l, 512)
	return l, bufio.NewReadWriter(h.c.frames, bufio.NewWriterSize(l, 160)), nil
}

// setConn looks behind wrappers for a socket that can be written to without waiting.
func (c *conn) setConn(nc net.Conn) {
	c.nc = nc
	c.socket, c.raw = socket.Below(nc)
}
