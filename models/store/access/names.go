package access

import (
	"context"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
)

// MaxNames bounds how many names one credential can have, so that none takes all.
const MaxNames = 1000

// Name is an instance id that belongs to somebody.
type Name struct {
	Fold     string `gorm:"primaryKey"` // models.FoldInstance of Instance
	Instance string
	Owner    string // a principal
	Since    models.Time
}

// TableName says more than the type, which its package explains.
func (Name) TableName() string { return "owned_names" }

// Names lists all names that belong to somebody.
func (t *Table) Names(ctx context.Context) ([]Name, error) {
	var list []Name
	err := t.store.Read(ctx, func(tx *gorm.DB) error { return tx.Find(&list).Error })
	return list, err
}

// Claim makes a name the property of a principal, unless it was registered before, by anybody. It returns whose it
// is now: an empty owner is everybody's.
func (t *Table) Claim(ctx context.Context, principal, instance string) (n Name, err error) {
	fold := models.FoldInstance(instance)
	now := models.TimeOf(time.Now())
	err = t.change(ctx, func(tx *gorm.DB) (bool, error) {
		n = Name{} // of a try that came to nothing
		found := tx.Where("fold = ?", fold).Limit(1).Find(&n)
		if found.Error != nil || found.RowsAffected > 0 {
			return false, found.Error
		}
		var known, owned int64
		// Letters beyond ASCII are compared as they are: what looks alike and was there before stays everybody's.
		if err := tx.Table("instances").Where("id = ? OR lower(id) = ?", instance, fold).Count(&known).Error; err != nil || known > 0 {
			return false, err
		}
		if err := tx.Table("owned_names").Where("owner = ?", principal).Count(&owned).Error; err != nil {
			return false, err
		}
		if owned >= MaxNames {
			return false, models.Errorf(models.RateLimited, "your key has %d names already: release some that you do not need", owned)
		}
		n = Name{Fold: fold, Instance: instance, Owner: principal, Since: now}
		if err := tx.Create(&n).Error; err != nil {
			return false, err
		}
		return true, tx.Exec(`INSERT INTO instances (id, kind, registered_id, last_seen) VALUES (?, ?, (SELECT last_id FROM bus), ?)`,
			instance, models.KindAgent, now).Error
	})
	return n, err
}

// Release forgets an instance: its name is as free as if it had never registered. It tells whether there was one.
func (t *Table) Release(ctx context.Context, instance string) (was bool, err error) {
	err = t.change(ctx, func(tx *gorm.DB) (bool, error) {
		was, err = release(tx, instance)
		return was, err
	})
	return was, err
}

func release(tx *gorm.DB, instance string) (was bool, err error) {
	for _, sql := range []string{
		"DELETE FROM owned_names WHERE instance = ?",
		"DELETE FROM instances WHERE id = ?",
		"DELETE FROM positions WHERE instance = ?",
	} {
		gone := tx.Exec(sql, instance)
		if gone.Error != nil {
			return was, gone.Error
		}
		was = was || gone.RowsAffected > 0
	}
	return was, nil
}

// ReleaseAll frees the names of a principal that is no more, and of what was granted in its name.
func (t *Table) ReleaseAll(ctx context.Context, principal string) error {
	return t.change(ctx, func(tx *gorm.DB) (bool, error) { return true, releaseAll(tx, principal) })
}

func releaseAll(tx *gorm.DB, principal string) error {
	var names []string
	granted := "grant:" + principal + "/" // begins the principals of those whom it has let in
	if err := tx.Table("owned_names").Where("owner = ? OR substr(owner, 1, ?) = ?", principal, len(granted), granted).Pluck("instance", &names).Error; err != nil {
		return err
	}
	for _, name := range names {
		if _, err := release(tx, name); err != nil {
			return err
		}
	}
	return nil
}
