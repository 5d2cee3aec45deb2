package turns

import "os"

// lockFile is a file by which processes keep out of each other's way. It stays open: a lock is taken for each batch, and
// opening the file for it, as flock does, costs 20 us.
type lockFile struct {
	path string
	file *os.File // nil until first locked; for one goroutine at a time, as the lock is
}

// lock takes the lock; if wait is not set, only when nobody has it.
func (l *lockFile) lock(wait bool) (ok bool) {
	if l.file == nil {
		file, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return false
		}
		l.file = file
	}
	return lockHandle(l.file.Fd(), wait) == nil
}

func (l *lockFile) unlock() { unlockHandle(l.file.Fd()) }

func (l *lockFile) close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
