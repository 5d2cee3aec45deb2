package hub

import (
	"context"
	"log/slog"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
)

type Hub struct{}

// Bell tells other processes on the same store that the log moved, and hears them.
type Bell interface {
	Ring()                 // never blocks
	Rung() <-chan struct{} // size 1
}

type Options struct {
	Bell Bell // nil: this process is alone
	Log  *slog.Logger
}

func New(st *store.Store, o Options) (*Hub, error)     { panic("soon") }
func (h *Hub) Run(ctx context.Context) error           { panic("soon") } // owns the hub's goroutines; returns when ctx has ended and they have
func (h *Hub) BusID() string                           { panic("soon") }
func (h *Hub) Head(ctx context.Context) (int64, error) { panic("soon") } // id of the newest message, read from the store
func (h *Hub) Ready(ctx context.Context) error         { panic("soon") } // nil when messages can be stored and delivered; the text names the part that is not ready

// All of these expect parsed arguments (models.Parse...): doors parse once.
func (h *Hub) Publish(ctx context.Context, who models.Principal, d models.Draft) (models.Receipt, error) {
	panic("soon")
}

// Messages reads a page; with wait > 0 (needs q.After) an empty page waits for the first message until then.
func (h *Hub) Messages(ctx context.Context, who models.Principal, q models.Query, wait time.Duration) (models.Page, error) {
	panic("soon")
}
func (h *Hub) Message(ctx context.Context, who models.Principal, channel string, id int64) (models.Message, error) {
	panic("soon")
}
func (h *Hub) Replies(ctx context.Context, who models.Principal, channel string, id int64, limit int) (models.Thread, error) {
	panic("soon")
}
func (h *Hub) Search(ctx context.Context, who models.Principal, q models.Search) ([]models.Message, error) {
	panic("soon")
}

func (h *Hub) CreateChannel(ctx context.Context, who models.Principal, name, description string) error {
	panic("soon")
} // name and description parsed
func (h *Hub) Channels(ctx context.Context, who models.Principal, limit int, instance string) ([]models.Channel, error) {
	panic("soon")
}
func (h *Hub) FindChannels(ctx context.Context, who models.Principal, text string, limit int) ([]models.Channel, error) {
	panic("soon")
}

func (h *Hub) Register(ctx context.Context, who models.Principal, r models.Registration) error {
	panic("soon")
}
func (h *Hub) Instances(ctx context.Context, who models.Principal, status models.Status, limit int) ([]models.Instance, error) {
	panic("soon")
}
func (h *Hub) Seen(who models.Principal, instance string) { panic("soon") } // that instance just called; in memory, flushed in batches

// Hold registers instance and ties it to the live connection who.Session until Release: it is online while held, and what
// it says over that connection is verified. held is false when another live connection holds the name (the caller may go on without).
func (h *Hub) Hold(ctx context.Context, who models.Principal, instance string) (held bool, err error) {
	panic("soon")
}
func (h *Hub) Release(who models.Principal, instance string) { panic("soon") }

// Watch calls fn on every change of presence, from one goroutine; fn must not block. stop ends it.
func (h *Hub) Watch(fn func(instance string, s models.Status)) (stop func()) { panic("soon") }

func (h *Hub) ShareData(ctx context.Context, who models.Principal, d models.DataDraft) (models.SharedData, error) {
	panic("soon")
} // without Content
func (h *Hub) Data(ctx context.Context, who models.Principal, key string) (models.SharedData, error) {
	panic("soon")
}
func (h *Hub) ListData(ctx context.Context, who models.Principal, limit int) ([]models.SharedData, error) {
	panic("soon")
}                                                                                     // without Content
func (h *Hub) DeleteData(ctx context.Context, who models.Principal, key string) error { panic("soon") }

// Entry is one message as it is delivered: encoded once, shared by all its readers, never changed.
type Entry struct {
	models.Message
	Event []byte // {"type":"message","message":Message}
}

// JSON is the Message inside Event.
func (e *Entry) JSON() []byte { panic("soon") }

type Subscription struct {
	Channels []string // parsed names, or models.Every alone
	After    *int64   // nil: from now on
	Hide     string   // an instance whose own messages are passed over
	Wake     func()   // called when there may be more; must not block or call the Subscriber. nil: use Next
}

// Subscribe opens one stream, in id order, over all the channels named.
func (h *Hub) Subscribe(ctx context.Context, who models.Principal, s Subscription) (*Subscriber, error) {
	panic("soon")
}

// Subscriber is a cursor. Its methods but Close are for one goroutine at a time.
type Subscriber struct{}

func (s *Subscriber) Head() int64                   { panic("soon") } // of the bus when it subscribed
func (s *Subscriber) Recovered(channel string) bool { panic("soon") } // false: retention took messages after After, or After was past the head
func (s *Subscriber) Position() int64               { panic("soon") } // all up to this id has been returned or was hidden
// Ready appends what is in memory to dst, about maxBytes of it. behind: the rest must be Read from the log.
func (s *Subscriber) Ready(dst []*Entry, maxBytes int) (out []*Entry, behind bool) { panic("soon") }

// Read is Ready, but goes to the log where memory has it no more. Empty: all was read.
func (s *Subscriber) Read(ctx context.Context, dst []*Entry, maxBytes int) ([]*Entry, error) {
	panic("soon")
}

// Next is Read that waits for at least one (only without Wake); the context's error when it ends first.
func (s *Subscriber) Next(ctx context.Context, dst []*Entry, maxBytes int) ([]*Entry, error) {
	panic("soon")
}
func (s *Subscriber) Close() { panic("soon") }
