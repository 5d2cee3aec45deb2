package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"crosstalk/cmd/crosstalk/remote"
	"crosstalk/models"
)

// invitesCommand is about invites: codes with which people who have no key connect an app to a hub.
type invitesCommand struct {
	Create invitesCreateCommand `cmd:"" help:"Make an invite, and print its code alone on a line: it is shown this once."`
	List   invitesListCommand   `cmd:"" help:"List invites. The codes themselves are nowhere to be read."`
	Revoke invitesRevokeCommand `cmd:"" help:"End an invite, and every connection made with it."`
}

// Help shows what people do with it.
func (invitesCommand) Help() string {
	return `Apps such as claude.ai and ChatGPT sign in on a page of the hub, which asks a person for a key or an invite code. A code
opens nothing but that page.

Examples:

    crosstalk invites create anna
    crosstalk invites create workshop --uses 20 --scope read --channels 'workshop-*' --expires 1d
    crosstalk invites revoke workshop`
}

type invitesCreateCommand struct {
	Name     string      `arg:"" help:"Whom it is for."`
	Scope    string      `enum:"read,write" default:"write" placeholder:"SCOPE" help:"read, or write. Without it: write."`
	Channels string      `placeholder:"NAMES" help:"The only channels its connections have to do with, separated by commas; * stands for any piece of a name. Without it: all."`
	Uses     int         `default:"1" placeholder:"N" help:"How many connections can be made with it. Without it: 1."`
	Expires  string      `default:"7d" placeholder:"TIME" help:"Until when: in so many days (90d) or hours (12h), or a date. What was connected by then stays. Without it: 7d."`
	Hub      hubSettings `embed:""`
}

// Run makes the invite.
func (i *invitesCreateCommand) Run(p *process) error {
	end, err := expiry(i.Expires, time.Now())
	if err != nil {
		return err
	}
	if i.Uses < 1 {
		return misuse("--uses must be 1 or more, not %d", i.Uses)
	}
	body := map[string]any{"name": i.Name, "scope": i.Scope, "channels": i.Channels, "uses": i.Uses, "expires_at": end}
	return i.Hub.do(p, created, func(b *bus) error {
		var made struct{ Code string }
		if err := b.Post(p.ctx, "/api/invites", body, &made, false); err != nil {
			return err
		}
		return showOnce(p, "the invite code for "+i.Name, made.Code)
	})
}

type invitesListCommand struct {
	JSON bool        `name:"json" help:"Print JSON, one object on each line."`
	Hub  hubSettings `embed:""`
}

// inviteLine is an invite as a hub lists it.
type inviteLine struct {
	Name      string       `json:"name"`
	Scope     string       `json:"scope"`
	Channels  string       `json:"channels"`
	Uses      int          `json:"uses"`
	CreatedAt *models.Time `json:"created_at"`
	ExpiresAt *models.Time `json:"expires_at"`
}

// Run prints one line for each.
func (i *invitesListCommand) Run(p *process) error {
	return i.Hub.do(p, there, func(b *bus) error {
		var list struct {
			Invites []inviteLine `json:"invites"`
		}
		if err := b.Get(p.ctx, "/api/invites", nil, &list); err != nil {
			return err
		}
		out := newPrinter(p, i.JSON)
		if out.json {
			return each(out, list.Invites)
		}
		var rows [][]string
		for _, l := range list.Invites {
			channels := "all"
			if l.Channels != "" {
				channels = strings.ReplaceAll(l.Channels, ",", ", ")
			}
			ends := keyLine{ExpiresAt: l.ExpiresAt}.ends(time.Now())
			rows = append(rows, []string{l.Name, l.Scope, channels, strconv.Itoa(l.Uses), ends})
		}
		return out.table([]string{"INVITE", "SCOPE", "CHANNELS", "USES LEFT", "ENDS"}, rows)
	})
}

type invitesRevokeCommand struct {
	Name string      `arg:"" help:"The invite."`
	Hub  hubSettings `embed:""`
}

// Run ends the invite.
func (i *invitesRevokeCommand) Run(p *process) error {
	return i.Hub.do(p, there, func(b *bus) error {
		if err := b.Delete(p.ctx, "/api/invites"+remote.Path(i.Name), nil); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "%s is revoked, with every connection made with it\n", name(i.Name))
		return err
	})
}
