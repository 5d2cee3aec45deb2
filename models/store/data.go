package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"crosstalk/models"
)

// ShareData stores a text under its key, over an older version if there is one. The answer is
// without content.
func (s *Store) ShareData(ctx context.Context, d models.DataDraft) (models.SharedData, error) {
	data := models.SharedData{
		Key: d.Key, Content: d.Content, CreatedBy: d.Sender, Description: d.Description, Channel: d.Channel,
		SizeBytes: int64(len(d.Content)), CreatedAt: models.TimeOf(time.Now()),
	}
	err := s.transact(ctx, func(tx *gorm.DB) error {
		var version int64
		if err := tx.Model(&data).Select("version").Where("key = ?", d.Key).Scan(&version).Error; err != nil {
			return err
		}
		if d.IfVersion != nil && *d.IfVersion != version {
			return models.Errorf(models.Conflict, "key %q is at version %d, not %d: read it again, then decide", d.Key, version, *d.IfVersion)
		}
		data.Version = version + 1
		return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&data).Error
	})
	data.Content = ""
	return data, err
}

// Data reads what is shared under a key.
func (s *Store) Data(ctx context.Context, key string) (models.SharedData, error) {
	var data models.SharedData
	err := s.reader(ctx).Where("key = ?", key).Take(&data).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return data, noData(key)
	}
	return data, s.reading(err)
}

// ListData lists what is shared, the newest first, without contents.
func (s *Store) ListData(ctx context.Context, limit int) ([]models.SharedData, error) {
	list := []models.SharedData{}
	err := s.reader(ctx).Omit("Content").Order("created_at DESC, key").Limit(limit).Find(&list).Error
	return list, s.reading(err)
}

// DeleteData removes what is shared under a key.
func (s *Store) DeleteData(ctx context.Context, key string) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		gone := tx.Where("key = ?", key).Delete(&models.SharedData{})
		if gone.Error == nil && gone.RowsAffected == 0 {
			return noData(key)
		}
		return gone.Error
	})
}

func noData(key string) error {
	return models.Errorf(models.NotFound, "No shared data found under key %q: list what there is to see the keys", key)
}
