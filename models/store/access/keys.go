package access

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
)

// KeyPrefix begins every named key, so that those who look for lost secrets know one when they see it.
const KeyPrefix = "ctk_"

// Key is what is known of a named key. Its secret is not.
type Key struct {
	Name      string          `json:"name" gorm:"primaryKey"`
	Hash      string          `json:"-"`
	Scope     models.Scope    `json:"scope"`
	Channels  models.Patterns `json:"channels"` // empty: all
	CreatedAt models.Time     `json:"created_at" gorm:"autoCreateTime:false"`
	ExpiresAt models.Time     `json:"expires_at"` // 0: never
	LastUsed  models.Time     `json:"last_used"`  // 0: not yet; to about a minute
	RevokedAt models.Time     `json:"revoked_at"` // 0: it is not
}

// Principal is who calls with the key.
func (k *Key) Principal() models.Principal {
	return models.Principal{Name: principalOf(k.Name), Scope: k.Scope, Channels: k.Channels, Credential: k.Hash}
}

func principalOf(key string) string { return "key:" + key }

// Holds returns why the key opens nothing at a time, or nil.
func (k *Key) Holds(at models.Time) error {
	switch {
	case k.RevokedAt > 0:
		return models.Errorf(models.Unauthenticated, "this key was revoked: ask for another")
	case k.ExpiresAt > 0 && k.ExpiresAt <= at:
		return models.Errorf(models.Unauthenticated, "this key has expired: ask for another")
	}
	return nil
}

// ParseKey checks what a new key shall be. Its scope is write if nothing else is said.
func ParseKey(k Key) (Key, error) {
	const most = 60
	if k.Name == "" || len(k.Name) > most || strings.Trim(k.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return Key{}, models.Errorf(models.Invalid, "the name of a key is 1 to %d of the characters a-z, A-Z, 0-9, - _ and .", most)
	}
	var err error
	if k.Scope, err = models.ParseScope(k.Scope); err != nil {
		return Key{}, err
	}
	if k.Channels, err = models.ParsePatterns(string(k.Channels)); err != nil {
		return Key{}, err
	}
	if k.Scope == models.ScopeAdmin && k.Channels != "" {
		return Key{}, models.Errorf(models.Invalid, "a key of scope admin has to do with all channels: leave channels out, or choose write")
	}
	if k.ExpiresAt < 0 || k.ExpiresAt > 0 && k.ExpiresAt <= models.TimeOf(time.Now()) {
		return Key{}, models.Errorf(models.Invalid, "a key must expire in the future, or never")
	}
	return k, nil
}

// CreateKey stores a checked key and returns its secret, which nobody can find out again.
func (t *Table) CreateKey(ctx context.Context, k Key) (secret string, err error) {
	secret = KeyPrefix + rand.Text()
	k.Hash, k.CreatedAt, k.LastUsed, k.RevokedAt = Hash(secret), models.TimeOf(time.Now()), 0, 0
	err = t.change(ctx, func(tx *gorm.DB) (bool, error) {
		switch _, err := find(tx, k.Name); {
		case err == nil:
			return false, models.Errorf(models.Conflict, "there is a key of the name %q already: choose another name, rotate it for a new secret, or delete it", k.Name)
		case models.CodeOf(err) != models.NotFound:
			return false, err
		}
		return true, tx.Create(&k).Error
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// find reads a key by its name within a transaction.
func find(tx *gorm.DB, name string) (Key, error) {
	var k Key
	err := tx.Where("name = ?", name).Take(&k).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return k, models.Errorf(models.NotFound, "there is no key %q: list shows those there are", name)
	}
	return k, err
}

// Keys lists all keys by name, also those that open nothing any more.
func (t *Table) Keys(ctx context.Context) ([]Key, error) {
	list := []Key{}
	err := t.store.Read(ctx, func(tx *gorm.DB) error { return tx.Order("name").Find(&list).Error })
	return list, err
}

// AnyKey tells whether there is a key, be it one that opens nothing any more.
func (t *Table) AnyKey(ctx context.Context) (bool, error) {
	var names []string
	err := t.store.Read(ctx, func(tx *gorm.DB) error { return tx.Table("keys").Limit(1).Pluck("name", &names).Error })
	return len(names) > 0, err
}

// FindKey returns the key whose secret has a hash, if it opens anything now.
func (t *Table) FindKey(ctx context.Context, hash string) (Key, error) {
	var k Key
	err := t.store.Read(ctx, func(tx *gorm.DB) error {
		err := tx.Where("hash = ?", hash).Take(&k).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return models.Errorf(models.Unauthenticated, "this key opens nothing here: it is wrong, or was replaced or deleted")
		}
		return err
	})
	if err != nil {
		return k, err
	}
	return k, k.Holds(models.TimeOf(time.Now()))
}

// RevokeKey ends a key for good. What belongs to it stays its own, so that nobody else can speak in its name.
func (t *Table) RevokeKey(ctx context.Context, name string) error {
	return t.change(ctx, func(tx *gorm.DB) (bool, error) {
		k, err := find(tx, name)
		if err != nil || k.RevokedAt > 0 {
			return false, err
		}
		return true, tx.Model(&k).Update("revoked_at", models.TimeOf(time.Now())).Error
	})
}

// RotateKey gives a key another secret and, unless it is 0, another end. The old secret opens nothing any more.
func (t *Table) RotateKey(ctx context.Context, name string, expires models.Time) (secret string, err error) {
	secret = KeyPrefix + rand.Text()
	err = t.change(ctx, func(tx *gorm.DB) (bool, error) {
		k, err := find(tx, name)
		if err != nil {
			return false, err
		}
		if expires > 0 {
			k.ExpiresAt = expires
		}
		if err := k.Holds(models.TimeOf(time.Now())); err != nil && k.RevokedAt > 0 {
			return false, models.Errorf(models.Conflict, "key %q was revoked for good: delete it, and create it anew", name)
		} else if err != nil {
			return false, models.Errorf(models.Conflict, "key %q has expired: say until when the new secret holds", name)
		}
		return true, tx.Model(&k).Updates(map[string]any{"hash": Hash(secret), "expires_at": k.ExpiresAt}).Error
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// DeleteKey ends a key and forgets it. The names that belonged to it are free.
func (t *Table) DeleteKey(ctx context.Context, name string) error {
	return t.change(ctx, func(tx *gorm.DB) (bool, error) {
		k, err := find(tx, name)
		if err != nil {
			return false, err
		}
		if err := tx.Delete(&k).Error; err != nil {
			return false, err
		}
		return true, releaseAll(tx, principalOf(name))
	})
}

// UseKeys notes when keys were last used, by hash.
func (t *Table) UseKeys(ctx context.Context, used map[string]models.Time) error {
	return t.store.Transact(ctx, func(tx *gorm.DB) error {
		for hash, at := range used {
			if err := tx.Exec("UPDATE keys SET last_used = ? WHERE hash = ? AND last_used < ?", at, hash, at).Error; err != nil {
				return err
			}
		}
		return nil
	})
}
