package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCompletesInBash(t *testing.T) {
	script, err := output(t, env(), "completion", "bash")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"hub.db", "hub two.db"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		line []string // the words as bash cuts them; the last one is being typed
		want []string
	}{
		{[]string{""}, append(subcommands(t), "--help")},
		{[]string{"v"}, []string{"verify", "version"}},
		{[]string{"mc"}, []string{"mcp", "mcp-config"}},
		{[]string{"--h"}, []string{"--help"}},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish", "--help"}},
		{[]string{"serve", "--log"}, []string{"--log-level", "--log-format"}},
		{[]string{"serve", "--log-level", ""}, []string{"debug", "info", "warn", "error"}},
		{[]string{"serve", "--log-level", "=", "w"}, []string{"warn"}},
		{[]string{"serve", "--log-level", "="}, []string{"debug", "info", "warn", "error"}},
		{[]string{"serve", "--log-level", "=", "warn", "--log-f"}, []string{"--log-format"}},
		{[]string{"serve", "--db", "hub"}, []string{"hub.db", "hub two.db"}},
		{[]string{"serve", "--db", "version", "--log-f"}, []string{"--log-format"}},
		{[]string{"serve", "--key", ""}, nil},
	} {
		t.Run(strings.Join(tc.line, " "), func(t *testing.T) {
			got := completeInBash(t, dir, script, tc.line)
			slices.Sort(got)
			slices.Sort(tc.want)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// subcommands are all there are.
func subcommands(t *testing.T) (names []string) {
	t.Helper()
	k, _, err := newParser(&commands{}, env(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range k.Model.Children {
		names = append(names, c.Name)
	}
	return names
}

// completeInBash lets bash do what it does when Tab is pressed.
func completeInBash(t *testing.T, dir, script string, line []string) []string {
	t.Helper()
	press := script + `
COMP_WORDS=(crosstalk "$@") COMP_CWORD=$#
$(complete -p crosstalk | sed 's/.*-F \([^ ]*\) .*/\1/') crosstalk
printf '%s\n' "${COMPREPLY[@]}"`
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{"--norc", "-c", press, "bash"}, line...)...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("bash: %v\n%s", err, stderr.String())
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			script, err := output(t, env(), "completion", shell)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "completion."+shell, script)
		})
	}
}

func TestCompletionScriptsParse(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), shell, "-n", filepath.Join("testdata", "completion."+shell)).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestQuotesSurviveTheShell(t *testing.T) {
	const text = `Go's $HOME "and" ` + "`more`"
	out, err := exec.CommandContext(t.Context(), "bash", "-c", "printf %s "+shellQuote(text)).Output()
	if err != nil || string(out) != text {
		t.Errorf("got %q, %v", out, err)
	}
}
