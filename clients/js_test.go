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

// run runs a program on files that match patterns. The files are read here too, so that the go command knows that the
// test depends on them.
func run(t *testing.T, patterns []string, name string, args ...string) {
	t.Helper()
	for _, pattern := range patterns {
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
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func TestJavaScriptClient(t *testing.T) {
	run(t, []string{"js/*"}, filepath.Join(npm(t), "node"), "--test", "js/crosstalk.test.js")
}

func TestJavaScriptTypes(t *testing.T) {
	modules := filepath.Join(npm(t), "node_modules")
	run(t, []string{"js/*"}, filepath.Join(npm(t), "node"), filepath.Join(modules, "typescript", "bin", "tsc"), "-p", "js", "--typeRoots", filepath.Join(modules, "@types"))
}

func TestPythonClient(t *testing.T) {
	python := "/usr/bin/python3" // Debian's own, where another may come first in PATH
	if exec.CommandContext(t.Context(), python, "-c", "import websockets").Run() != nil {
		python = "python3"
	}
	run(t, []string{"python/*.py"}, python, "-W", "error::DeprecationWarning", "-m", "unittest", "discover", "-s", "python", "-p", "test_*.py")
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
