package access

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
)

// SessionPrefix begins the token that stands for a person's session.
const SessionPrefix = "cts_"

// SessionLasts is how long a person stays signed in.
const SessionLasts = 30 * 24 * time.Hour

// Session is one browser in which a person signed in. Its token is not known.
type Session struct {
	Hash      string `gorm:"primaryKey"` // of the token
	Person    string
	KeyHash   string      // of the named key that was shown; empty for the shared one, or none
	Proof     string      // that the hub's shared key was shown
	CreatedAt models.Time `gorm:"autoCreateTime:false"`
	ExpiresAt models.Time
}

// NewSession makes a session's token.
func NewSession() (token string) { return SessionPrefix + rand.Text() }

// forgottenSessions bounds how many that have ended go with each one that begins.
const forgottenSessions = 100

// BeginSession stores a session that lasts from now on.
func (t *Table) BeginSession(ctx context.Context, s Session) (Session, error) {
	now := models.TimeOf(time.Now())
	s.CreatedAt, s.ExpiresAt = now, now+models.Time(SessionLasts.Milliseconds())
	return s, t.store.Transact(ctx, func(tx *gorm.DB) error {
		err := tx.Exec("DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE expires_at <= ? LIMIT ?)", now, forgottenSessions).Error
		if err != nil {
			return err
		}
		return tx.Create(&s).Error
	})
}

// FindSession returns the session whose token has a hash, if it lasts.
func (t *Table) FindSession(ctx context.Context, hash string) (Session, error) {
	var s Session
	err := t.store.Read(ctx, func(tx *gorm.DB) error {
		err := tx.Where("hash = ? AND expires_at > ?", hash, models.TimeOf(time.Now())).Take(&s).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return ErrSessionEnded
		}
		return err
	})
	return s, err
}

// ErrSessionEnded is what a browser is told whose session is no more.
var ErrSessionEnded = models.Errorf(models.Unauthenticated, "your session has ended: sign in again")

// EndSession forgets a session. One that is not there has ended already.
func (t *Table) EndSession(ctx context.Context, hash string) error {
	return t.change(ctx, func(tx *gorm.DB) (bool, error) {
		gone := tx.Where("hash = ?", hash).Delete(&Session{})
		return gone.RowsAffected > 0, gone.Error
	})
}
