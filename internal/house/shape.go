package house

import (
	"fmt"
	"go/ast"
	"path"
	"strings"
)

// The shape of the house. Tests may be longer, and their functions as long as what they tell.
const (
	maxFileLines     = 400
	maxTestLines     = 600
	maxFuncLines     = 59
	maxPackageFiles  = 10
	maxInterfaceSize = 5
	maxAgentsLines   = 60
)

func filesAreShort(t *Tree) []string {
	found := t.eachFile(func(_ *Package, f *File) []string {
		most := maxFileLines
		if f.Test {
			most = maxTestLines
		}
		if n := f.lines(); n > most && !f.Generated {
			return []string{fmt.Sprintf("%s: %d lines, at most %d", f.Path, n, most)}
		}
		return nil
	})
	for _, text := range t.Texts {
		if n := text.lines(); text.Path == "AGENTS.md" && n > maxAgentsLines {
			found = append(found, fmt.Sprintf("%s: %d lines, at most %d", text.Path, n, maxAgentsLines))
		}
	}
	return found
}

func functionsAreShort(t *Tree) []string {
	return t.eachFile(func(_ *Package, f *File) (found []string) {
		if f.Test || f.Generated {
			return nil
		}
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := t.fset.Position(fn.End()).Line - t.fset.Position(fn.Pos()).Line + 1
			if n > maxFuncLines {
				found = append(found, t.at(fn, "%s is %d lines long, at most %d", fn.Name.Name, n, maxFuncLines))
			}
		}
		return found
	})
}

// packagesAreSmall wants one doc.go with the package's promise in each package, and few files beside it. A command may
// say it in main.go, and has one file for each subcommand.
func packagesAreSmall(t *Tree) (found []string) {
	for _, p := range t.Packages {
		files, documented := 0, false
		name, want := "", "doc.go"
		for _, f := range p.Files {
			if f.Test {
				continue
			}
			files++
			name = f.AST.Name.Name
			begin := "Package " + name + " "
			if name == "main" {
				begin = "Command " + path.Base(p.Dir) + " "
			}
			base := path.Base(f.Path)
			home := base == "doc.go" || name == "main" && base == "main.go"
			if home && f.AST.Doc != nil && strings.HasPrefix(f.AST.Doc.Text(), begin) {
				documented = true
			}
		}
		if name == "main" {
			want = "main.go"
		}
		if files > 0 && !documented {
			found = append(found, fmt.Sprintf("%s: no %s that says what package %s promises", p.Dir, want, name))
		}
		if files > maxPackageFiles && p.Dir != "cmd/crosstalk" {
			found = append(found, fmt.Sprintf("%s: %d files beside its tests, at most %d", p.Dir, files, maxPackageFiles))
		}
	}
	return found
}

func interfacesAreSmall(t *Tree) []string {
	return t.eachFile(func(p *Package, f *File) (found []string) {
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok {
				if size := p.methods(i); size > maxInterfaceSize {
					found = append(found, t.at(i, "an interface of %d methods, at most %d", size, maxInterfaceSize))
				}
			}
			return true
		})
		return found
	})
}

// methods counts those of i and of the package's own interfaces that it embeds; one for each that is embedded
// from elsewhere.
func (p *Package) methods(i *ast.InterfaceType) (n int) {
	for _, field := range i.Methods.List {
		if len(field.Names) > 0 {
			n += len(field.Names)
			continue
		}
		switch e := field.Type.(type) {
		case *ast.Ident:
			if inner := p.interfaceNamed(e.Name); inner != nil && inner != i {
				n += p.methods(inner)
			}
		case *ast.SelectorExpr:
			n++
		}
	}
	return n
}

func (p *Package) interfaceNamed(name string) (found *ast.InterfaceType) {
	for _, f := range p.Files {
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == name {
				if i, ok := spec.Type.(*ast.InterfaceType); ok {
					found = i
				}
			}
			return found == nil
		})
	}
	return found
}
