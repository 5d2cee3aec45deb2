package main

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestBoundsAreThoseOfTheCode holds what docs/operations.md says of a constant against its source.
func TestBoundsAreThoseOfTheCode(t *testing.T) {
	units := map[string]int64{"": 1, " KiB": 1 << 10, " MiB": 1 << 20}
	all := regexp.MustCompile("`([a-z/]+)\\.([a-zA-Z]+)` = (\\d+)( KiB| MiB)?").FindAllStringSubmatch(document(t, "docs/operations.md"), -1)
	if len(all) < 30 {
		t.Errorf("%d constants are named", len(all))
	}
	for _, m := range all {
		n, err := strconv.ParseInt(m[3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if is := constantIn(t, m[1], m[2]); is != n*units[m[4]] {
			t.Errorf("%s.%s is %d, and not %s%s", m[1], m[2], is, m[3], m[4])
		}
	}
}

// constantIn returns the value of a number that a package defines.
func constantIn(t *testing.T, dir, name string) (value int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			for i := 0; ok && i < len(spec.Names) && i < len(spec.Values); i++ {
				if spec.Names[i].Name != name {
					continue
				}
				if is, err := types.Eval(set, nil, token.NoPos, types.ExprString(spec.Values[i])); err == nil && is.Value != nil {
					value, _ = constant.Int64Val(constant.ToInt(is.Value))
				}
			}
			return true
		})
	}
	return value
}
