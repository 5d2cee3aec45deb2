package faults

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTheServiceManagerIsTold stands in for systemd, with a socket in a folder and with an abstract one.
func TestTheServiceManagerIsTold(t *testing.T) {
	for name, socket := range map[string]string{"a file": filepath.Join(t.TempDir(), "notify"), "abstract": "@crosstalk-faults-" + t.Name()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = manager.Close() }()
			next := func(want string) string {
				t.Helper()
				buf := make([]byte, 4096)
				for {
					if err := manager.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
						t.Fatal(err)
					}
					n, err := manager.Read(buf)
					if err != nil {
						t.Fatalf("the manager waits for %s: %v", want, err)
					}
					if text := string(buf[:n]); strings.HasPrefix(text, want) {
						return text
					}
				}
			}
			s := newServer(t, crosstalk(t), filepath.Join(memoryFolder(t), "bus.db"))
			s.env = []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=400000", "GOMEMLIMIT=300MiB"}
			s.start(t)
			if text := next("READY=1"); !strings.Contains(text, "\nSTATUS=ok, serving at http://"+s.at()) {
				t.Errorf("the manager is told %q", text)
			}
			var answer any
			if status := ask(t, s, "/readyz", &answer); status != http.StatusOK {
				t.Errorf("and /readyz answers %d %v", status, answer)
			}
			for range 3 {
				next("WATCHDOG=1")
			}
			code, _ := s.stop(t)
			if next("STOPPING=1"); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if s.logged(t, "memory is bounded") != 1 || s.logged(t, "300MiB") != 1 {
				t.Errorf("the log does not say once how much memory there is:\n%s", s.tail())
			}
		})
	}
}
