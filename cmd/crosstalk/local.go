package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"crosstalk/hub"
	"crosstalk/models/store"
)

// local is a hub on a database, which other processes may use at the same time.
type local struct {
	store *store.Store
	bell  bell // nil where there can be none
	hub   *hub.Hub
}

// keep is what channels keep that do not say themselves: messages of an age, and so many of the bus; 0: all.
type keep struct {
	age      time.Duration
	messages int64
}

// openLocal opens the database and the hub on it.
func openLocal(ctx context.Context, log *slog.Logger, db database, keep keep, ho hub.Options) (l *local, err error) {
	l = &local{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	so := db.options(log)
	so.Keep, so.KeepMessages = keep.age, keep.messages
	if l.store, err = store.Open(ctx, so); err != nil {
		return l, fmt.Errorf("database %s: %w", db, err)
	}
	if db.url != "" && !db.skipImport {
		if err := takeOver(ctx, log, l.store, db.url); err != nil {
			return l, fmt.Errorf("database %s: what cross-claude-mcp has left there cannot be taken over (serve --skip-import leaves it): %w", db, err)
		}
	}
	ho.Log = log
	if bell, err := db.openBell(l.store.BusID(), log); err == nil {
		l.bell, ho.Bell = bell, bell
	} else {
		log.Warn("messages of other processes on this database may come a second late", "error", err)
		ho.Bell = silent{}
	}
	if l.hub, err = hub.New(l.store, ho); err != nil {
		return l, fmt.Errorf("hub: %w", err)
	}
	return l, nil
}

// run has parts run what the hub needs, until live ends.
func (l *local) run(live context.Context, parts *errgroup.Group) {
	parts.Go(func() error { return l.hub.Run(live) })
	if l.bell != nil {
		parts.Go(func() error { return l.bell.Run(live) })
	}
}

// close closes what openLocal opened. The store answers first what it has accepted, and rings for it.
func (l *local) close() (err error) {
	if l.store != nil {
		err = l.store.Close()
	}
	if file, ok := l.bell.(io.Closer); ok {
		err = errors.Join(err, file.Close())
	}
	return err
}
