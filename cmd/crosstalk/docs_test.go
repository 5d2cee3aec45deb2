package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// document reads a file of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sources reads all of a package but its tests.
func sources(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			all += document(t, dir+"/"+filepath.Base(file))
		}
	}
	return all
}

// found collects what the pattern's only group finds in text, sorted, each once.
func found(t *testing.T, pattern, text string) []string {
	t.Helper()
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("nothing is found by %s", pattern)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestProtocolListsEveryRoute(t *testing.T) {
	r := start(t, dbIn(t), env())
	c := client(t)
	documented := found(t, "(?m)^\\| `((?:GET|POST|DELETE) [^`]*)`", document(t, "docs/protocol.md"))
	var api struct {
		Paths map[string]map[string]json.RawMessage
	}
	call(t, c, r.url+"/openapi.json", nil, &api)
	for path, methods := range api.Paths {
		for method := range methods {
			route := strings.ToUpper(method) + " " + path
			if !slices.Contains(documented, route) && method != "parameters" {
				t.Errorf("docs/protocol.md has no %s", route)
			}
		}
	}
	for _, route := range documented {
		method, path, _ := strings.Cut(route, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, r.url+strings.NewReplacer("{channel}", "c", "{id}", "1", "{key}", "k", "{name}", "n").Replace(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Error string }
		_ = json.NewDecoder(res.Body).Decode(&answer) // some answers are no JSON objects
		_ = res.Body.Close()
		if res.StatusCode == http.StatusMethodNotAllowed || strings.Contains(answer.Error, "nothing at this path") {
			t.Errorf("docs/protocol.md has %s, the hub has not: %d %s", route, res.StatusCode, answer.Error)
		}
	}
}

func TestProtocolListsEveryFrame(t *testing.T) {
	code := sources(t, "hub") + sources(t, "hub/ws")
	said := found(t, `(?:"type":"|appendType\([a-z]+, ")([a-z]+)"`, code)
	_, do, ok := strings.Cut(code, "switch cmd.Type {")
	if !ok {
		t.Fatal("the switch over commands is not where it was")
	}
	do, _, _ = strings.Cut(do, "\n\t}")
	heard := found(t, `case "([a-z]+)"`, do)
	both := slices.Concat(said, heard)
	slices.Sort(both)
	if diff := cmp.Diff(slices.Compact(both), found(t, `"type":"([a-z]+)"`, document(t, "docs/protocol.md"))); diff != "" {
		t.Errorf("frames and commands (-code +docs/protocol.md):\n%s", diff)
	}
}

func TestProtocolListsEveryCode(t *testing.T) {
	text := document(t, "docs/protocol.md")
	for _, code := range found(t, `(?m)^\tclose[A-Za-z]+\s+= (\d{4})`, sources(t, "hub/ws")) {
		if !strings.Contains(text, code) {
			t.Errorf("docs/protocol.md has no close code %s", code)
		}
	}
	for _, code := range found(t, `Code = "([a-z_]+)"`, sources(t, "models")) {
		if !strings.Contains(text, "`"+code+"` |") {
			t.Errorf("docs/protocol.md has no error code %s", code)
		}
	}
}

func TestReadmeListsEverySetting(t *testing.T) {
	readme := document(t, "README.md")
	flags := found(t, "(?m)^\\| `(--[a-z-]+)", readme)
	var c commands
	k, _, err := newParser(&c, env(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range k.Model.Children[0].Flags {
		want = append(want, "--"+f.Name)
		for _, name := range variables(f.Value) {
			if !regexp.MustCompile("(?m)^\\| `--" + f.Name + "[ `].*`" + name + "`").MatchString(readme) {
				t.Errorf("README does not say that %s fills --%s", name, f.Name)
			}
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, flags); diff != "" {
		t.Errorf("flags of serve (-have +README):\n%s", diff)
	}
	// Some fields are groups of settings.
	n := reflect.TypeFor[serveCommand]().NumField()
	for _, group := range []reflect.Type{reflect.TypeFor[waitSettings](), reflect.TypeFor[limitSettings](), reflect.TypeFor[databaseSettings](), reflect.TypeFor[serverSettings]()} {
		n += group.NumField() - 1
	}
	if len(want) != n {
		t.Errorf("%d flags for %d settings", len(want), n)
	}
}

func TestSecurityIsTestedWhereItSays(t *testing.T) {
	tests := ""
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			var b []byte
			b, err = os.ReadFile(path)
			tests += string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found(t, `(Test[A-Z]\w+)`, document(t, "docs/security.md")) {
		if !strings.Contains(tests, "func "+name+"(t *testing.T)") {
			t.Errorf("docs/security.md names %s, which is not there", name)
		}
	}
}

func TestReadmeShowsTheTree(t *testing.T) {
	shown := found(t, `(?m)^    ([a-z][a-z/]*)/  `, document(t, "README.md"))
	for _, dir := range shown {
		if info, err := os.Stat(filepath.Join("..", "..", dir)); err != nil || !info.IsDir() {
			t.Errorf("README shows %s: %v", dir, err)
		}
	}
}

func TestReadmesFirstMessageArrives(t *testing.T) {
	_, section, _ := strings.Cut(document(t, "README.md"), "## The first message")
	section, _, _ = strings.Cut(section, "\n## ")
	r := start(t, dbIn(t), env())
	last := ""
	for _, line := range found(t, "(?m)^    (curl .*)", section) {
		line = strings.ReplaceAll(line, "localhost:8787", strings.TrimPrefix(r.url, "http://"))
		out, err := exec.CommandContext(t.Context(), "bash", "-c", strings.Replace(line, "curl", "curl -sS --fail", 1)).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		last = string(out)
	}
	if !strings.Contains(last, `"content":"hello"`) {
		t.Errorf("the last command shows %s", last)
	}
}

func TestCommandLineIsDocumented(t *testing.T) {
	text := document(t, "docs/cli.md") + document(t, "README.md") + document(t, "docs/clients.md") + document(t, "docs/performance.md") + document(t, "docs/operations.md")
	var c commands
	k, _, err := newParser(&c, env(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range k.Model.Children {
		if !strings.Contains(text, "crosstalk "+node.Name) {
			t.Errorf("neither README nor docs say what crosstalk %s is for", node.Name)
		}
	}
	known := found(t, "`crosstalk ([a-z-]+)", text)
	for _, name := range known {
		if !slices.ContainsFunc(k.Model.Children, func(n *kong.Node) bool { return n.Name == name }) {
			t.Errorf("there is no crosstalk %s", name)
		}
	}
}
