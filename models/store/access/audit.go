package access

import (
	"context"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
)

// Action is what somebody did.
type Action string

// The actions that are kept.
const (
	Registered   Action = "register"
	Released     Action = "release"
	Paused       Action = "pause"
	Resumed      Action = "resume"
	Retained     Action = "retention"
	DataDeleted  Action = "delete_data"
	KeyCreated   Action = "create_key"
	KeyRotated   Action = "rotate_key"
	KeyRevoked   Action = "revoke_key"
	KeyDeleted   Action = "delete_key"
	InviteMade   Action = "create_invite"
	InviteEnded  Action = "revoke_invite"
	AppAllowed   Action = "connect_app"    // a key's or an invite's holder let an app in
	AppEnded     Action = "disconnect_app" // by itself, or because what it holds was shown twice
	SignedIn     Action = "sign_in"
	SignedOut    Action = "sign_out"
	NewAddress   Action = "new_address"   // a credential was shown from there for the first time
	FailedLogins Action = "failed_logins" // so many wrong keys from an address
)

// auditKept is how long it is known who did what.
const auditKept = 365 * 24 * time.Hour

// Event is one thing that somebody did.
type Event struct {
	ID        int64       `json:"id"`
	At        models.Time `json:"at"`
	Principal string      `json:"principal"`
	Person    string      `json:"person"`
	Address   string      `json:"address"`
	Action    Action      `json:"action"`
	Subject   string      `json:"subject"`
	Count     int64       `json:"count"`
}

// TableName is that of all events.
func (Event) TableName() string { return "audit" }

// EventOf is what who did to something, now.
func EventOf(who models.Principal, did Action, subject string) Event {
	return Event{At: models.TimeOf(time.Now()), Principal: who.Name, Person: who.Person, Address: who.Address, Action: did, Subject: subject, Count: 1}
}

// Note keeps events, and lets go of those that are a year old. An address that its principal has been seen at before
// is not new. A store that cannot write has said so itself; what was done is done all the same.
func (t *Table) Note(ctx context.Context, events ...Event) {
	if len(events) == 0 {
		return
	}
	_ = t.store.Transact(ctx, func(tx *gorm.DB) error {
		old := models.TimeOf(time.Now().Add(-auditKept))
		if err := tx.Exec("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? LIMIT 100)", old).Error; err != nil {
			return err
		}
		for _, e := range events {
			e.ID = 0
			if e.Action == NewAddress {
				var known int64
				err := tx.Model(&Event{}).Where("action = 'new_address' AND principal = ? AND address = ?", e.Principal, e.Address).Count(&known).Error
				if err != nil {
					return err
				}
				if known > 0 {
					continue
				}
			}
			if err := tx.Create(&e).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// Audit lists the events since a time that come after an id, the oldest first; without an id the newest of them.
func (t *Table) Audit(ctx context.Context, since models.Time, after *int64, limit int) ([]Event, error) {
	list := []Event{}
	err := t.store.Read(ctx, func(tx *gorm.DB) error {
		tx = tx.Where("at >= ?", since).Limit(limit)
		if after != nil {
			return tx.Where("id > ?", *after).Order("id").Find(&list).Error
		}
		newest := tx.Model(&Event{}).Order("id DESC")
		if err := newest.Find(&list).Error; err != nil {
			return err
		}
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
		return nil
	})
	return list, err
}
