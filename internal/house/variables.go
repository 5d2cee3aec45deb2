package house

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// packageVariablesNeverChange finds package variables that some function assigns, counts up, clears, deletes from or
// takes the address of, and those whose type exists to change: locks, atomics, channels. A sync.Pool holds nothing that
// can be observed and is let be; so are tests.
func packageVariablesNeverChange(t *Tree) (found []string) {
	for _, p := range t.Packages {
		var files []*ast.File
		for _, f := range p.Files {
			if !f.Test {
				files = append(files, f.AST)
			}
		}
		if len(files) == 0 {
			continue
		}
		c := changes{tree: t, info: t.typeCheck(p.Dir, files)}
		for _, f := range files {
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.GenDecl:
					c.declared(d)
				case *ast.FuncDecl:
					ast.Inspect(d, c.statement)
				}
			}
		}
		found = append(found, c.found...)
	}
	return found
}

// changes collects what becomes of one package's variables.
type changes struct {
	tree  *Tree
	info  *types.Info
	found []string
}

func (c *changes) declared(d *ast.GenDecl) {
	for _, s := range d.Specs {
		spec, ok := s.(*ast.ValueSpec)
		if !ok || d.Tok != token.VAR {
			continue
		}
		kinds := append([]ast.Expr{spec.Type}, spec.Values...)
		for _, k := range kinds {
			if name := changingType(k); name != "" {
				c.found = append(c.found, c.tree.at(spec, "package variable %s is a %s, which exists to change", spec.Names[0].Name, name))
			}
		}
	}
}

// changingType names the type that e is, or makes a value of, when such values exist to change.
func changingType(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.ChanType:
		return "channel"
	case *ast.CompositeLit:
		return changingType(e.Type)
	case *ast.UnaryExpr:
		return changingType(e.X)
	case *ast.StarExpr:
		return changingType(e.X)
	case *ast.IndexExpr:
		return changingType(e.X)
	case *ast.CallExpr:
		if (isName(e.Fun, "make") || isName(e.Fun, "new")) && len(e.Args) > 0 {
			return changingType(e.Args[0])
		}
	case *ast.SelectorExpr:
		switch {
		case isName(e.X, "atomic"):
			return "atomic." + e.Sel.Name
		case isName(e.X, "sync") && strings.Contains(" Mutex RWMutex Map Once WaitGroup Cond ", " "+e.Sel.Name+" "):
			return "sync." + e.Sel.Name
		}
	}
	return ""
}

func (c *changes) statement(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			for _, left := range n.Lhs {
				c.touched(left, "assigned")
			}
		}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			c.touched(n.Key, "assigned")
			c.touched(n.Value, "assigned")
		}
	case *ast.IncDecStmt:
		c.touched(n.X, "assigned")
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			c.touched(n.X, "handed out by address")
		}
	case *ast.CallExpr:
		if (isName(n.Fun, "delete") || isName(n.Fun, "clear")) && len(n.Args) > 0 {
			c.touched(n.Args[0], "emptied")
		}
	}
	return true
}

// touched complains when e is a package variable or a part of one.
func (c *changes) touched(e ast.Expr, how string) {
	for e != nil {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.Ident:
			v, ok := c.info.Uses[x].(*types.Var)
			if ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
				c.found = append(c.found, c.tree.at(x, "package variable %s is %s here", x.Name, how))
			}
			return
		default:
			return
		}
	}
}

// typeCheck finds out which name means which variable. Imported packages stay unknown, and what cannot be checked
// for that reason does not matter here.
func (t *Tree) typeCheck(dir string, files []*ast.File) *types.Info {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	//nolint:errcheck // The errors are those of the imports that are left out.
	_, _ = config.Check(dir, t.fset, files, info)
	return info
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }
