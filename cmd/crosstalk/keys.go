package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

// anyKey tells whether a database has a named key. One that is not there has none, and is not made.
func anyKey(ctx context.Context, db string) (found bool, err error) {
	if _, err := os.Stat(db); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	s, err := store.Open(ctx, store.Options{Path: db})
	if err != nil {
		return false, fmt.Errorf("database %s: %w", db, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return access.New(s).AnyKey(ctx)
}
