package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// environment fills flags that were not given from the variables that their from tag names: the first that is set
// and not empty. Kong's own env tag reads the process behind run's back, and is not used.
type environment struct {
	getenv func(string) string
	used   map[string]string // flag to the variable that filled it
	wrong  map[string]string // flag to what that variable says, where it cannot be understood: the flag has its default
	faults []error           // a sentence for each of these
}

// Validate has nothing to say about the command line as a whole.
func (e *environment) Validate(*kong.Application) error { return nil }

// Resolve gives kong the value of a flag, or nil. Kong would stop at the first that it cannot understand.
func (e *environment) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range variables(flag.Value) {
		v := e.getenv(name)
		if v == "" {
			continue
		}
		e.used[flag.Name] = name
		if must := mustBe(flag, v); must != "" {
			e.wrong[flag.Name] = v
			e.faults = append(e.faults, misuse("--%s must be %s, not %q (from %s)", flag.Name, must, v, name))
			return nil, nil
		}
		return v, nil
	}
	return nil, nil
}

// mustBe says what the value of a flag must be, if v is not that.
func mustBe(flag *kong.Flag, v string) string {
	if flag.Enum != "" && !slices.Contains(flag.EnumSlice(), v) {
		return "one of " + strings.Join(flag.EnumSlice(), ", ")
	}
	target := reflect.New(flag.Target.Type()).Elem()
	if flag.Parse(kong.Scan().PushTyped(v, kong.FlagValueToken), target) == nil {
		return ""
	}
	switch {
	case target.Kind() == reflect.Bool:
		return "true or false"
	case target.CanInt():
		return "a whole number"
	case target.CanFloat():
		return "a number"
	}
	return "something else"
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
