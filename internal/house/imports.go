package house

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// floor is one storey of the house. A package belongs to the floor that names it most closely.
type floor struct {
	height int
	dir    string // this folder and what is below it
}

// floors lists the storeys from the ground. A package may import packages of lower storeys, and of its own
// storey only itself and what stands in its own folder. What looks at the house from outside, to test it, stands on top.
func floors() []floor {
	return []floor{
		{0, "models"}, {0, "internal/pgtest"}, {0, "internal/load"}, {0, "internal/browser"}, {0, "internal/socket"}, {0, "internal/eventually"},
		{1, "models/store"},
		{2, "hub"},
		{3, "auth"},
		{4, "internal/handoff"},
		{5, "rest"}, {5, "bridge"}, {5, "hub/ws"}, {5, "web"}, {5, "auth/oauth"},
		{6, "cmd"},
		{7, "internal/house"}, {7, "internal/faults"}, {7, "clients"},
	}
}

// within says whether dir is top or lies below it.
func within(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }

// floorOf returns the floor of a folder; ok is false where it has none.
func floorOf(dir string) (found floor, ok bool) {
	for _, f := range floors() {
		if within(dir, f.dir) && len(f.dir) > len(found.dir) {
			found, ok = f, true
		}
	}
	return found, ok
}

func importsPointDown(t *Tree) []string {
	return t.eachFile(func(p *Package, f *File) (found []string) {
		own, ok := floorOf(p.Dir)
		if !ok {
			return []string{t.at(f.AST.Name, "folder %s has no place in the order of imports", p.Dir)}
		}
		for _, spec := range f.AST.Imports {
			dir, ours := strings.CutPrefix(importPath(spec), Module+"/")
			if !ours {
				continue
			}
			other, ok := floorOf(dir)
			switch {
			case !ok:
				found = append(found, t.at(spec, "%s imports %s, which has no place in the order of imports", p.Dir, dir))
			case other.height > own.height:
				found = append(found, t.at(spec, "%s imports %s, which stands above it", p.Dir, dir))
			case other.height == own.height && other.dir != own.dir:
				found = append(found, t.at(spec, "%s imports %s: doors never import doors", p.Dir, dir))
			}
		}
		return found
	})
}

// homes says which folders may import a library; every other folder gets its work done through them.
func homes() map[string][]string {
	store, fiber := []string{"models/store"}, []string{"rest", "internal/handoff"}
	return map[string][]string{
		"gorm.io":                      store,
		"github.com/glebarez":          store,
		"modernc.org":                  store,
		"zombiezen.com":                store,
		"github.com/jackc":             {"models/store", "hub/doorbell", "internal/pgtest"},
		"database/sql":                 store,
		"github.com/gofiber":           fiber,
		"github.com/valyala/fasthttp":  fiber,
		"github.com/mark3labs/mcp-go":  {"bridge"},
		"github.com/coder/websocket":   {"hub/ws"},
		"github.com/fsnotify/fsnotify": {"hub/doorbell"},
		"github.com/chromedp":          {"internal/browser"},
		"github.com/alecthomas/kong":   {"cmd"},
		"github.com/coreos/go-systemd": {"cmd"},
		"github.com/KimMachineGun":     {"cmd"},
		"github.com/prometheus":        {"rest/metrics"},
	}
}

// librariesStayHome leaves tests alone: they may use a library as a client would.
func librariesStayHome(t *Tree) []string {
	return t.eachFile(func(p *Package, f *File) (found []string) {
		if f.Test {
			return nil
		}
		for _, spec := range f.AST.Imports {
			for library, dirs := range homes() {
				allowed := func(dir string) bool { return within(p.Dir, dir) }
				if within(importPath(spec), library) && !slices.ContainsFunc(dirs, allowed) {
					found = append(found, t.at(spec, "%s may be imported only by %s", library, strings.Join(dirs, " and ")))
				}
			}
		}
		return found
	})
}

func noTestFramework(t *Tree) []string {
	return t.eachFile(func(_ *Package, f *File) (found []string) {
		for _, spec := range f.AST.Imports {
			for _, name := range []string{"stretchr/testify", "gomock", "mockery", "onsi/"} {
				if strings.Contains(importPath(spec), name) {
					found = append(found, t.at(spec, "%s: the testing package and go-cmp are enough", importPath(spec)))
				}
			}
		}
		return found
	})
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return p
}

// calls the name under which f knows the package at importedPath; empty where it does not.
func localName(f *File, importedPath string) string {
	for _, spec := range f.AST.Imports {
		if importPath(spec) != importedPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importedPath)
	}
	return ""
}
