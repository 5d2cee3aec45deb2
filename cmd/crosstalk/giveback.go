package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	lookForCalm = 5 * time.Second
	calmBytes   = 2 << 20  // allocated from one look to the next, at most, where little happens
	rushBytes   = 32 << 20 // allocated since memory was given back, at least, for that to be worth it
)

// giveBack gives memory back to the system when a rush is over. Go by itself does it minutes later, since it keeps as much
// garbage as it found alive in the rush: with 5,000 WebSockets that had just connected that was a third of all memory.
func giveBack(ctx context.Context) error {
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	ticker := time.NewTicker(lookForCalm)
	defer ticker.Stop()
	for r := (rush{}); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if metrics.Read(allocated); r.over(allocated[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}

// rush knows how much had been allocated at the last look, and when memory was last given back.
type rush struct{ seen, given uint64 }

// over says that much was allocated and that there is calm now.
func (r *rush) over(allocated uint64) bool {
	calm := allocated-r.seen <= calmBytes
	r.seen = allocated
	if !calm || allocated-r.given < rushBytes {
		return false
	}
	r.given = allocated
	return true
}
