package main

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"crosstalk/auth"
	"crosstalk/models"
)

// configCommand shows what serve would run with. It takes all that serve takes.
type configCommand struct {
	Serve serveCommand `embed:""`
	JSON  bool         `name:"json" help:"Print one JSON object for each setting."`
}

// Help says what is shown.
func (configCommand) Help() string {
	return `Shows every setting of crosstalk serve, its value, and where that came from: a flag, a variable, or the default. Keys and
passwords are not shown. It takes the flags of serve, opens nothing, and fails where serve would refuse to start, with a sentence
for each setting that is wrong.

Examples:

    crosstalk config
    docker exec hub crosstalk config --json
    PORT=8787 crosstalk config --cleanup-days 90`
}

// setting is one line.
type setting struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	From    string `json:"from"` // flag, default, or the name of a variable
}

// Run prints the settings, and then what is wrong with them.
func (c *configCommand) Run(p *process, k *kong.Context) error {
	out := newPrinter(p, c.JSON)
	list := c.list(p, k)
	var err error
	if out.json {
		err = each(out, list)
	} else {
		var rows [][]string
		for _, s := range list {
			if s.Value == "" {
				s.Value = "-"
			}
			rows = append(rows, []string{s.Setting, s.Value, s.From})
		}
		err = out.table([]string{"SETTING", "VALUE", "FROM"}, rows)
	}
	return errors.Join(err, c.Serve.faults(p))
}

func (c *configCommand) list(p *process, k *kong.Context) (list []setting) {
	given := map[string]bool{} // a flag that stands on the command line
	for _, part := range k.Path {
		if part.Flag != nil && !part.Resolved {
			given[part.Flag.Name] = true
		}
	}
	for _, f := range k.Selected().Flags {
		if variables(f.Value) == nil { // no setting of serve
			continue
		}
		s := setting{"--" + f.Name, shown(f.Name, valueOf(f.Target)), "default"}
		switch {
		case given[f.Name]:
			s.From = "flag"
		case p.filled(f.Name):
			s.From = p.environment.used[f.Name]
		}
		if wrong := p.environment.wrong[f.Name]; wrong != "" && !given[f.Name] {
			s.Value = shown(f.Name, wrong)
		}
		list = append(list, s)
	}
	for i := range list {
		switch s := &list[i]; {
		case s.Value != "":
		case s.Setting == "--db":
			if file, err := databasePath("", p.getenv); err == nil && c.Serve.DatabaseURL == "" {
				s.Value = file
			}
		case s.Setting == "--addr" && c.Serve.Port == "":
			s.Value = "localhost:" + defaultPort
		}
	}
	return list
}

func valueOf(v reflect.Value) string {
	if all, ok := v.Interface().([]string); ok {
		return strings.Join(all, ",")
	}
	return fmt.Sprint(v.Interface())
}

const hidden = "xxxxx"

// shown is a value without what should not be seen.
func shown(flag, value string) string {
	isURL := strings.HasSuffix(flag, "-url")
	switch {
	case value == "":
		return ""
	case flag == "key":
		return hidden
	case !isURL && !strings.Contains(value, "://"):
		return value
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" { // whatever it is, there may be a password in it
		return hidden
	}
	if _, secret := u.User.Password(); secret {
		u.User = url.UserPassword(u.User.Username(), hidden)
	}
	secret := regexp.MustCompile(`(?i)pass|secret|token|key`)
	pairs := strings.FieldsFunc(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' })
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err != nil || secret.MatchString(plain) {
			pairs[i] = name + "=" + hidden
		}
	}
	u.RawQuery = strings.Join(pairs, "&")
	return u.String()
}

// faults says of every setting that cannot be what is wrong with it, before anything is opened.
func (s *serveCommand) faults(p *process) error {
	all := slices.Clone(p.environment.faults)
	if _, err := auth.New(s.gate(newLog(p.stderr, s.LogLevel, s.LogFormat))); err != nil {
		all = append(all, usageError{err})
	}
	_, _, err := s.places(true)
	all = append(all, err)
	if s.Pprof != "" {
		all = append(all, checkProfiles(s.Pprof))
	}
	if s.RunAs != "" {
		_, err := parseOwner(s.RunAs)
		all = append(all, err)
	}
	if s.CleanupDays < 0 || s.CleanupDays > models.MaxKeepDays {
		all = append(all, misuse("--cleanup-days must be a number of days from 0, which keeps messages of any age, to %d, not %d", models.MaxKeepDays, s.CleanupDays))
	}
	if s.KeepMessages != 0 && (s.KeepMessages < minKept || s.KeepMessages > models.MaxKeepMessages) {
		all = append(all, misuse("--keep-messages must be a number from %d to %d, or 0 to keep any number, not %d", minKept, models.MaxKeepMessages, s.KeepMessages))
	}
	all = append(all, s.Waits.check(), s.Limits.check())
	db, err := s.database(p)
	_, unfit := db.with(s.serverSettings)
	return errors.Join(append(all, err, unfit)...)
}
