package models

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Status says whether an instance can be reached now.
type Status string

// Online means a live connection, or seen in the last two minutes.
const (
	Online  Status = "online"
	Offline Status = "offline"
)

// Instance is one participant: an agent's session, a bot, a person.
type Instance struct {
	ID           string  `json:"instance_id" gorm:"primaryKey"`
	Description  string  `json:"description"`
	Model        string  `json:"model"`
	Kind         Kind    `json:"kind"`
	Status       Status  `json:"status" gorm:"-"`
	LastSeen     Time    `json:"last_seen"`
	LeftAt       Time    `json:"-"`                              // when it said that it goes
	HeldSince    *Time   `json:"held_since,omitempty" gorm:"->"` // a WebSocket or stdio process has the name
	SessionToken *string `json:"session_token" gorm:"-"`         // always null; predecessors' clients expect the field
}

// ParseInstance checks an instance id; field names it in the error. The id comes back without the
// blanks around it.
func ParseInstance(field, id string) (string, error) {
	id = strings.Trim(id, " ")
	if err := checkName(field, id); err != nil {
		return "", err
	}
	switch FoldInstance(id) {
	case "":
		return "", Errorf(Invalid, "%s has no character that can be seen: choose another name", field)
	case "system", "user", "human", "server", "crosstalk":
		return "", Errorf(Invalid, "%s %q is reserved: choose a name of your own, such as %q", field, id, id+"-1")
	}
	return id, nil
}

// FoldInstance returns the form in which two ids are equal that differ only by case, by Unicode
// compatibility form, or by characters that are not drawn. Case goes up and down again, because some
// letters have two small forms and one capital.
func FoldInstance(id string) string {
	if ascii(id) {
		return strings.ToLower(id)
	}
	return norm.NFKC.String(strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
			return -1
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}, norm.NFKC.String(id)))
}

// Registration is what an instance says of itself.
type Registration struct {
	ID          string
	Description string
	Model       string
	Kind        Kind
}

// ParseRegistration checks a registration.
func ParseRegistration(r Registration) (Registration, error) {
	var err error
	if r.ID, err = ParseInstance("instance_id", r.ID); err != nil {
		return Registration{}, err
	}
	if err := checkText("description", r.Description, 0, MaxDescription); err != nil {
		return Registration{}, err
	}
	if err := checkText("model", r.Model, 0, MaxName); err != nil {
		return Registration{}, err
	}
	if r.Kind == "" {
		r.Kind = KindAgent
	}
	return r, nil
}

// Role says whether an instance that waits means to answer others that wait, or stands by.
type Role string

// The roles of a wait. Parked waiters never count as a deadlock.
const (
	RoleActive Role = "active"
	RoleParked Role = "parked"
)

// ParseRole returns r, or the default for none.
func ParseRole(r Role) (Role, error) {
	switch r {
	case "":
		return RoleActive, nil
	case RoleActive, RoleParked:
		return r, nil
	}
	return "", Errorf(Invalid, "role must be active or parked")
}

// Waiting is one open wait.
type Waiting struct {
	Channel  string `json:"channel"` // or *
	Instance string `json:"instance_id" gorm:"column:instance"`
	Role     Role   `json:"role"`
	Since    Time   `json:"since"`
}

// Audience says whom a message to a channel reaches at once.
type Audience struct {
	Open    int      // streams that have it open, of which waits are some
	Waiting []string // instances that wait on it
}
