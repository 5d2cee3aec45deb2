//go:build unix

package turns

import "golang.org/x/sys/unix"

func lockHandle(fd uintptr, wait bool) error {
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		if err := unix.Flock(int(fd), how); err != unix.EINTR {
			return err
		}
	}
}

func unlockHandle(fd uintptr) { _ = unix.Flock(int(fd), unix.LOCK_UN) }
