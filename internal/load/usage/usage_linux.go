package usage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used so far, and uses now.
type Usage struct {
	Known  bool
	CPU    time.Duration
	Memory int64 // bytes that are resident
}

// clockTicks is how many the kernel counts a second for /proc, on every platform that Go has.
const clockTicks = 100

// Of looks at a process.
func Of(pid int) (u Usage) {
	if pid <= 0 {
		return u
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	// The name before it, in brackets, may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 22 {
		return u
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	pages, err3 := strconv.ParseInt(fields[21], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return u
	}
	return Usage{true, time.Duration(user+system) * time.Second / clockTicks, pages * int64(os.Getpagesize())}
}

// Listener finds the process that listens on a port of this machine; 0: it cannot be seen.
func Listener(port int) int {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			const listening = "0A"
			if len(fields) < 10 || fields[3] != listening {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			if n, err := strconv.ParseInt(hex, 16, 32); err == nil && int(n) == port {
				sockets["socket:["+fields[9]+"]"] = true
			}
		}
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	if err != nil || len(sockets) == 0 {
		return 0
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && sockets[to] {
			if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil {
				return pid
			}
		}
	}
	return 0
}
