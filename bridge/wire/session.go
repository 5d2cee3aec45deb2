package wire

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"crosstalk/bridge/wire/rpc"
	"crosstalk/models"
)

// errCancelled is why the request of a client ends that gave it up.
var errCancelled = errors.New("the client cancelled the request")

// session is what requests over one connection have in common: an MCP session, a stdio process, an old SSE stream. A
// request that stands alone has one for itself.
type session struct {
	// Set by newSession, then constant.
	who  models.Principal
	conn string // names the connection; empty for a request that stands alone

	landing sync.RWMutex // held for reading from before an answer is written until the bridge knows

	mu sync.Mutex
	// Guarded by mu.
	flights map[string]*flight     // of the client's requests, by id
	asked   map[int64]chan<- reply // of our requests to the client, by id
	lastAsk int64
	client  mcp.Implementation
	can     mcp.ClientCapabilities
	level   mcp.LoggingLevel
	hangUp  context.CancelFunc // ends the open stream; nil without one
	killed  bool
}

func newSession(who models.Principal, conn string) *session {
	return &session{
		who: who, conn: conn, level: mcp.LoggingLevelError,
		flights: map[string]*flight{}, asked: map[int64]chan<- reply{},
	}
}

// settle returns when the bridge knows what became of the answers that were being written.
func (s *session) settle() {
	s.landing.Lock()
	//lint:ignore SA2001 to have had the lock is all that is wanted
	s.landing.Unlock()
}

// flight is one request that is being served.
type flight struct {
	// Set by begin, then constant.
	session *session
	message message
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

// begin takes note of a request, so that it can be cancelled.
func (s *session) begin(ctx context.Context, m message) *flight {
	f := &flight{session: s, message: m}
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flights[string(m.ID)] = f
	if s.killed {
		f.cancel(errCancelled)
	}
	return f
}

// land runs write when it is too late to cancel the request, and holds up the next over the same connection meanwhile.
func (f *flight) land(write func()) {
	f.forget()
	f.session.landing.RLock()
	defer f.session.landing.RUnlock()
	write()
}

func (f *flight) forget() {
	f.session.mu.Lock()
	defer f.session.mu.Unlock()
	if id := string(f.message.ID); f.session.flights[id] == f { // else the client used the id again
		delete(f.session.flights, id)
	}
}

func (f *flight) end() {
	f.forget()
	f.cancel(nil)
}

// cancel ends the request with that id, if it is being served.
func (s *session) cancel(id json.RawMessage) {
	s.mu.Lock()
	f := s.flights[string(id)]
	s.mu.Unlock()
	if f != nil {
		f.cancel(errCancelled)
	}
}

// kill ends all that is under way, or still begins.
func (s *session) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = true
	for _, f := range s.flights {
		f.cancel(errCancelled)
	}
	if s.hangUp != nil {
		s.hangUp()
	}
}

// tune makes hangUp end the stream that is now the session's; a stream that was before ends.
func (s *session) tune(hangUp context.CancelFunc) {
	s.mu.Lock()
	before, killed := s.hangUp, s.killed
	s.hangUp = hangUp
	s.mu.Unlock()
	if before != nil {
		before()
	}
	if killed {
		hangUp()
	}
}

// reply is what a client answers to a request of ours.
type reply struct {
	result json.RawMessage
	err    json.RawMessage
}

// question takes note of a request to the client: its answer comes by the channel.
func (s *session) question() (id int64, answer <-chan reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastAsk++
	ch := make(chan reply, 1)
	s.asked[s.lastAsk] = ch
	return s.lastAsk, ch
}

func (s *session) unquestion(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, id)
}

// answered takes the client's answer to where it is waited for. What nobody waits for is dropped.
func (s *session) answered(m rpc.Message) {
	var id int64
	if json.Unmarshal(m.ID, &id) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.asked[id]; ch != nil {
		delete(s.asked, id)
		ch <- reply{result: m.Result, err: m.Error}
	}
}
