package hub

import (
	"context"
	"time"

	"crosstalk/models"
)

// Ask is what an instance wants to read.
type Ask struct {
	Channel  string // or models.Every: all that the instance has used
	After    *int64 // where the instance says it stands; nil: where it is known to
	Instance string // may be empty for Check, which then reads the newest and moves nothing
	Limit    int
	Conn     string // the connection that the answer goes to; empty if every call stands alone
}

// Reading is what one call shows. It counts as shown once Shown was called, after the answer was written.
type Reading struct {
	Messages []models.Message // oldest first
	LastID   int64            // what to pass as After next
	Follow   int              // how many more wait after these, counted up to 1,000
	Old      bool             // nothing is unread: these were read before
	Gap      bool             // retention removed messages that were not read
}

func (r *Reading) ShownBefore(m *models.Message) bool { panic("soon") } // shown once, not known to have been read
func (r *Reading) Keep(n int)                         { panic("soon") } // the answer has room for the first n only; the rest is counted in Follow
func (r *Reading) Shown(ctx context.Context) error    { panic("soon") } // the answer was written to the client

// Check reads what an instance has not read.
func (h *Hub) Check(ctx context.Context, who models.Principal, ask Ask) (*Reading, error) {
	panic("soon")
}

// Outcome says why a wait ended.
type Outcome string

const (
	Came       Outcome = "came"       // Reading has messages
	Superseded Outcome = "superseded" // by a newer wait of the same instance
	Mutual     Outcome = "mutual"     // everybody here waits, and this instance is the one to speak
	Nothing    Outcome = "nothing"    // nothing came in time
	Draining   Outcome = "draining"   // the server is going away
)

// Wait reads what an instance has not read, or waits up to most for the first message from others. An ended ctx is an
// error and reads nothing away. Peer names another waiter when the outcome is Mutual.
func (h *Hub) Wait(ctx context.Context, who models.Principal, ask Ask, role models.Role, most time.Duration) (r *Reading, why Outcome, peer string, err error) {
	panic("soon")
}

// Acted notes that the instance acts again over conn: what was shown there is read. Check and Wait do so themselves;
// a send must be followed by it. It also notes that the instance uses the channel.
func (h *Hub) Acted(ctx context.Context, who models.Principal, instance, conn, channel string) error {
	panic("soon")
}

// LastUsed is the channel that the instance used last; empty if it is not known.
func (h *Hub) LastUsed(instance string) string { panic("soon") }

// Audience says whom a message to a channel reaches at once, instance itself not counted.
func (h *Hub) Audience(ctx context.Context, who models.Principal, channel, instance string) (models.Audience, error) {
	panic("soon")
}

// Waits lists the open waits on a channel, or with models.Every on all.
func (h *Hub) Waits(ctx context.Context, who models.Principal, channel string) ([]models.Waiting, error) {
	panic("soon")
}
