package grants

import (
	"context"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

// Table is the part of a store that says what was granted. Its methods may be called from any goroutine.
type Table struct{ store *store.Store }

// New returns the table in a store.
func New(s *store.Store) *Table { return &Table{store: s} }

// Grant is what one person allowed one client.
type Grant struct {
	ID         string      `json:"id" gorm:"primaryKey"`
	Principal  string      `json:"principal"`
	KeyHash    string      `json:"-"` // of the key or invite code that allowed it, and without which it is void
	Client     string      `json:"client_id"`
	ClientName string      `json:"client_name"`
	Scope      string      `json:"scope"`
	Resource   string      `json:"resource"` // the one address at which its tokens are good
	Redirect   string      `json:"redirect_uri"`
	Challenge  string      `json:"-"` // PKCE: the SHA-256 of what only the client knows
	CreatedAt  models.Time `json:"created_at" gorm:"autoCreateTime:false"`
	UsedAt     models.Time `json:"used_at"`
}

// Kind is what a token is good for.
type Kind string

// Kinds of tokens.
const (
	Code    Kind = "code"
	Access  Kind = "access"
	Refresh Kind = "refresh"
)

// Token is one secret of a grant.
type Token struct {
	Hash      string `gorm:"primaryKey"`
	GrantID   string
	Kind      Kind
	ExpiresAt models.Time
	SpentAt   models.Time // 0: not yet
}

const (
	tableGrants  = "oauth_grants"
	tableTokens  = "oauth_tokens"
	tableClients = "oauth_clients"
	tableInvites = "oauth_invites"
)

// errUnknown is the answer for all that is not, is no longer or never was.
func errUnknown() error {
	return models.Errorf(models.NotFound, "it is not known, was used, or has expired")
}

// Consent opens a grant with its code. If the grant comes from an invite, one use of that is taken.
func (t *Table) Consent(ctx context.Context, g Grant, code Token) error {
	return t.store.Transact(ctx, func(tx *gorm.DB) error {
		if err := sweep(tx, g.CreatedAt); err != nil {
			return err
		}
		if err := takeInvite(tx, g.KeyHash, g.CreatedAt); err != nil {
			return err
		}
		if err := tx.Table(tableClients).Where("id = ?", g.Client).Update("used_at", g.CreatedAt).Error; err != nil {
			return err
		}
		if err := tx.Table(tableGrants).Create(&g).Error; err != nil {
			return err
		}
		return tx.Table(tableTokens).Create(&code).Error
	})
}

// Linger is how long tokens that have expired can still be found by whoever asks for them: longer than the longest wait.
const Linger = 30 * time.Minute

// sweep removes what has expired, and grants that nothing is left of.
func sweep(tx *gorm.DB, now models.Time) error {
	if err := tx.Exec("DELETE FROM oauth_tokens WHERE expires_at <= ?", now-models.Time(Linger.Milliseconds())).Error; err != nil {
		return err
	}
	return tx.Exec("DELETE FROM oauth_grants WHERE NOT EXISTS (SELECT 1 FROM oauth_tokens WHERE grant_id = oauth_grants.id)").Error
}

// Find returns a token that has not expired, spent or not, and its grant.
func (t *Table) Find(ctx context.Context, kind Kind, hash string, now models.Time) (token Token, g Grant, err error) {
	err = t.store.Read(ctx, func(tx *gorm.DB) error {
		if err := tx.Table(tableTokens).Where("hash = ? AND kind = ? AND expires_at > ?", hash, kind, now).Limit(1).Find(&token).Error; err != nil {
			return err
		}
		if err := tx.Table(tableGrants).Where("id = ?", token.GrantID).Limit(1).Find(&g).Error; err != nil {
			return err
		}
		if g.ID == "" {
			return errUnknown()
		}
		return nil
	})
	return token, g, err
}

// Spend exchanges a code or refresh token for others of its grant. One that was spent ends the grant, with conflict, unless
// it is a refresh token spent less than grace ago: then the answer was lost, or two processes of one client asked at once.
func (t *Table) Spend(ctx context.Context, spent Token, now models.Time, grace time.Duration, next ...Token) error {
	reused := false
	err := t.store.Transact(ctx, func(tx *gorm.DB) error {
		done := tx.Exec("UPDATE oauth_tokens SET spent_at = ? WHERE hash = ? AND kind = ? AND spent_at = 0 AND expires_at > ?", now, spent.Hash, spent.Kind, now)
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			var held Token
			if err := tx.Table(tableTokens).Where("hash = ? AND kind = ? AND expires_at > ?", spent.Hash, spent.Kind, now).Limit(1).Find(&held).Error; err != nil {
				return err
			}
			if held.Hash == "" {
				return errUnknown()
			}
			if held.Kind != Refresh || now-held.SpentAt > models.Time(grace.Milliseconds()) {
				reused = true
				return end(tx, held.GrantID)
			}
		}
		done = tx.Exec("UPDATE oauth_grants SET used_at = ? WHERE id = ?", now, spent.GrantID)
		switch {
		case done.Error != nil:
			return done.Error
		case done.RowsAffected == 0: // it was ended meanwhile
			return errUnknown()
		}
		return tx.Table(tableTokens).Create(&next).Error
	})
	if err == nil && reused {
		return models.Errorf(models.Conflict, "it was used before: the grant has ended")
	}
	return err
}

// Used notes when tokens were last shown, by hash.
func (t *Table) Used(ctx context.Context, used map[string]models.Time) error {
	return t.store.Transact(ctx, func(tx *gorm.DB) error {
		for hash, at := range used {
			if err := tx.Exec("UPDATE oauth_grants SET used_at = ? WHERE used_at < ? AND id = (SELECT grant_id FROM oauth_tokens WHERE hash = ?)", at, at, hash).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// End ends a grant with all its tokens. One that is unknown has ended.
func (t *Table) End(ctx context.Context, id string) error {
	return t.store.Transact(ctx, func(tx *gorm.DB) error { return end(tx, id) })
}

func end(tx *gorm.DB, id string) error {
	if err := tx.Exec("DELETE FROM oauth_tokens WHERE grant_id = ?", id).Error; err != nil {
		return err
	}
	if err := tx.Exec("DELETE FROM oauth_grants WHERE id = ?", id).Error; err != nil {
		return err
	}
	return access.Advance(tx)
}
