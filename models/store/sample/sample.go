package sample

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
	"crosstalk/models/store"
)

// Sample is what was found.
type Sample struct {
	Online int64 // instances, of all processes
	Data   int64 // bytes of the database
	Log    int64 // bytes of what is beside it and not in it yet; SQLite's
	Stale  int64 // removed messages whose words are still in the search index; SQLite's
}

// Take looks at a store. file is SQLite's; empty for PostgreSQL.
func Take(ctx context.Context, st *store.Store, file string) (s Sample, err error) {
	err = st.Read(ctx, func(tx *gorm.DB) error {
		// As the instances are that store lists as online. Their index is by when they were seen: others are not looked at.
		since := models.TimeOf(time.Now().Add(-store.Fresh))
		if err := tx.Raw("SELECT count(*) FROM instances WHERE last_seen >= ? AND left_at = 0", since).Row().Scan(&s.Online); err != nil {
			return err
		}
		if file != "" {
			return tx.Raw("SELECT stale FROM bus").Row().Scan(&s.Stale)
		}
		return tx.Raw(`SELECT CAST(coalesce(sum(pg_total_relation_size(c.oid)), 0) AS BIGINT) FROM pg_class AS c
			JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'crosstalk' AND c.relkind = 'r'`).Row().Scan(&s.Data)
	})
	if err == nil && file != "" {
		err = s.files(file)
	}
	return s, err
}

func (s *Sample) files(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	s.Data = info.Size()
	log, err := os.Stat(file + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Log = log.Size()
	return nil
}
