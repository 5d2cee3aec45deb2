package catalog

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"crosstalk/models"
)

// Args are the arguments of one call. The first that is wrong is kept as Err; until that is looked at,
// wrong ones read as absent.
type Args struct {
	values map[string]json.RawMessage
	err    error
}

// Parse reads the arguments of a call.
func Parse(raw json.RawMessage) *Args {
	a := &Args{}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		return a
	}
	if !utf8.Valid(raw) {
		a.fail("the arguments are not valid UTF-8: send them again as UTF-8")
	} else if err := json.Unmarshal(raw, &a.values); err != nil {
		a.fail(`the arguments must be one JSON object, such as {"channel":"general"}`)
	}
	return a
}

// Err is what is wrong with the arguments that were asked for, or nil.
func (a *Args) Err() error { return a.err }

func (a *Args) fail(format string, args ...any) {
	if a.err == nil {
		a.err = models.Errorf(models.Invalid, format, args...)
	}
}

// given returns an argument, or nil if it is absent: not named, null or "".
func (a *Args) given(name string) json.RawMessage {
	raw := a.values[name]
	if s := string(raw); s == "null" || s == `""` {
		return nil
	}
	return raw
}

// Has says whether an argument is there.
func (a *Args) Has(name string) bool { return a.given(name) != nil }

// Text reads a text; absent is empty.
func (a *Args) Text(name string) string {
	raw := a.given(name)
	if raw == nil {
		return ""
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		a.fail("%s must be a text, not %s: put it in quotes", name, kindOf(raw))
		return ""
	}
	return s
}

// Need reads a text that must be there; example is one to show.
func (a *Args) Need(name, example string) string {
	s := a.Text(name)
	if s == "" {
		a.fail("%s is missing: call again with it, for example %s=%q", name, name, example)
	}
	return s
}

// Who reads the caller's name under either of its names, first the one this tool's schema has.
func (a *Args) Who(name string) string {
	other := "instance_id"
	if name == other {
		other = "sender"
	}
	if !a.Has(name) {
		name = other
	}
	return a.Text(name)
}

// NeedWho is Who that must be there.
func (a *Args) NeedWho(name string) string {
	s := a.Who(name)
	if s == "" {
		a.fail(`%s is missing: call again with your name, for example %s="builder"`, name, name)
	}
	return s
}

// Channel reads a channel's name; absent is general.
func (a *Args) Channel() string {
	name := a.Text("channel")
	if name == "" {
		return models.General
	}
	return a.ParseChannel(name)
}

// Channels is Channel that may also be * for all.
func (a *Args) Channels() string {
	if strings.TrimSpace(a.Text("channel")) == models.Every {
		return models.Every
	}
	return a.Channel()
}

// ParseChannel normalises a channel's name.
func (a *Args) ParseChannel(name string) string {
	ch, err := models.ParseChannel(name)
	if err != nil && a.err == nil {
		a.err = err
	}
	return ch
}

// Whole reads a whole number.
func (a *Args) Whole(name string) models.Int {
	raw := a.given(name)
	var n models.Int
	if raw == nil {
		return n
	}
	if c := raw[0]; c == '"' || c == '-' || c >= '0' && c <= '9' {
		if n.UnmarshalJSON(raw) == nil {
			return n
		}
	}
	a.fail("%s must be a whole number such as 12, not %s", name, kindOf(raw))
	return models.Int{}
}

// Limit reads how many of something are wanted: standard if not said, and always from 1 to most.
func (a *Args) Limit(name string, standard, most int) int {
	n := a.Whole(name)
	if !n.Set {
		return standard
	}
	return int(min(max(n.Value, 1), int64(most)))
}

// Number reads a number that may have a fraction.
func (a *Args) Number(name string, standard float64) float64 {
	raw := a.given(name)
	if raw == nil {
		return standard
	}
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `" `), 64)
	if err != nil && !math.IsInf(n, 0) || math.IsNaN(n) || strings.ContainsAny(string(raw), "xXnN_") {
		a.fail("%s must be a number such as 1.5, not %s", name, kindOf(raw))
		return standard
	}
	return n
}

// Flag reads true or false.
func (a *Args) Flag(name string, standard bool) bool {
	raw := a.given(name)
	switch strings.Trim(string(raw), `"`) {
	case "":
		return standard
	case "true":
		return true
	case "false":
		return false
	}
	a.fail("%s must be true or false, not %s", name, kindOf(raw))
	return standard
}

func kindOf(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "the text " + models.Cut(string(raw), 0, 60)
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return string(raw)
	}
	return "the number " + models.Cut(string(raw), 0, 60)
}
