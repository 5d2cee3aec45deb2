package hub

import "crosstalk/models"

// Entry is one message as it is delivered: encoded once, shared by all its readers, never changed.
type Entry struct {
	models.Message
	Event []byte // {"type":"message","message":Message}
}

const (
	eventHead = `{"type":"message","message":`
	eventTail = `}`
)

func newEntry(m models.Message) *Entry {
	event := make([]byte, 0, 320+len(m.Content)+len(m.Content)/16)
	event = m.AppendJSON(append(event, eventHead...))
	return &Entry{Message: m, Event: append(event, eventTail...)}
}

// JSON is the Message inside Event.
func (e *Entry) JSON() []byte { return e.Event[len(eventHead) : len(e.Event)-len(eventTail)] }
