package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/imports"
)

const (
	takeOverTries = 20 // while another node does it, each waits as long as the database lets one wait
	takeOverPause = time.Second
)

// takeOver imports what a cross-claude-mcp has left in the same PostgreSQL database, if nothing is here yet.
func takeOver(ctx context.Context, log *slog.Logger, s *store.Store, url string) error {
	for try := 1; ; try++ {
		head, err := s.Head(ctx)
		if err != nil || head > 0 {
			return err
		}
		err = takeOverOnce(ctx, log, s, url)
		if models.CodeOf(err) == models.Invalid { // of a kind that cannot be imported
			log.Warn("the messages of cross-claude-mcp are left where they are", "error", err)
			return nil
		}
		if err == nil || try == takeOverTries {
			return err
		}
		log.Warn("the tables of cross-claude-mcp cannot be taken over yet", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(takeOverPause):
		}
	}
}

func takeOverOnce(ctx context.Context, log *slog.Logger, s *store.Store, url string) (err error) {
	from, err := imports.Open(ctx, url)
	if _, none := errors.AsType[*imports.None](err); none {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	last := time.Now()
	report, err := imports.CrossClaude(ctx, s, from, imports.Options{OnlyFirst: true, Tell: func(done, all int64) {
		if time.Since(last) >= 5*time.Second {
			last = time.Now()
			log.Info("taking over the messages of cross-claude-mcp", "done", done, "of", all)
		}
	}})
	if err != nil || report.Messages.Added == 0 {
		return err
	}
	log.Info("took over the messages of cross-claude-mcp", "messages", report.Messages.Added, "channels", report.Channels.Added,
		"instances", report.Instances.Added, "data", report.Data.Added, "positions", report.Positions.Added)
	for _, n := range report.Notes {
		log.Warn("not all could be taken as it was", "what", n.What, "count", n.Count, "first", n.First)
	}
	return nil
}
