package models

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
