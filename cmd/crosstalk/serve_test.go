package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSecondStartHasEverything(t *testing.T) {
	home := t.TempDir()
	c := client(t)
	first := startAtHome(t, home)
	var want []int64
	for i := range 5 {
		want = append(want, post(t, c, first.url, "kept", "message "+strconv.Itoa(i)))
	}
	var before, after page
	call(t, c, first.url+"/api/messages/kept", nil, &before)
	if err := first.end(t); err != nil {
		t.Fatalf("ended with %v", err)
	}
	folder, err := os.Stat(filepath.Join(home, ".crosstalk"))
	if err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the database: %v, %v", folder, err)
	}
	second := startAtHome(t, home)
	call(t, c, second.url+"/api/messages/kept", nil, &after)
	if len(after.Messages) != len(want) || after.BusID != before.BusID || after.BusID == "" {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	for i, m := range after.Messages {
		if m.ID != want[i] || m != before.Messages[i] {
			t.Errorf("message %d: %+v, want %+v with id %d", i, m, before.Messages[i], want[i])
		}
	}
	if id := post(t, c, second.url, "kept", "one more"); id != want[4]+1 {
		t.Errorf("the next id is %d after %d", id, want[4])
	}
}

// startAtHome starts with nothing but a home, as on a fresh machine.
func startAtHome(t *testing.T, home string) *running {
	t.Helper()
	r := start(t, "~/.crosstalk/crosstalk.db", env("HOME", home))
	if _, err := os.Stat(filepath.Join(home, ".crosstalk", "crosstalk.db")); err != nil {
		t.Error(err)
	}
	return r
}

func TestTwoServersOnOneFileHearEachOther(t *testing.T) {
	db := dbIn(t)
	a, b := start(t, db, env()), start(t, db, env())
	c := client(t)
	onA, onB := dial(t, a.url, "channels=room", 2), dial(t, b.url, "channels=*", 2)
	begun := time.Now()
	for i := range 20 {
		url := []string{a.url, b.url}[i%2]
		want := "number " + strconv.Itoa(i)
		post(t, c, url, "room", want)
		for _, conn := range []struct {
			name string
			got  func() (string, error)
		}{{"a", func() (string, error) { return contentOf(t.Context(), onA) }}, {"b", func() (string, error) { return contentOf(t.Context(), onB) }}} {
			if got, err := conn.got(); err != nil || got != want {
				t.Fatalf("server %s heard %q, %v; want %q", conn.name, got, err, want)
			}
		}
	}
	// Without the bell each of the 20 would wait for the other process's look at the log, once a second.
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("20 messages took %s", took)
	}
}

