//go:build !linux

package doorbell

import "os"

// Only Linux tells of locks that other open files hold, also those of this process. Elsewhere the bell always rings.
func listen(*os.File) error { return nil }

func others(*os.File) bool { return true }
