package turns

import "golang.org/x/sys/windows"

func lockHandle(fd uintptr, wait bool) error {
	how := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK)
	if !wait {
		how |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	return windows.LockFileEx(windows.Handle(fd), how, 0, 1, 0, &windows.Overlapped{})
}

func unlockHandle(fd uintptr) {
	_ = windows.UnlockFileEx(windows.Handle(fd), 0, 1, 0, &windows.Overlapped{})
}
