package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestRunAsIsAUserThatIsNotRoot(t *testing.T) {
	for text, want := range map[string]owner{"65532:65533": {65532, 65533}, "1000": {1000, 1000}, "7:0": {7, 0}} {
		if got, err := parseOwner(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "0:5", "root", "-1", "1:x", "1:", ":1", "99999999999", "2147483647"} {
		if got, err := parseOwner(text); exitCode(err) != 2 {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	if got := does(t, env("CROSSTALK_RUN_AS", "nobody"), "", "serve", "--db", dbIn(t)); got.code != 2 {
		t.Errorf("serve: %v", got.err)
	}
}

// TestRunAsLeavesRootBehind needs to be root to begin with, as in a container.
func TestRunAsLeavesRootBehind(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must not go without this test: run it as root, on Linux")
		}
		t.Skip("only root on Linux can become somebody else, and show it")
	}
	dir := t.TempDir()
	db := filepath.Join(dir, "data", "bus.db")
	for p := dir; p != "/tmp" && p != "/"; p = filepath.Dir(p) { // as a volume's parents are
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	does(t, env(), "", "send", "a", "of root's time", "--db", db).well(t)
	hub := exec.Command(os.Args[0], "serve", "--addr", "localhost:0", "--db", db, "--run-as", "65532:65533")
	hub.Env = append(os.Environ(), asMain+"=1", "HOME="+dir)
	out, err := hub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = hub.Process.Kill()
		_ = hub.Wait()
	}()
	if portIn(out) == 0 {
		t.Fatal("the hub did not start")
	}
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(hub.Process.Pid), "task", "*", "status"))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("%v, %v", tasks, err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has ended
		}
		for _, want := range []string{"\nUid:\t65532\t65532\t65532\t65532\n", "\nGid:\t65533\t65533\t65533\t65533\n", "\nGroups:\t65533 \n"} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s has no %q:\n%s", task, want, b)
			}
		}
	}
}
