package main

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"crosstalk/models"
)

// auditPage is how many events are asked for at once.
const auditPage = 1000

// auditCommand prints who did what.
type auditCommand struct {
	Since string      `default:"30d" placeholder:"TIME" help:"From when on: so many days (90d) or hours (12h) ago, or a date. Without it: 30d."`
	JSON  bool        `name:"json" help:"Print JSON, one object on each line."`
	Hub   hubSettings `embed:""`
}

// Help shows what people do with it.
func (auditCommand) Help() string {
	return `Kept for a year: names registered and released, keys made, rotated, revoked and deleted, addresses from which a
credential was shown for the first time, wrong keys in sums, people who signed in and out, pauses, and data deleted.

Examples:

    crosstalk audit
    crosstalk audit --since 2026-01-01 --json > audit.jsonl
    CROSSTALK_KEY=$ADMIN_KEY crosstalk audit --url https://bus.example.com`
}

// eventLine is an event as a hub tells it.
type eventLine struct {
	ID        int64       `json:"id"`
	At        models.Time `json:"at"`
	Principal string      `json:"principal"`
	Person    string      `json:"person"`
	Address   string      `json:"address"`
	Action    string      `json:"action"`
	Subject   string      `json:"subject"`
	Count     int64       `json:"count"`
}

// Run prints the events, the oldest first.
func (a *auditCommand) Run(p *process) error {
	since, err := before(a.Since, time.Now())
	if err != nil {
		return err
	}
	return a.Hub.do(p, there, func(b *bus) error {
		out := newPrinter(p, a.JSON)
		var rows [][]string
		for after := int64(0); ; {
			var page struct{ Events []eventLine }
			ask := url.Values{"since": {since}, "after_id": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(auditPage)}}
			if err := b.Get(p.ctx, "/api/audit", ask, &page); err != nil {
				return err
			}
			if out.json {
				if err := each(out, page.Events); err != nil {
					return err
				}
			}
			for _, e := range page.Events {
				after = e.ID
				rows = append(rows, e.row())
			}
			if len(page.Events) < auditPage {
				break
			}
		}
		if out.json {
			return nil
		}
		return out.table([]string{"WHEN", "WHO", "FROM", "DID", "TO", "TIMES"}, rows)
	})
}

func (e eventLine) row() []string {
	who := e.Principal
	if e.Person != "" {
		who = name(e.Person) + " (" + who + ")"
	}
	return []string{e.At.Time().Format(time.DateTime), who, e.Address, strings.ReplaceAll(e.Action, "_", " "), name(e.Subject), strconv.FormatInt(e.Count, 10)}
}

// before reads a time in the past, from now on backwards.
func before(s string, now time.Time) (string, error) {
	at, err := expiry(s, now)
	if err != nil || s == "" {
		return "", misuse("--since %q must be a time such as 90d, 12h or 2030-01-31", s)
	}
	then, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return "", err
	}
	if then.After(now) && !strings.Contains(s, "-") { // so long ago
		then = now.Add(-then.Sub(now))
	}
	return then.UTC().Format(time.RFC3339), nil
}