func TestRefusesToStartInOneSentence(t *testing.T) {
	taken, _, err := open(t, []place{{"127.0.0.1", "0", false}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no database at all, and long enough to be looked at as one"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		env  func(string) string
		args []string
		want string
		code int
	}{
		"another database":           {env(), []string{"--db=", "--database-url", "mysql://u:s3cret@h/d"}, "the database URL must look like postgres://", 2},
		"a server that is not there": {env(), []string{"--db=", "--database-url", "postgres://u:s3cret@127.0.0.1:1/d"}, "database postgres://127.0.0.1:1/d: failed to connect", 1},
		"few connections":            {env(), []string{"--db=", "--database-url", "postgres://u:s3cret@h/d", "--database-connections", "2"}, "--database-connections must be at least 3, not 2", 2},
		"two databases":              {env(), []string{"--database-url", "postgres://u:s3cret@h/d"}, "--db and --database-url name two databases", 2},
		"negative days":              {env("CLEANUP_DAYS", "-1"), nil, "--cleanup-days must be a number of days from 0", 2},
		"too few messages":           {env("CROSSTALK_KEEP_MESSAGES", "999"), nil, "--keep-messages must be a number from 1000", 2},
		"too many days":              {env(), []string{"--cleanup-days", "99999999"}, "--cleanup-days must be", 2},
		"the world, no key":          {env(), []string{"--addr", ":0"}, "other machines could connect to :0, and there is no key", 2},
		"port beyond":                {env("PORT", "70000"), nil, "must be a number from 0 to 65535", 2},
		"server URL":                 {env("SERVER_URL", "bus.example.com"), nil, "the server URL must look like https://bus.example.com", 2},
		"allowed host":               {env(), []string{"--allowed-host", "a/b"}, `the allowed host "a/b" must be a name`, 2},
		"allowed origin":             {env(), []string{"--allowed-origin", "example.com"}, `the allowed origin "example.com" must be`, 2},
		"a key with a blank":         {env("MCP_API_KEY", "s3cret s3cret"), nil, "the key contains a blank", 2},
		"profiles for all":           {env(), []string{"--pprof", ":6060"}, "must be a loopback address", 2},
		"no home":                    {env(), []string{"--db", "~/x.db"}, "HOME is not set", 2},
		"a folder":                   {env(), []string{"--db", "/tmp/"}, `--db "/tmp/" must be a file, not a folder`, 2},
		"a taken port":               {env(), []string{"--addr", taken[0].Addr().String()}, "is taken, perhaps by another crosstalk", 1},
		"a file in the way":          {env(), []string{"--db", filepath.Join(file, "x.db")}, "make the database's folder", 1},
		"something else's":           {env(), []string{"--db", file}, "database " + file + ": ", 1},
		"a log level unheard":        {env(), []string{"--log-level", "loud"}, "--log-level must be one of", 2},
	} {
		t.Run(name, func(t *testing.T) {
			db := dbIn(t)
			args := append([]string{"serve", "--db", db, "--addr", "localhost:0"}, tc.args...)
			if tc.env("PORT") != "" || strings.Contains(strings.Join(tc.args, " "), "--addr") {
				args = append([]string{"serve", "--db", db}, tc.args...)
			}
			stdout, err := output(t, tc.env, args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want one line with %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("a secret is told: %v", err)
			}
			if got := exitCode(err); got != tc.code {
				t.Errorf("exit code %d, want %d", got, tc.code)
			}
			if stdout != "" {
				t.Errorf("and yet it greeted: %s", stdout)
			}
			if _, err := os.Stat(db); err == nil {
				t.Error("and yet it made a database")
			}
		})
	}
}

func TestGreetingsCommandsWorkAsTheyStand(t *testing.T) {
	for name, getenv := range map[string]func(string) string{"without a key": env(), "with a key": env("MCP_API_KEY", "s3cret-key")} {
		t.Run(name, func(t *testing.T) {
			r := start(t, dbIn(t), getenv)
			if err := r.end(t); err != nil { // so that all of the greeting is there
				t.Fatal(err)
			}
			greeting := r.stdout.String()
			if strings.Contains(greeting, "s3cret") {
				t.Errorf("the key is told:\n%s", greeting)
			}
			r = start(t, dbIn(t), getenv)
			var answers []string
			for line := range strings.Lines(greeting) {
				if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") {
					line = strings.ReplaceAll(line, portOfGreeting(greeting), strings.TrimPrefix(r.url, "http://127.0.0.1"))
					cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.Replace(line, "curl", "curl -sS --fail", 1))
					cmd.Env = append(os.Environ(), "MCP_API_KEY=s3cret-key")
					out, err := cmd.CombinedOutput()
					if err != nil {
						t.Fatalf("%s: %v\n%s", line, err, out)
					}
					answers = append(answers, string(out))
				}
			}
			if len(answers) != 3 || !strings.Contains(answers[2], `"content":"hello"`) {
				t.Errorf("the answers: %q", answers)
			}
		})
	}
}

// portOfGreeting is the port in the greeting's URLs, with its colon.
func portOfGreeting(greeting string) string {
	return ":" + strconv.Itoa(portIn(strings.NewReader(greeting)))
}

