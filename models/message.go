package models

// MessageType says what a sender means with a message.
type MessageType string

// The types of the contract.
const (
	TypeMessage  MessageType = "message"
	TypeRequest  MessageType = "request"
	TypeResponse MessageType = "response"
	TypeStatus   MessageType = "status"
	TypeHandoff  MessageType = "handoff"
	TypeDone     MessageType = "done"
)

// Kind says whether an agent or a person speaks.
type Kind string

// A sender is an agent unless a person signed in.
const (
	KindAgent Kind = "agent"
	KindHuman Kind = "human"
)

// Message is one entry of the log. Its ID counts over the whole bus in commit order, Seq within its channel.
type Message struct {
	ID         int64       `json:"id" gorm:"primaryKey;autoIncrement:false"`
	Seq        int64       `json:"seq"`
	Channel    string      `json:"channel"`
	Sender     string      `json:"sender"`
	Kind       Kind        `json:"kind"`
	Verified   bool        `json:"verified"`
	Content    string      `json:"content"`
	Type       MessageType `json:"message_type" gorm:"column:message_type"`
	InReplyTo  *int64      `json:"in_reply_to"`
	ReplyCount int64       `json:"reply_count"`
	CreatedAt  Time        `json:"created_at" gorm:"autoCreateTime:false"`

	// Truncated and ContentBytes are set on a message that came cut to fit an answer.
	Truncated    bool `json:"truncated,omitempty" gorm:"-"`
	ContentBytes int  `json:"content_bytes,omitempty" gorm:"-"`
}

// Draft is a message before it is stored: what its sender chose. ParseDraft makes a valid one.
type Draft struct {
	Channel        string
	Sender         string
	Kind           Kind
	Content        string
	Type           MessageType
	InReplyTo      int64 // 0: none
	IdempotencyKey string
}

// ParseDraft checks and normalises what a client sent. Absent channel and type get their defaults.
func ParseDraft(d Draft) (Draft, error) {
	var err error
	if d.Channel == "" {
		d.Channel = General
	}
	if d.Channel, err = ParseChannel(d.Channel); err != nil {
		return Draft{}, err
	}
	if d.Sender, err = ParseInstance("sender", d.Sender); err != nil {
		return Draft{}, err
	}
	if d.Type, err = ParseType(d.Type); err != nil {
		return Draft{}, err
	}
	if err := checkText("content", d.Content, 1, MaxContent); err != nil {
		return Draft{}, err
	}
	if d.IdempotencyKey != "" {
		if err := checkName("idempotency_key", d.IdempotencyKey); err != nil {
			return Draft{}, err
		}
	}
	if d.InReplyTo < 0 {
		return Draft{}, Errorf(Invalid, "in_reply_to must be the id of a message, not %d", d.InReplyTo)
	}
	if d.Kind == "" {
		d.Kind = KindAgent
	}
	return d, nil
}

// ParseType returns t, or the default for none.
func ParseType(t MessageType) (MessageType, error) {
	switch t {
	case "":
		return TypeMessage, nil
	case TypeMessage, TypeRequest, TypeResponse, TypeStatus, TypeHandoff, TypeDone:
		return t, nil
	}
	return "", Errorf(Invalid, "message_type must be one of message, request, response, status, handoff, done")
}

// Receipt is what the sender of a message learns once it is stored.
type Receipt struct {
	ID        int64
	Seq       int64
	Channel   string
	Type      MessageType
	Duplicate bool   // an earlier send with the same idempotency key stored it
	Notice    string // what the sender should know besides; empty for nothing
}

// Query asks for a page of one channel. See Page.
type Query struct {
	Channel  string
	After    *int64 // the oldest after it; nil: the newest
	Before   *int64 // the newest before it
	Instance string // with After: hides its own messages
	Limit    int    // 0: the default
	MaxBytes int    // of the encoded answer; 0: no bound
}

// Page is a piece of a channel, oldest first.
type Page struct {
	Messages    []Message `json:"messages"`
	LastID      *int64    `json:"last_id"`       // of the last message here
	NextAfterID int64     `json:"next_after_id"` // what to pass next, also after an empty page
	More        bool      `json:"more"`          // more remain in the direction of reading
	Recovered   bool      `json:"recovered"`     // nothing after After is missing
	BusID       string    `json:"bus_id"`
}

// Thread is a message and the replies to it, oldest first.
type Thread struct {
	Parent  Message   `json:"parent"`
	Replies []Message `json:"replies"`
}

// Search asks for messages by words or a piece of text, newest first.
type Search struct {
	Text    string
	Limit   int      // 0: 10
	Channel string   // only there, if not empty
	Sender  string   // only by this instance, if not empty
	Only    Patterns // only in these, if Channel is empty
}
