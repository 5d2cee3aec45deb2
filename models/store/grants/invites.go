package grants

import (
	"context"

	"gorm.io/gorm"

	"crosstalk/models"
	"crosstalk/models/store/access"
)

// Invite lets people without a key connect a client, a number of times.
type Invite struct {
	Name      string          `json:"name" gorm:"primaryKey"`
	Hash      string          `json:"-"`
	Scope     models.Scope    `json:"scope"`    // read or write
	Channels  models.Patterns `json:"channels"` // empty: all
	Uses      int             `json:"uses"`     // that are left
	CreatedAt models.Time     `json:"created_at" gorm:"autoCreateTime:false"`
	ExpiresAt models.Time     `json:"expires_at"` // for consenting; 0: never
}

// AddInvite keeps an invite under a name that must be free.
func (t *Table) AddInvite(ctx context.Context, i Invite) error {
	return t.store.Transact(ctx, func(tx *gorm.DB) error {
		done := tx.Exec(`INSERT INTO oauth_invites (name, hash, scope, channels, uses, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`,
			i.Name, i.Hash, i.Scope, i.Channels, i.Uses, i.CreatedAt, i.ExpiresAt)
		if done.Error == nil && done.RowsAffected == 0 {
			return models.Errorf(models.Conflict, "there is an invite %q: choose another name, or revoke that one", i.Name)
		}
		return done.Error
	})
}

// Invites lists all invites, the newest first.
func (t *Table) Invites(ctx context.Context) ([]Invite, error) {
	list := []Invite{}
	err := t.store.Read(ctx, func(tx *gorm.DB) error {
		return tx.Table(tableInvites).Order("created_at DESC, name").Find(&list).Error
	})
	return list, err
}

// Invite returns the invite whose code has this hash, used up or not: grants that came from it ask.
func (t *Table) Invite(ctx context.Context, hash string) (i Invite, err error) {
	err = t.store.Read(ctx, func(tx *gorm.DB) error {
		if err := tx.Table(tableInvites).Where("hash = ?", hash).Limit(1).Find(&i).Error; err != nil {
			return err
		}
		if i.Name == "" {
			return errUnknown()
		}
		return nil
	})
	return i, err
}

// Principal is whom those speak for whom the invite lets in.
func (i *Invite) Principal() models.Principal {
	return models.Principal{Name: "invite:" + i.Name, Scope: i.Scope, Channels: i.Channels}
}

// RevokeInvite removes an invite; the grants that came from it are void from then on, and their names free.
func (t *Table) RevokeInvite(ctx context.Context, name string) error {
	err := t.store.Transact(ctx, func(tx *gorm.DB) error {
		done := tx.Exec("DELETE FROM oauth_invites WHERE name = ?", name)
		if done.Error == nil && done.RowsAffected == 0 {
			return models.Errorf(models.NotFound, "there is no invite %q: list shows those there are", name)
		}
		return done.Error
	})
	if err != nil {
		return err
	}
	gone := Invite{Name: name}
	return access.New(t.store).ReleaseAll(ctx, gone.Principal().Name)
}

// takeInvite takes a use of the invite with this hash, if there is such an invite: keys have no uses.
func takeInvite(tx *gorm.DB, hash string, now models.Time) error {
	var n int64
	if err := tx.Table(tableInvites).Where("hash = ?", hash).Count(&n).Error; err != nil || n == 0 {
		return err
	}
	done := tx.Exec("UPDATE oauth_invites SET uses = uses - 1 WHERE hash = ? AND uses > 0 AND (expires_at = 0 OR expires_at > ?)", hash, now)
	if done.Error == nil && done.RowsAffected == 0 {
		return models.Errorf(models.Forbidden, "this invite code was used up or has expired: ask for another")
	}
	return done.Error
}
