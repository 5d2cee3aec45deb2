package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"crosstalk/cmd/crosstalk/remote"
	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

// keysCommand is about named keys.
type keysCommand struct {
	Create keysCreateCommand `cmd:"" help:"Make a key, and print it alone on a line: it is shown this once."`
	List   keysListCommand   `cmd:"" help:"List keys. The keys themselves are nowhere to be read."`
	Rotate keysRotateCommand `cmd:"" help:"Put another key under a name, and print it. The old one opens nothing any more."`
	Revoke keysRevokeCommand `cmd:"" help:"End a key for good. The names that belong to it stay its own."`
	Delete keysDeleteCommand `cmd:"" help:"End a key and forget it. The names that belonged to it are free."`
}

// Help shows what people do with it.
func (keysCommand) Help() string {
	return `Without --url the keys are those of a database of this machine, also while a hub runs on it. A hub asks everyone for a
key as soon as there is one.

Examples:

    crosstalk keys create alice
    crosstalk keys create ci --scope write --channels 'team-*,general' --expires 90d
    crosstalk keys create dashboard --scope read | pbcopy
    CROSSTALK_KEY=$ADMIN_KEY crosstalk keys revoke alice --url https://bus.example.com`
}

// secretAnswer is what a hub says once.
type secretAnswer struct {
	Key string `json:"key"`
}

// show prints the key for whoever takes it, and for a person what it is worth.
func (s secretAnswer) show(p *process, name string) error {
	return showOnce(p, "the key of "+name, s.Key)
}

type keysCreateCommand struct {
	Name     string      `arg:"" help:"What it is called in lists, and who its holder is."`
	Scope    string      `enum:"read,write,admin" default:"write" placeholder:"SCOPE" help:"read, write, or admin, which also sees to keys, names and pauses. Without it: write."`
	Channels string      `placeholder:"NAMES" help:"The only channels it has to do with, separated by commas; * stands for any piece of a name. Without it: all."`
	Expires  string      `placeholder:"TIME" help:"When it ends: in so many days (90d) or hours (12h), or a date. Without it: never."`
	Hub      hubSettings `embed:""`
}

// Run makes the key.
func (k *keysCreateCommand) Run(p *process) error {
	end, err := expiry(k.Expires, time.Now())
	if err != nil {
		return err
	}
	body := map[string]string{"name": k.Name, "scope": k.Scope, "channels": k.Channels, "expires_at": end}
	return k.Hub.do(p, created, func(b *bus) error {
		var made secretAnswer
		if err := b.Post(p.ctx, "/api/keys", body, &made, false); err != nil {
			return err
		}
		return made.show(p, k.Name)
	})
}

// expiry reads when a key shall end, from now on; empty for never.
func expiry(s string, now time.Time) (string, error) {
	if s == "" {
		return "", nil
	}
	if at, err := time.Parse(time.DateOnly, s); err == nil {
		return at.UTC().Format(time.RFC3339), nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at.UTC().Format(time.RFC3339), nil
	}
	unit := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if err != nil || unit == 0 || n == 0 || time.Duration(n) > models.MaxKeepDays*24*time.Hour/unit {
		return "", misuse("--expires %q must be a time such as 90d, 12h or 2030-01-31", s)
	}
	return now.Add(time.Duration(n) * unit).UTC().Format(time.RFC3339), nil
}

type keysListCommand struct {
	JSON bool        `name:"json" help:"Print JSON, one object on each line."`
	Hub  hubSettings `embed:""`
}

// keyLine is a key as a hub lists it.
type keyLine struct {
	Name      string       `json:"name"`
	Scope     string       `json:"scope"`
	Channels  string       `json:"channels"`
	CreatedAt *models.Time `json:"created_at"`
	ExpiresAt *models.Time `json:"expires_at"`
	LastUsed  *models.Time `json:"last_used"`
	RevokedAt *models.Time `json:"revoked_at"`
}

// ends says until when a key opens anything.
func (k keyLine) ends(now time.Time) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked"
	case k.ExpiresAt == nil:
		return "never"
	case k.ExpiresAt.Time().Before(now):
		return "expired"
	}
	return k.ExpiresAt.Time().Format(time.DateTime)
}

// Run prints one line for each.
func (k *keysListCommand) Run(p *process) error {
	return k.Hub.do(p, there, func(b *bus) error {
		var list struct {
			Keys []keyLine `json:"keys"`
		}
		if err := b.Get(p.ctx, "/api/keys", nil, &list); err != nil {
			return err
		}
		out := newPrinter(p, k.JSON)
		if out.json {
			return each(out, list.Keys)
		}
		var rows [][]string
		for _, l := range list.Keys {
			channels := "all"
			if l.Channels != "" {
				channels = strings.ReplaceAll(l.Channels, ",", ", ")
			}
			rows = append(rows, []string{l.Name, l.Scope, channels, ago(l.LastUsed), l.ends(time.Now())})
		}
		return out.table([]string{"KEY", "SCOPE", "CHANNELS", "USED", "ENDS"}, rows)
	})
}

type keysRotateCommand struct {
	Name    string      `arg:"" help:"The key."`
	Expires string      `placeholder:"TIME" help:"When the new one ends. Without it: when the old one would have."`
	Hub     hubSettings `embed:""`
}

// Run makes another secret.
func (k *keysRotateCommand) Run(p *process) error {
	end, err := expiry(k.Expires, time.Now())
	if err != nil {
		return err
	}
	return k.Hub.do(p, there, func(b *bus) error {
		var made secretAnswer
		if err := b.Post(p.ctx, "/api/keys"+remote.Path(k.Name, "rotate"), map[string]string{"expires_at": end}, &made, false); err != nil {
			return err
		}
		return made.show(p, k.Name)
	})
}

type keysRevokeCommand struct {
	Name string      `arg:"" help:"The key."`
	Hub  hubSettings `embed:""`
}

// Run ends the key.
func (k *keysRevokeCommand) Run(p *process) error {
	return k.Hub.do(p, there, func(b *bus) error {
		if err := b.Post(p.ctx, "/api/keys"+remote.Path(k.Name, "revoke"), struct{}{}, nil, true); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "%s is revoked: it opens nothing any more\n", name(k.Name))
		return err
	})
}

type keysDeleteCommand struct {
	Name string      `arg:"" help:"The key."`
	Hub  hubSettings `embed:""`
}

// Run forgets the key.
func (k *keysDeleteCommand) Run(p *process) error {
	return k.Hub.do(p, there, func(b *bus) error {
		if err := b.Delete(p.ctx, "/api/keys"+remote.Path(k.Name), nil); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "%s is deleted, and the names that belonged to it are free\n", name(k.Name))
		return err
	})
}

// anyKey tells whether a database has a named key. One that is not there has none, and is not made.
func anyKey(ctx context.Context, db database) (found bool, err error) {
	if _, err := os.Stat(db.file); db.url == "" && errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	s, err := store.Open(ctx, db.options(nil))
	if err != nil {
		return false, fmt.Errorf("database %s: %w", db, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return access.New(s).AnyKey(ctx)
}
