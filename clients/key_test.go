package clients

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestListenersShowTheirKey runs the samples against a hub that wants one.
func TestListenersShowTheirKey(t *testing.T) {
	readAll(t, "*/*.[jmp]*")
	m := newMachine(t)
	const key = "sesame>>>???~~~" // of which plain base64 has + and /
	hub := exec.CommandContext(t.Context(), "/bin/sh", "-c", "exec crosstalk serve --addr 127.0.0.1:0")
	hub.Env = append(m.env, "MCP_API_KEY="+key)
	out, err := hub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = hub.Process.Kill()
		_ = hub.Wait() // killed
	})
	lines := bufio.NewReader(out)
	var port []string
	for port == nil {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		port = regexp.MustCompile(`listening on port (\d+)`).FindStringSubmatch(line)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	m.env = append(m.env, "CROSSTALK_URL=http://127.0.0.1:"+port[1])
	for name, command := range map[string][]string{
		"js": {filepath.Join(npm(t), "node"), "js/listener.mjs"},
		"py": {python(t), "python/listener.py"},
	} {
		path, err := filepath.Abs(command[1])
		if err != nil {
			t.Fatal(err)
		}
		listener := func(key string) (*exec.Cmd, *bytes.Buffer) {
			var errs bytes.Buffer
			cmd := exec.CommandContext(t.Context(), command[0], path, name)
			cmd.Dir, cmd.Stderr = t.TempDir(), &errs
			cmd.Env = append(m.env, "CROSSTALK_KEY="+key, "CROSSTALK_NAME=lis-"+name, "PYTHONDONTWRITEBYTECODE=1")
			return cmd, &errs
		}
		t.Run(name+" without the key", func(t *testing.T) {
			cmd, errs := listener("another")
			if err := cmd.Run(); err == nil || !strings.Contains(errs.String(), "this hub needs a key") {
				t.Errorf("%v\n%s", err, errs)
			}
		})
		t.Run(name+" with it", func(t *testing.T) {
			cmd, errs := listener(key)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			keyed := &machine{env: append(m.env, "CROSSTALK_KEY="+key)}
			said := make(chan string)
			go func() {
				line, _ := bufio.NewReader(out).ReadString('\n')
				said <- line
			}()
			for n, line := 0, ""; line == ""; n++ { // until it has come in
				if _, errs, code := keyed.does(t, "crosstalk send "+name+" hello --as al", nil); code != 0 {
					t.Fatal(errs)
				}
				select {
				case line = <-said:
					if line != "#"+name+" al: hello\n" {
						t.Errorf("it printed %q\n%s", line, errs)
					}
				default:
				}
				if n == 300 {
					t.Fatalf("it hears nothing:\n%s", errs)
				}
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		})
	}
}
