package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// environment fills flags that were not given from the variables that their from tag names: the first that is set
// and not empty. Kong's own env tag reads the process behind run's back, and is not used.
type environment struct {
	getenv func(string) string
	used   map[string]string // flag to the variable that filled it
}

// Validate has nothing to say about the command line as a whole.
func (e *environment) Validate(*kong.Application) error { return nil }

// Resolve gives kong the value of a flag, or nil.
func (e *environment) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range variables(flag.Value) {
		if v := e.getenv(name); v != "" {
			e.used[flag.Name] = name
			return v, nil
		}
	}
	return nil, nil
}

// explain names the variable when it was no flag that could not be understood.
func (e *environment) explain(err error) error {
	for flag, name := range e.used {
		if strings.HasPrefix(err.Error(), "--"+flag+" ") || strings.HasPrefix(err.Error(), "--"+flag+":") {
			return fmt.Errorf("%w (from %s)", err, name)
		}
	}
	return err
}

func variables(v *kong.Value) []string {
	if from := v.Tag.Get("from"); from != "" {
		return strings.Split(from, ",")
	}
	return nil
}

// withVariables ends a flag's help with the variables that fill it.
func withVariables(v *kong.Value) string {
	names := variables(v)
	if len(names) == 0 {
		return v.Help
	}
	return strings.TrimSpace(v.Help + " [" + strings.Join(slices.Compact(names), ", ") + "]")
}
