package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Module is the import path under which the repository's own packages stand.
const Module = "crosstalk"

// Tree is the repository as the rules see it.
type Tree struct {
	Packages []*Package
	Texts    []*Text
	fset     *token.FileSet
}

// Package is one folder of Go files, its tests included.
type Package struct {
	Dir   string // "." for the root
	Files []*File
}

// File is one Go file.
type File struct {
	*Text
	Test      bool
	Generated bool
	AST       *ast.File
}

// Text is one file of any kind that is no binary.
type Text struct {
	Path string // from the root, with slashes
	Body []byte
}

// Rule is something that holds for every file of the repository.
type Rule struct {
	Name  string
	Check func(*Tree) []string // each a place and a sentence; none when the rule is kept
}

// Rules are all rules that can be checked by reading.
func Rules() []Rule {
	return []Rule{
		{"imports point down", importsPointDown},
		{"libraries stay in their package", librariesStayHome},
		{"no test framework", noTestFramework},
		{"files are short", filesAreShort},
		{"functions are short", functionsAreShort},
		{"packages are small and say what they promise", packagesAreSmall},
		{"interfaces are small", interfacesAreSmall},
		{"no init", noInit},
		{"only main touches the process", onlyMainTouchesTheProcess},
		{"package variables never change", packageVariablesNeverChange},
		{"tests do not sleep", testsDoNotSleep},
		{"nothing is left for later", nothingLeftForLater},
		{"the repository speaks of the product alone", productAlone},
	}
}

// Load reads the tree under root. Go files below testdata, and below folders whose name begins with a dot
// or an underscore, are texts only, as they are for the go command.
func Load(root fs.FS) (*Tree, error) {
	t := &Tree{fset: token.NewFileSet()}
	byDir := map[string]*Package{}
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return fs.SkipDir
		case !d.Type().IsRegular() || p == ".git": // in a worktree .git is a file that names a folder of the machine
			return nil
		}
		body, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		if bytes.IndexByte(body[:min(len(body), 8000)], 0) >= 0 {
			return nil
		}
		text := &Text{Path: p, Body: body}
		t.Texts = append(t.Texts, text)
		if !isGo(p) {
			return nil
		}
		f, err := t.parse(text)
		if err != nil {
			return err
		}
		dir := path.Dir(p)
		if byDir[dir] == nil {
			byDir[dir] = &Package{Dir: dir}
			t.Packages = append(t.Packages, byDir[dir])
		}
		byDir[dir].Files = append(byDir[dir].Files, f)
		return nil
	})
	return t, err
}

func isGo(p string) bool {
	hidden := func(s string) bool { return s == "testdata" || s[0] == '.' || s[0] == '_' }
	return strings.HasSuffix(p, ".go") && !slices.ContainsFunc(strings.Split(p, "/"), hidden)
}

func (t *Tree) parse(text *Text) (*File, error) {
	f, err := parser.ParseFile(t.fset, text.Path, text.Body, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return &File{
		Text: text, AST: f, Generated: ast.IsGenerated(f),
		Test: strings.HasSuffix(text.Path, "_test.go"),
	}, nil
}

// at makes a complaint about the place where n begins.
func (t *Tree) at(n ast.Node, format string, args ...any) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d: ", p.Filename, p.Line) + fmt.Sprintf(format, args...)
}

// eachFile collects what check finds wrong in each Go file.
func (t *Tree) eachFile(check func(*Package, *File) []string) (found []string) {
	for _, p := range t.Packages {
		for _, f := range p.Files {
			found = append(found, check(p, f)...)
		}
	}
	return found
}

// lines counts as editors do.
func (t *Text) lines() int {
	n := bytes.Count(t.Body, []byte{'\n'})
	if len(t.Body) > 0 && t.Body[len(t.Body)-1] != '\n' {
		n++
	}
	return n
}
