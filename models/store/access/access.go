package access

import (
	"context"
	"crypto/sha256"
	"encoding/base64"

	"gorm.io/gorm"

	"crosstalk/models/store"
)

// Table is the part of a store that says who may do what. Its methods may be called from any goroutine.
type Table struct{ store *store.Store }

// New returns the table in a store.
func New(s *store.Store) *Table { return &Table{store: s} }

// Hash is the form in which a secret is kept and looked for: its SHA-256. A secret of ours has 128 random bits,
// so that nobody finds it from there by trying.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return string(base64.RawURLEncoding.AppendEncode(make([]byte, 0, 64), sum[:])) // EncodeToString takes room twice
}

// Version advances with every change of keys and names.
func (t *Table) Version(ctx context.Context) (int64, error) {
	var version int64
	err := t.store.Read(ctx, func(tx *gorm.DB) error {
		return tx.Table("access").Select("version").Scan(&version).Error
	})
	return version, err
}

// Advance says that something changed, in the transaction that changes it.
func Advance(tx *gorm.DB) error {
	return tx.Exec("UPDATE access SET version = version + 1").Error
}

// change runs fn in a transaction, and advances the version if it says that it changed something.
func (t *Table) change(ctx context.Context, fn func(tx *gorm.DB) (changed bool, err error)) error {
	return t.store.Transact(ctx, func(tx *gorm.DB) error {
		changed, err := fn(tx)
		if err != nil || !changed {
			return err
		}
		return Advance(tx)
	})
}
