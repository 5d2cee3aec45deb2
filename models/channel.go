package models

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// General is the channel that always exists.
const General = "general"

// Every names all channels that the caller may read, in a subscription.
const Every = "*"

// Channel is a named room, with the counts that its messages keep as they are stored.
type Channel struct {
	Name          string `json:"name" gorm:"primaryKey"`
	Description   string `json:"description"`
	CreatedAt     Time   `json:"created_at" gorm:"autoCreateTime:false"`
	MessageCount  int64  `json:"message_count"`
	LastMessageAt *Time  `json:"last_message_at"`
	LastID        *int64 `json:"last_id"`
	ActiveSenders string `json:"active_senders"`
	PausedAt      *Time  `json:"paused_at,omitempty"` // set: it takes no messages
	PauseReason   string `json:"pause_reason,omitempty"`
	KeepDays      *int64 `json:"keep_days,omitempty"` // set: it keeps so many days, and KeepMessages messages, whatever the hub keeps; 0: any number
	KeepMessages  *int64 `json:"keep_messages,omitempty"`
	Unread        *int64 `json:"unread,omitempty" gorm:"-"`
}

// ParsePauseReason checks why a channel is paused; it may be empty.
func ParsePauseReason(s string) (string, error) {
	s = strings.TrimSpace(s)
	return s, checkText("reason", s, 0, MaxDescription)
}

// What may be kept, at least where it is not all, so that a slip does not empty a channel, and at most.
const (
	MaxKeepDays     = 36500 // a hundred years, and far below what a time.Duration can hold
	MinKeepMessages = 100
	MaxKeepMessages = 1_000_000_000_000
)

// Retention is what a channel keeps: messages of so many days, and so many messages; 0: any number. The zero value
// leaves both to the hub.
type Retention struct{ Days, Messages *int64 }

// ParseRetention checks what a channel is to keep. Where one is given the other one is 0.
func ParseRetention(days, messages *int64) (Retention, error) {
	if days == nil && messages == nil {
		return Retention{}, nil
	}
	none := int64(0)
	if days == nil {
		days = &none
	}
	if messages == nil {
		messages = &none
	}
	if *days < 0 || *days > MaxKeepDays {
		return Retention{}, Errorf(Invalid, "keep_days must be a number of days from 1 to %d, or 0 to keep messages of any age, not %d", MaxKeepDays, *days)
	}
	if *messages != 0 && (*messages < MinKeepMessages || *messages > MaxKeepMessages) {
		return Retention{}, Errorf(Invalid, "keep_messages must be a number from %d to %d, or 0 to keep any number, not %d", MinKeepMessages, MaxKeepMessages, *messages)
	}
	return Retention{Days: days, Messages: messages}, nil
}

// Activity is how much a sender stored in a channel, hour by hour, the oldest hour first.
type Activity struct {
	Sender string  `json:"sender"`
	Counts []int64 `json:"counts"`
}

// ParseChannel normalises a channel name: lower case, spaces and underscores to hyphens, anything
// else but a-z, 0-9 and hyphen dropped, hyphens collapsed and trimmed.
func ParseChannel(name string) (string, error) {
	const most = 4 * MaxChannel // before normalising
	if utf8.RuneCountInString(name) > most {
		return "", Errorf(Invalid, "channel name is longer than %d characters: choose a shorter one", MaxChannel)
	}
	if err := checkText("channel", name, 0, most); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case unicode.IsControl(r):
			return "", Errorf(Invalid, "channel must not contain control characters")
		case r == '-' || r == '_' || unicode.IsSpace(r):
			if s := b.String(); s != "" && s[len(s)-1] != '-' {
				b.WriteByte('-')
			}
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		}
	}
	s := strings.TrimSuffix(b.String(), "-")
	if s == "" {
		return "", Errorf(Invalid, "channel %q has no letter a-z or digit in it: choose another name", name)
	}
	if len(s) > MaxChannel {
		return "", Errorf(Invalid, "channel name is longer than %d characters: choose a shorter one", MaxChannel)
	}
	return s, nil
}
