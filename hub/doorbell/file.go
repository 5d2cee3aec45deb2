package doorbell

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"crosstalk/models"
)

// File is a bell for processes on one machine: a file beside the database, which ringing writes to
// and the others watch. The database's own log cannot serve: it is written before the commit shows.
type File struct {
	// Set by Open, then constant.
	path    string
	watcher *fsnotify.Watcher
	rung    chan struct{} // size 1
	log     *slog.Logger

	mu   sync.Mutex
	file *os.File // guarded by mu
	deaf error    // guarded by mu
}

// hangEvery is how often the bell is looked for in its place. Where somebody has removed it, it is hung up anew.
const hangEvery = time.Second

// Open opens or creates the bell at path.
func Open(path string, log *slog.Logger) (*File, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the bell: %w", err)
	}
	b := &File{path: path, watcher: watcher, rung: make(chan struct{}, 1), log: log}
	if err := b.hang(); err != nil {
		_ = watcher.Close()
		return nil, err
	}
	return b, nil
}

// hang opens the file at the bell's place, and watches it.
func (b *File) hang() error {
	file, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the bell: %w", err)
	}
	err = b.watcher.Add(b.path)
	if err == nil {
		err = listen(file)
	}
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("watch the bell: %w", err)
	}
	if b.file != nil {
		_ = b.file.Close()
	}
	b.file = file
	return nil
}

// keep hangs the bell up anew if another file, or none, is in its place: the processes that come now share that one.
// What was rung meanwhile was not heard, so it rings then.
func (b *File) keep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	own, err := b.file.Stat()
	if there, terr := os.Stat(b.path); err == nil && terr == nil && os.SameFile(own, there) {
		return
	}
	_ = b.watcher.Remove(b.path) // which knows it by its name
	err = b.hang()
	if err != nil && b.deaf == nil {
		b.log.Warn("bell is out of order: messages of other processes may come a second late", "error", err)
	}
	if b.deaf = err; err == nil {
		b.log.Info("bell was hung up anew: the file had been removed", "file", b.path)
		b.tell()
	}
}

// Trouble says that the file beside the database cannot be watched.
func (b *File) Trouble() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deaf == nil {
		return nil
	}
	return models.Errorf(models.Unavailable, "the file beside the database cannot be watched: messages of other processes may come a second late")
}

// Ring tells the others, if there are any: a process that is alone is spared what hearing itself costs, 6 us of each
// message at 32 publishers. Who begins to listen looks at the log after that, so it misses nothing.
func (b *File) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !others(b.file) {
		return
	}
	if _, err := b.file.WriteAt([]byte{'!'}, 0); err != nil {
		b.log.Debug("bell cannot be rung", "error", err) // the others look by themselves
	}
}

// Rung says that somebody rang.
func (b *File) Rung() <-chan struct{} { return b.rung }

// Run listens until ctx has ended.
func (b *File) Run(ctx context.Context) error {
	look := time.NewTicker(hangEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			b.keep()
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
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.watcher.Close()
	if cerr := b.file.Close(); cerr != nil {
		return cerr
	}
	return err
}
