package doorbell

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// listen tells the others on the bell that somebody hears it here, until the file is closed. A kernel that knows no such
// locks, as of some sandboxes, cannot tell them, and cannot tell anybody who asks that there are none.
func listen(file *os.File) error {
	err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// others says whether anybody else hears the bell, or that it cannot be known.
func others(file *os.File) bool {
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock) != nil || lock.Type != unix.F_UNLCK
}
