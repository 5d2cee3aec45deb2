//go:build !linux

package load

import "time"

// usage is what a process has used so far, where that can be known.
type usage struct {
	known  bool
	cpu    time.Duration
	memory int64
}

func usageOf(int) usage { return usage{} }

// Listener finds the process that listens on a port of this machine; 0: it cannot be seen.
func Listener(int) int { return 0 }
