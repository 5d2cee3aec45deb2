package grants

import (
	"context"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
)

// Client is a program that registered itself.
type Client struct {
	ID         string `gorm:"primaryKey"`
	Name       string
	Redirects  []string    `gorm:"serializer:json"`
	SecretHash string      // empty: it has no secret
	Lasting    bool        // it means to come back with refresh tokens
	CreatedAt  models.Time `gorm:"autoCreateTime:false"`
	UsedAt     models.Time // when somebody last consented; 0: never
}

// Registrations that nobody used last so long, and only so many of them are kept. What was used stays: clients remember
// their id for months.
const (
	unusedLife = 30 * 24 * time.Hour
	maxUnused  = 1000
)

// AddClient keeps a registration, and forgets old ones that were never used.
func (t *Table) AddClient(ctx context.Context, c Client) error {
	return t.store.Transact(ctx, func(tx *gorm.DB) error {
		if err := tx.Table(tableClients).Create(&c).Error; err != nil {
			return err
		}
		return tx.Exec(`DELETE FROM oauth_clients WHERE used_at = 0 AND (created_at < ? OR id IN (
			SELECT id FROM oauth_clients WHERE used_at = 0 ORDER BY created_at DESC, id LIMIT 1000000 OFFSET ?))`,
			c.CreatedAt-models.Time(unusedLife.Milliseconds()), maxUnused).Error
	})
}

// Client returns a registration.
func (t *Table) Client(ctx context.Context, id string) (c Client, err error) {
	err = t.store.Read(ctx, func(tx *gorm.DB) error {
		if err := tx.Table(tableClients).Where("id = ?", id).Limit(1).Find(&c).Error; err != nil {
			return err
		}
		if c.ID == "" {
			return errUnknown()
		}
		return nil
	})
	return c, err
}
