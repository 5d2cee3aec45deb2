package web

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// node returns a folder with a Node that the build runs on: the machine's, or the one that other tests install.
func node(t *testing.T) string {
	t.Helper()
	if exec.Command("node", "-e", "const [a, b] = process.versions.node.split('.'); process.exit(a > 22 || a == 22 && b >= 12 || a == 20 && b >= 19 ? 0 : 1)").Run() == nil {
		path, err := exec.LookPath("node")
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(path)
	}
	out, err := exec.Command("../scripts/mcp-clients").Output()
	if err != nil {
		t.Fatalf("find a Node: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// TestDistIsWhatTheSourcesMake builds in a folder of its own, from the sources and the lock file alone.
func TestDistIsWhatTheSourcesMake(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"web/ui", "clients/js"} {
		copyTree(t, filepath.Join("..", filepath.FromSlash(dir)), filepath.Join(top, filepath.FromSlash(dir)))
	}
	ui := filepath.Join(top, "web", "ui")
	for _, command := range []string{"npm ci --loglevel error", "npm run build"} {
		cmd := exec.Command("bash", "-c", command)
		cmd.Dir = ui
		cmd.Env = append(os.Environ(), "PATH="+node(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	built, committed := read(t, os.DirFS(filepath.Join(top, "web", "dist"))), read(t, os.DirFS("dist"))
	for name, body := range built {
		if !bytes.Equal(body, committed[name]) {
			t.Errorf("web/dist/%s is not what web/ui makes now: run npm ci && npm run build in web/ui", name)
		}
	}
	for name := range committed {
		if built[name] == nil {
			t.Errorf("web/dist/%s comes from nothing: run npm ci && npm run build in web/ui", name)
		}
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.Name() == "node_modules":
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), body, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, tree fs.FS) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(tree, path)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

// TestLockFileNamesNoRegistry lets whoever builds use the registry of their choice.
func TestLockFileNamesNoRegistry(t *testing.T) {
	lock, err := os.ReadFile("ui/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(lock, []byte(`"resolved"`)) || !bytes.Contains(lock, []byte(`"integrity"`)) {
		t.Error("the lock file must hold hashes, and no addresses: web/ui/.npmrc has omit-lockfile-registry-resolved")
	}
}
