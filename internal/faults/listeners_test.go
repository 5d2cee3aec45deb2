package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestListenersGoOnWhereTheyStopped runs the samples as their users do, kills them, and starts them again.
func TestListenersGoOnWhereTheyStopped(t *testing.T) {
	s := newServer(t, crosstalk(t), filepath.Join(memoryFolder(t), "bus.db"))
	s.start(t)
	node, _ := nodes(t)
	readsSources(t)
	for name, command := range map[string][]string{
		"lis-js": {node, "../../clients/js/listener.mjs"},
		"lis-py": {python(t), "../../clients/python/listener.py"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command[1] = absolute(t, command[1])
			dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			stop := startListener(t, s, name, dir, out, command)
			eventually(t, 20*time.Second, name+" is online", func() bool {
				var all struct {
					Instances []struct {
						ID string `json:"instance_id"`
					}
				}
				ask(t, s, "/api/instances?status=online", &all)
				for _, i := range all.Instances {
					if i.ID == name {
						return true
					}
				}
				return false
			})
			say(t, s, map[string]any{"channel": name, "sender": "al", "content": "are you there, " + name + "?", "message_type": "request"})
			eventually(t, 20*time.Second, name+" has stored where it stands", func() bool {
				_, err := os.Stat(filepath.Join(dir, name+".position.json"))
				return err == nil
			})
			stop()
			say(t, s, map[string]any{"channel": name, "sender": "al", "content": "while you were gone"})
			stop = startListener(t, s, name, dir, out, command)
			eventually(t, 20*time.Second, name+" has seen what it missed", func() bool { return strings.Contains(read(t, out), "gone") })
			stop()
			want := fmt.Sprintf("#%[1]s al: are you there, %[1]s?\n#%[1]s al: while you were gone\n", name)
			if got := read(t, out); got != want {
				t.Errorf("it printed %q, want %q", got, want)
			}
			var page struct{ Messages []row }
			ask(t, s, "/api/messages/"+name, &page)
			if m := page.Messages; len(m) != 3 || m[1].Content != "al, I am here." || m[1].Sender != name || m[1].Parent == nil || *m[1].Parent != m[0].ID {
				t.Errorf("the channel has %+v", m)
			}
		})
	}
}

func startListener(t *testing.T, s *server, name, dir, out string, command []string) (stop func()) {
	t.Helper()
	file, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], name)...)
	cmd.Dir, cmd.Stdout, cmd.SysProcAttr = dir, file, dieWithUs()
	cmd.Env = append(os.Environ(), "CROSSTALK_URL=http://"+s.at(), "CROSSTALK_NAME="+name, "CROSSTALK_KEY=", "PYTHONDONTWRITEBYTECODE=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = file.Close() // the child has its own
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		}
	}
	t.Cleanup(stop)
	return stop
}

func say(t *testing.T, s *server, message map[string]any) {
	t.Helper()
	body, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	res, err := c.Post("http://"+s.at()+"/api/messages", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// readsSources lets the go command know what the programs that a test starts read, so that it runs the test again when that
// has changed.
func readsSources(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"testdata/client.*", "../../clients/*/*.js", "../../clients/*/*.mjs", "../../clients/*/*.py"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v %v", pattern, files, err)
		}
		for _, file := range files {
			read(t, file)
		}
	}
}
