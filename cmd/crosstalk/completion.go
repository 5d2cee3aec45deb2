package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

//go:embed completion
var completionScripts embed.FS

// completionCommand prints a script for one shell. The libraries that do this for kong complete through variables of
// the process, which only main reads here, so the script is made from kong's model instead.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Your shell: bash, zsh or fish."`
}

// Help shows where the script goes.
func (completionCommand) Help() string {
	return `Load it in the running shell, or keep it for later ones:

    source <(crosstalk completion bash)
    crosstalk completion bash > ~/.local/share/bash-completion/completions/crosstalk
    crosstalk completion zsh > "${fpath[1]}/_crosstalk"
    crosstalk completion fish > ~/.config/fish/completions/crosstalk.fish`
}

// Run prints the script.
func (c completionCommand) Run(p *process, k *kong.Kong) error {
	scripts, err := template.New("").Funcs(template.FuncMap{"quote": shellQuote}).ParseFS(completionScripts, "completion/*")
	if err != nil {
		return fmt.Errorf("completion: %w", err)
	}
	return scripts.ExecuteTemplate(p.stdout, c.Shell, completions(k.Model.Node, ""))
}

// completion is what may follow one chain of subcommands.
type completion struct {
	Path     string // " keys add"; empty at the root
	Children []item
	Flags    []item
	Words    []string // values of the first argument
}

// item is one word that can be completed.
type item struct {
	Name, Help string
	Value      bool     // takes one
	Values     []string // which; none where anything goes
	File       bool     // the name of one
}

// completions lists what n and everything below it takes.
func completions(n *kong.Node, path string) []completion {
	here := completion{Path: path}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			flag := item{Name: "--" + f.Name, Help: f.Help, Value: !f.IsBool() && !f.IsCounter(), File: f.Tag.Get("complete") == "file"}
			if f.Enum != "" {
				flag.Values = f.EnumSlice()
			}
			here.Flags = append(here.Flags, flag)
		}
	}
	for _, arg := range n.Positional {
		if arg.Enum != "" && here.Words == nil {
			here.Words = arg.EnumSlice()
		}
	}
	var below []completion
	for _, child := range n.Children {
		if !child.Hidden {
			here.Children = append(here.Children, item{Name: child.Name, Help: child.Help})
			below = append(below, completions(child, path+" "+child.Name)...)
		}
	}
	return slices.Concat([]completion{here}, below)
}

// shellQuote makes s one word for bash, zsh and fish alike.
func shellQuote(s string) string {
	return "'" + strings.NewReplacer(`'`, `'"'"'`, "\n", " ").Replace(s) + "'"
}
