package main

import (
	"bytes"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListensWhereItIsSafe(t *testing.T) {
	for _, tc := range []struct {
		name    string
		setting serveCommand
		want    string // addresses, or a piece of the error
		why     string // a piece of it
	}{
		{"nothing set", serveCommand{}, "127.0.0.1:8787 [::1]:8787", "no key, so only this machine"},
		{"a key alone", serveCommand{Key: "k"}, "127.0.0.1:8787 [::1]:8787", ""},
		{"a port and a key", serveCommand{Port: "80", Key: "k"}, ":80", ""},
		{"a port without a key", serveCommand{Port: "80"}, "127.0.0.1:80 [::1]:80", "set MCP_API_KEY to be reachable"},
		{"an address before a port", serveCommand{Addr: []string{"127.0.0.1:1"}, Port: "80", Key: "k"}, "127.0.0.1:1", ""},
		{"localhost", serveCommand{Addr: []string{"LocalHost:1"}}, "127.0.0.1:1 [::1]:1", "no key"},
		{"two addresses", serveCommand{Addr: []string{"127.0.0.9:1", "[::1]:0"}}, "127.0.0.9:1 [::1]:0", "no key"},
		{"the world with a key", serveCommand{Addr: []string{":1", "10.0.0.1:2"}, Key: "k"}, ":1 10.0.0.1:2", ""},
		{"the world without", serveCommand{Addr: []string{":1"}}, "other machines could connect to :1, and there is no key", ""},
		{"all IPv4 without", serveCommand{Addr: []string{"0.0.0.0:1"}}, "other machines could connect to 0.0.0.0:1", ""},
		{"all IPv6 without", serveCommand{Addr: []string{"[::]:1"}}, "other machines could connect to [::]:1", ""},
		{"a name without", serveCommand{Addr: []string{"myhost:1"}}, "other machines could connect to myhost:1", ""},
		{"one of two without", serveCommand{Addr: []string{"127.0.0.1:1", "10.0.0.1:2"}}, "other machines could connect to 10.0.0.1:2", ""},
		{"mapped loopback", serveCommand{Addr: []string{"[::ffff:127.0.0.1]:1"}}, "[::ffff:127.0.0.1]:1", "no key"},
		{"no port", serveCommand{Addr: []string{"127.0.0.1"}}, `--addr "127.0.0.1" is no address to listen on`, ""},
		{"a port beyond", serveCommand{Addr: []string{"127.0.0.1:65536"}}, "is no address to listen on", ""},
		{"a URL", serveCommand{Addr: []string{"http://127.0.0.1:1"}}, "is no address to listen on", ""},
		{"an empty address", serveCommand{Addr: []string{""}}, "is no address to listen on", ""},
		{"a word for a port", serveCommand{Port: "-1"}, `the port to listen on must be a number from 0 to 65535, not "-1"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			places, why, err := tc.setting.places(tc.setting.Key != "")
			var got []string
			for _, p := range places {
				got = append(got, p.String())
			}
			text := strings.Join(got, " ")
			if err != nil {
				if exitCode(err) != 2 || len(places) > 0 {
					t.Errorf("refused as %v, and yet %v", err, places)
				}
				if !strings.Contains(err.Error(), tc.want) {
					t.Errorf("refused with %q, want %q", err, tc.want)
				}
			} else if text != tc.want {
				t.Errorf("got %q, want %q", text, tc.want)
			}
			if !strings.Contains(why, tc.why) || (tc.why == "") != (why == "") {
				t.Errorf("because %q, want %q", why, tc.why)
			}
		})
	}
}

// open listens for the length of a test, and returns what was logged.
func open(t *testing.T, places []place) ([]net.Listener, string, error) {
	t.Helper()
	var logged bytes.Buffer
	ls, err := listen(t.Context(), slog.New(slog.NewTextHandler(&logged, nil)), places)
	t.Cleanup(func() { closeAll(ls) })
	return ls, logged.String(), err
}

func TestPortZeroIsOnePortForAllAddresses(t *testing.T) {
	for range 20 {
		ls, _, err := open(t, []place{{"127.0.0.1", "0", false}, {"127.0.0.2", "0", false}, {"::1", "0", true}})
		if err != nil {
			t.Fatal(err)
		}
		if len(ls) < 2 || portOf(ls[0]) == 0 {
			t.Fatalf("listening on %v", ls)
		}
		for _, l := range ls {
			if portOf(l) != portOf(ls[0]) {
				t.Errorf("%v and %v", ls[0].Addr(), l.Addr())
			}
		}
	}
}

func TestTakenPortSaysWhatToDo(t *testing.T) {
	first, _, err := open(t, []place{{"127.0.0.1", "0", false}})
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(portOf(first[0]))
	ls, _, err := open(t, []place{{"127.0.0.2", port, false}, {"127.0.0.1", port, false}})
	if err == nil || !strings.HasPrefix(err.Error(), "port "+port+" is taken, perhaps by another crosstalk: stop that program, or choose another port, such as --addr localhost:") {
		t.Errorf("got %v", err)
	}
	if ls != nil {
		t.Errorf("still listening on %v", ls)
	}
	again, _, err := open(t, []place{{"127.0.0.2", port, false}})
	if err != nil {
		t.Errorf("the address beside the taken one was not let go: %v", err)
	}
	closeAll(again)
}

func TestMissingIPv6IsAWarning(t *testing.T) {
	missing := place{"2001:db8::1", "0", true} // an address for documentation, which no machine has
	ls, logged, err := open(t, []place{{"127.0.0.1", "0", false}, missing})
	if err != nil || len(ls) != 1 {
		t.Fatalf("listening on %v, %v", ls, err)
	}
	if !strings.Contains(logged, "level=WARN") || !strings.Contains(logged, "no IPv6 loopback") {
		t.Errorf("logged %q", logged)
	}
	missing.optional = false
	if _, _, err := open(t, []place{missing}); err == nil || !strings.HasPrefix(err.Error(), "this machine has no address 2001:db8::1") {
		t.Errorf("asked for by name: got %v", err)
	}
}

func TestProfilesAreForThisMachineOnly(t *testing.T) {
	for _, addr := range []string{":6060", "0.0.0.0:6060", "10.0.0.1:6060", "[::]:6060", "6060", "example.com:6060"} {
		if l, err := openProfiles(t.Context(), slog.New(slog.DiscardHandler), addr); l != nil || exitCode(err) != 2 {
			t.Errorf("%s: %v, %v", addr, l, err)
		}
	}
}

func TestLocalURLCanBeCalled(t *testing.T) {
	ls, _, err := open(t, []place{{"", "0", false}})
	if err != nil {
		t.Fatal(err)
	}
	url := localURL(ls[0])
	if diff := cmp.Diff("http://127.0.0.1:"+strconv.Itoa(portOf(ls[0])), url); diff != "" {
		t.Error(diff)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
