package doorbell

import (
	"os"

	"golang.org/x/sys/unix"
)

// listen tells the others on the bell that somebody hears it here, until the file is closed.
func listen(file *os.File) error {
	return unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
}

// others says whether anybody else hears the bell, or that it cannot be known.
func others(file *os.File) bool {
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock) != nil || lock.Type != unix.F_UNLCK
}
