package house

import (
	"go/ast"
	"slices"
	"strings"
)

func noInit(t *Tree) []string {
	return t.eachFile(func(_ *Package, f *File) (found []string) {
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, t.at(fn, "init runs unasked: let the caller ask"))
			}
		}
		return found
	})
}

// processNames are the ways to read or change what belongs to the whole process.
func processNames() map[string][]string {
	return map[string][]string{
		"os": {"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Clearenv", "Args", "Exit", "Chdir",
			"Stdin", "Stdout", "Stderr"},
		"os/signal": {"Notify", "NotifyContext", "Ignore", "Reset"},
		"syscall":   {"Exit", "Kill"},
		"log":       {"Fatal", "Fatalf", "Fatalln", "SetOutput", "SetFlags"},
		"log/slog":  {"SetDefault"},
		"flag":      {"Parse"},
	}
}

// onlyMainTouchesTheProcess leaves tests alone: a test binary is a process of its own, and some start themselves again.
func onlyMainTouchesTheProcess(t *Tree) []string {
	return t.eachFile(func(p *Package, f *File) (found []string) {
		if f.Test || within(p.Dir, "internal/house") || within(p.Dir, "cmd") && strings.HasSuffix(f.Path, "/main.go") {
			return nil
		}
		for library, names := range processNames() {
			local := localName(f, library)
			if local == "" {
				continue
			}
			ast.Inspect(f.AST, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && isName(s.X, local) && slices.Contains(names, s.Sel.Name) {
					found = append(found, t.at(s, "%s.%s: only main touches the process, the rest gets it as an argument", library, s.Sel.Name))
				}
				return true
			})
		}
		return found
	})
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// testsDoNotSleep allows the helper named eventually, which waits for other processes, and bubbles of
// testing/synctest, where sleeping is how time passes.
func testsDoNotSleep(t *Tree) (found []string) {
	for _, p := range t.Packages {
		bubbles := p.bubbles()
		for _, f := range p.Files {
			clock := localName(f, "time")
			if !f.Test || clock == "" {
				continue
			}
			ast.Inspect(f.AST, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					return n.Name.Name != "eventually"
				case *ast.CallExpr:
					if id, ok := n.Fun.(*ast.Ident); isBubble(f, n) || ok && bubbles[id.Name] {
						return false
					}
					if s, ok := n.Fun.(*ast.SelectorExpr); ok && isName(s.X, clock) && s.Sel.Name == "Sleep" {
						found = append(found, t.at(n, "a test that sleeps is slow or flaky: wait for the fact, or use synctest"))
					}
				}
				return true
			})
		}
	}
	return found
}

// bubbles names the package's helpers that run what they are given in a bubble.
func (p *Package) bubbles() map[string]bool {
	names := map[string]bool{}
	for _, f := range p.Files {
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && isBubble(f, call) {
					names[fn.Name.Name] = true
				}
				return true
			})
		}
	}
	return names
}

func isBubble(f *File, call *ast.CallExpr) bool {
	name := localName(f, "testing/synctest")
	s, ok := call.Fun.(*ast.SelectorExpr)
	return ok && name != "" && isName(s.X, name) && s.Sel.Name == "Test"
}
