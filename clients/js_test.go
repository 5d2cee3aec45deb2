// Package clients tests the clients, which are written in other languages.
package clients

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// npm returns the folder with Node and what npm has installed for tests.
func npm(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("../scripts/mcp-clients").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = errors.New(string(exit.Stderr))
		}
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// readAll reads the files that match pattern, so that the go command knows that the test depends on them.
func readAll(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v %v", pattern, files, err)
	}
	for _, file := range files {
		if _, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a program on the files that match pattern.
func run(t *testing.T, pattern, name string, args ...string) {
	t.Helper()
	readAll(t, pattern)
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func TestJavaScriptClient(t *testing.T) {
	run(t, "js/*", filepath.Join(npm(t), "node"), "--test", "js/crosstalk.test.js")
}

func TestJavaScriptTypes(t *testing.T) {
	modules := filepath.Join(npm(t), "node_modules")
	run(t, "js/*", filepath.Join(npm(t), "node"), filepath.Join(modules, "typescript", "bin", "tsc"), "-p", "js", "--typeRoots", filepath.Join(modules, "@types"))
}

// python returns one that has the package websockets: Debian's own, where another may come first in PATH.
func python(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(t.Context(), path, "-c", "import websockets").Run() == nil {
			return path
		}
	}
	t.Fatal("no python3 has the package websockets: scripts/tools installs it")
	return ""
}

func TestPythonClient(t *testing.T) {
	run(t, "python/*.py", python(t), "-W", "error::DeprecationWarning", "-m", "unittest", "discover", "-s", "python", "-p", "test_*.py")
}

func TestListenersAreShort(t *testing.T) {
	files, err := filepath.Glob("*/listener.*")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are none")
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(body, []byte{'\n'}); n >= 40 {
			t.Errorf("%s has %d lines", file, n)
		}
	}
}
