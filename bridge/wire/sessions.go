package wire

import (
	"container/list"
	"sync"
	"time"

	"crosstalk/models"
	"crosstalk/models/meter"
)

const (
	idleTime    = 24 * time.Hour // after which a session is forgotten that nobody uses
	maxSessions = 10_000         // beyond, those are forgotten that were idle longest
)

// sessions are the MCP sessions on HTTP. Ids of one principal mean nothing to another. An id that is not known, because it
// was forgotten or comes from before a restart, is a session like any other; only one that its client has deleted is not.
type sessions struct {
	// Set before use, then constant.
	left  func(conn string, who models.Principal) // told of sessions that are over
	meter *meter.Door                             // nil: nobody looks at what is counted

	mu sync.Mutex
	// Guarded by mu.
	used    map[string]*use
	idle    *list.List // of *use by nobody, those that were idle longest first
	deleted map[string]*list.Element
	graves  *list.List // of the names in deleted, oldest first
}

// use is a session and how much it is used.
type use struct {
	session *session
	by      int           // requests and streams
	since   time.Time     // when it became idle
	place   *list.Element // in idle, or nil
}

func newSessions(left func(conn string, who models.Principal)) *sessions {
	return &sessions{
		left: left, used: map[string]*use{}, idle: list.New(), deleted: map[string]*list.Element{}, graves: list.New(),
	}
}

// connOf names a session to the bridge. It is another one for who comes again under the same name with other rights.
func connOf(who models.Principal, id string) string {
	const apart = "\n" // in no name and no id
	return who.Name + apart + string(who.Scope) + apart + string(who.Channels) + apart + id
}

// enter returns the session with that id for a use that leave ends, or nil if it was deleted.
func (t *sessions) enter(who models.Principal, id string) *session {
	conn := connOf(who, id)
	t.mu.Lock()
	if t.deleted[conn] != nil {
		t.mu.Unlock()
		return nil
	}
	u := t.used[conn]
	if u == nil {
		u = &use{session: newSession(who, conn)}
		t.used[conn] = u
	} else if u.place != nil {
		t.idle.Remove(u.place)
		u.place = nil
	}
	u.by++
	over := t.expire()
	t.count()
	t.mu.Unlock()
	t.bury(over)
	return u.session
}

// leave ends a use.
func (t *sessions) leave(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.used[s.conn]
	if u == nil || u.session != s { // deleted meanwhile
		return
	}
	if u.by--; u.by == 0 {
		u.since = time.Now()
		u.place = t.idle.PushBack(u)
	}
}

// expire forgets sessions that were idle too long, and those that are too many. Its caller holds mu.
func (t *sessions) expire() (over []*session) {
	now := time.Now()
	for e := t.idle.Front(); e != nil; e = t.idle.Front() {
		u := e.Value.(*use)
		if now.Sub(u.since) < idleTime && len(t.used) <= maxSessions {
			break
		}
		t.idle.Remove(e)
		delete(t.used, u.session.conn)
		over = append(over, u.session)
	}
	return over
}

// remove deletes the session with that id and ends what runs in it.
func (t *sessions) remove(who models.Principal, id string) {
	conn := connOf(who, id)
	t.mu.Lock()
	u := t.used[conn]
	delete(t.used, conn)
	t.count()
	if u != nil && u.place != nil {
		t.idle.Remove(u.place)
	}
	if t.deleted[conn] == nil {
		t.deleted[conn] = t.graves.PushBack(conn)
	}
	if t.graves.Len() > maxSessions {
		delete(t.deleted, t.graves.Remove(t.graves.Front()).(string))
	}
	t.mu.Unlock()
	if u != nil {
		t.bury([]*session{u.session})
	}
}

// count notes how many there are. Its caller holds mu.
func (t *sessions) count() {
	if t.meter != nil {
		t.meter.Sessions.Store(int64(len(t.used)))
	}
}

// bury ends what runs in sessions that are over, and tells of them.
func (t *sessions) bury(over []*session) {
	for _, s := range over {
		s.kill()
		t.left(s.conn, s.who)
	}
}
