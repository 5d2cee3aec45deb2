package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func TestRepositoryKeepsEveryRule(t *testing.T) {
	tree, err := Load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Packages) < 5 || len(tree.Texts) < 20 {
		t.Fatalf("only %d packages and %d files were found: is %q the root?", len(tree.Packages), len(tree.Texts), root)
	}
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			for _, complaint := range rule.Check(tree) {
				t.Error(complaint)
			}
		})
	}
}

func TestModuleIsNamedAsTheRulesBelieve(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(string(mod), "\n"); first != "module "+Module {
		t.Errorf("go.mod begins with %q", first)
	}
}

func TestSQLiteIsTheOneItsDriverWasBuiltWith(t *testing.T) {
	driver := strings.TrimSpace(command(t, "list", "-m", "-f", "{{.GoMod}}", "github.com/glebarez/go-sqlite"))
	ours := requirements(t, filepath.Join(root, "go.mod"))
	theirs := requirements(t, driver)
	if theirs["modernc.org/sqlite"] == "" || theirs["modernc.org/libc"] == "" {
		t.Fatalf("%s requires no modernc.org/sqlite: this test looks at the wrong file", driver)
	}
	for _, complaint := range SameSQLite(ours, theirs) {
		t.Error(complaint)
	}
}

func TestSameSQLiteComplains(t *testing.T) {
	theirs := Requirements{"modernc.org/sqlite": "v1.2.0", "modernc.org/libc": "v1.1.0", "golang.org/x/sys": "v0.1.0"}
	for name, ours := range map[string]Requirements{
		"newer":   {"modernc.org/sqlite": "v1.2.0", "modernc.org/libc": "v1.1.1"},
		"missing": {"modernc.org/sqlite": "v1.2.0"},
		"foreign": {"modernc.org/sqlite": "v1.2.0", "modernc.org/libc": "v1.1.0", "modernc.org/ql": "v1.0.0"},
	} {
		if found := SameSQLite(ours, theirs); len(found) != 1 {
			t.Errorf("%s: %d complaints, want 1: %q", name, len(found), found)
		}
	}
	same := Requirements{"modernc.org/sqlite": "v1.2.0", "modernc.org/libc": "v1.1.0", "golang.org/x/sys": "v0.9.0"}
	if found := SameSQLite(same, theirs); len(found) != 0 {
		t.Errorf("the same versions: %q", found)
	}
}

func requirements(t *testing.T, gomod string) Requirements {
	t.Helper()
	r, err := ParseRequirements([]byte(command(t, "mod", "edit", "-json", gomod)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// command runs the go command in this folder.
func command(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
