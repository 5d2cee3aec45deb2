package doorbell

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/fsnotify/fsnotify"
)

// File is a bell for processes on one machine: a file beside the database, which ringing writes to
// and the others watch. The database's own log cannot serve: it is written before the commit shows.
type File struct {
	// Set by Open, then constant.
	file    *os.File
	watcher *fsnotify.Watcher
	rung    chan struct{} // size 1
	log     *slog.Logger
}

// Open opens or creates the bell at path.
func Open(path string, log *slog.Logger) (*File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the bell: %w", err)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("watch the bell: %w", err)
	}
	if err := watcher.Add(path); err != nil {
		_ = watcher.Close()
		_ = file.Close()
		return nil, fmt.Errorf("watch the bell: %w", err)
	}
	return &File{file: file, watcher: watcher, rung: make(chan struct{}, 1), log: log}, nil
}

// Ring tells the others.
func (b *File) Ring() {
	if _, err := b.file.WriteAt([]byte{'!'}, 0); err != nil {
		b.log.Debug("bell cannot be rung", "error", err) // the others look by themselves
	}
}

// Rung says that somebody rang.
func (b *File) Rung() <-chan struct{} { return b.rung }

// Run listens until ctx has ended.
func (b *File) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-b.watcher.Events:
			if !ok {
				return nil
			}
			b.tell()
		case err, ok := <-b.watcher.Errors:
			if !ok {
				return nil
			}
			b.log.Debug("bell may have been missed", "error", err)
			b.tell() // events were lost: look
		}
	}
}

func (b *File) tell() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

// Close lets go of the file.
func (b *File) Close() error {
	err := b.watcher.Close()
	if cerr := b.file.Close(); cerr != nil {
		return cerr
	}
	return err
}
