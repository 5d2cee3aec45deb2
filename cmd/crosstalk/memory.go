package main

import (
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	memoryShare = 0.9      // of what there is, for what Go counts; the rest is for stacks of C, page tables and the like
	sqliteRoom  = 80 << 20 // the page caches of a SQLite database's five connections, which Go does not count
)

// boundMemory has the garbage collector work harder as the memory that the program's container, or else the machine,
// gives it comes to an end, instead of growing on and being killed. GOMEMLIMIT goes before.
func boundMemory(p *process, log *slog.Logger, db database) (limit int64) {
	if set := p.getenv("GOMEMLIMIT"); set != "" {
		log.Info("memory is bounded", "go_limit", set, "from", "GOMEMLIMIT")
		return debug.SetMemoryLimit(-1)
	}
	var all uint64
	var err error
	limit, err = memlimit.Set(memlimit.WithRatio(1), memlimit.WithProvider(func() (uint64, error) {
		var err error
		all, err = memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
		return forGo(all, db), err
	}))
	switch {
	case err != nil:
		log.Warn("it is not known how much memory there is: set GOMEMLIMIT", "error", err)
	case limit == math.MaxInt64:
		log.Info("memory is not bounded here: set GOMEMLIMIT to bound it")
	default:
		log.Info("memory is bounded", "go_limit_mib", limit>>20, "of_mib", all>>20)
	}
	return limit
}

// What clients may take of a memory limit.
const (
	connectionRoom  = 128 << 10 // a connection: an idle WebSocket has 17 KB, one on which a body of 64 KiB comes slowly 100
	mostConnections = 65536
	mostBodies      = 256 << 20
	bodiesShare     = 8 // a share of it may be bodies on their way, each of which becomes some copies of itself
	largeShare      = 2 // a share of these may be in MCP messages, which are copied most often, by each of two doors
)

// connectionsIn is how many connections there may be in so much memory, if nobody has set how many.
func connectionsIn(limit int64, set int) int {
	if set > 0 {
		return set
	}
	return int(min(max(limit/connectionRoom, 100), mostConnections))
}

// forGo is how much of so many bytes Go may count.
func forGo(all uint64, db database) uint64 {
	limit := uint64(float64(all) * memoryShare)
	if db.url == "" {
		limit -= min(sqliteRoom, limit/4)
	}
	return limit
}

// bodiesIn is how many bytes of large bodies there may be in so much memory.
func bodiesIn(limit int64) int64 { return min(limit/bodiesShare, mostBodies) }