func TestPortAndKeyOpenTheHubToOtherMachines(t *testing.T) {
	r := start(t, dbIn(t), env("PORT", "0", "MCP_API_KEY", "s3cret-key"))
	c := client(t)
	if got := call(t, c, r.url+"/api/channels", nil, nil); got != http.StatusUnauthorized {
		t.Errorf("without the key: %d", got)
	}
	if got := call(t, c, r.url+"/api/channels", nil, nil, "Authorization", "Bearer s3cret-key"); got != http.StatusOK {
		t.Errorf("with the key: %d", got)
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	if log := r.stderr.String(); !strings.Contains(log, `"addr":"[::]:`) && !strings.Contains(log, `"addr":"0.0.0.0:`) {
		t.Errorf("not on all interfaces:\n%s", log)
	}
}

func TestPortWithoutKeyStaysOnLoopbackAndSaysWhy(t *testing.T) {
	r := start(t, dbIn(t), env("PORT", "0"))
	if got := call(t, client(t), r.url+"/api/channels", nil, nil); got != http.StatusOK {
		t.Errorf("on this machine: %d", got)
	}
	log := r.stderr.String()
	if !strings.Contains(log, `"addr":"127.0.0.1:`) || strings.Contains(log, `"addr":"[::]:`) {
		t.Errorf("not on loopback:\n%s", log)
	}
	if !strings.Contains(log, "there is no key, so only this machine may connect: set MCP_API_KEY") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}

func TestLogsTellNoContentsAndNoSecrets(t *testing.T) {
	for level, mayTell := range map[string]bool{"info": false, "debug": true} {
		t.Run(level, func(t *testing.T) {
			// A process of its own, so that nothing is missed that a library prints.
			r := spawn(t, dbIn(t), "MCP_API_KEY=s3cret-key", "CROSSTALK_LOG_LEVEL="+level)
			c := client(t)
			auth := []string{"Authorization", "Bearer s3cret-key"}
			body := map[string]string{"sender": "tester", "content": "a private thing"}
			if got := call(t, c, r.url+"/api/messages", body, nil, auth...); got != http.StatusOK {
				t.Fatalf("post: %d", got)
			}
			call(t, c, r.url+"/api/channels?api_key=s3cret-key", nil, nil)
			call(t, c, r.url+"/api/channels", nil, nil, "Authorization", "Bearer s3cret-kez")
			body["content"] = "a private thing \x00"
			call(t, c, r.url+"/api/messages", body, nil, auth...)
			for _, garbage := range []string{
				"s3cret-key\r\nwhat is this\r\n\r\n",
				"POST /api/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret-key\r\nContent-Length: x\r\n\r\na private thing",
				"GET /ws HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret-key\r\nno colon\r\n\r\n",
			} {
				sayAndListen(t, r.url, garbage)
			}
			r.exited(t, os.Interrupt)
			log := r.stderr.String()
			if strings.Contains(log, "s3cret") {
				t.Errorf("the log tells a key:\n%s", log)
			}
			if strings.Contains(log, "private thing") && !mayTell {
				t.Errorf("the log tells what messages say:\n%s", log)
			}
			for s := bufio.NewScanner(strings.NewReader(log)); s.Scan(); {
				if !json.Valid(s.Bytes()) {
					t.Errorf("not on a terminal, and no JSON: %s", s.Text())
				}
			}
		})
	}
}

// sayAndListen sends text over a fresh connection until the hub closes it.
func sayAndListen(t *testing.T, url, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, conn)
}

func TestLogFormatFollowsTheReader(t *testing.T) {
	for format, want := range map[string]string{"auto": `{"time":`, "json": `{"time":`, "text": "time="} {
		var b bytes.Buffer
		newLog(&b, "info", format).Info("x")
		if !strings.HasPrefix(b.String(), want) {
			t.Errorf("%s: %s", format, b.String())
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if !isTerminal(null) {
		t.Error("a character device is taken for a pipe")
	}
}

func TestProfilesAreServed(t *testing.T) {
	r := start(t, dbIn(t), env(), "--pprof", "127.0.0.1:0")
	_, after, _ := strings.Cut(r.stderr.String(), `"url":"`)
	url, _, ok := strings.Cut(after, `"`)
	if !ok {
		t.Fatalf("the log does not say where:\n%s", r.stderr)
	}
	if got := call(t, client(t), url+"goroutine?debug=1", nil, nil); got != http.StatusOK {
		t.Errorf("%s: %d", url, got)
	}
	if got := call(t, client(t), r.url+"/debug/pprof/", nil, nil); got == http.StatusOK {
		t.Error("profiles can be had at the public port")
	}
}

func TestVersionNamesItsParts(t *testing.T) {
	got, err := output(t, env(), "version")
	if err != nil || !strings.HasPrefix(got, "crosstalk devel") || !strings.Contains(got, "\ngo1.") {
		t.Errorf("got %q, %v", got, err)
	}
}
