package auth

import (
	"context"
	"crypto/rand"
	"time"

	"crosstalk/models"
	"crosstalk/models/store/access"
	"crosstalk/models/store/grants"
)

// InvitePrefix begins every invite code.
const InvitePrefix = "cti_"

// maxUses bounds how many connections one invite is good for.
const maxUses = 1000

// inviting is where the invites are, for a caller who may see to them.
func (g *Gate) inviting(who models.Principal) (*grants.Table, error) {
	if err := who.Need(models.ScopeAdmin); err != nil {
		return nil, err
	}
	if g.invites == nil {
		return nil, models.Errorf(models.Unavailable, "there are no invites here")
	}
	return g.invites, nil
}

// CreateInvite makes an invite and returns its code, which is shown to nobody again. With it so many people as it has uses can
// connect a client without a key of their own; it opens nothing else.
func (g *Gate) CreateInvite(ctx context.Context, who models.Principal, i grants.Invite) (code string, err error) {
	t, err := g.inviting(who)
	if err != nil {
		return "", err
	}
	k, err := access.ParseKey(access.Key{Name: i.Name, Scope: i.Scope, Channels: i.Channels, ExpiresAt: i.ExpiresAt})
	switch {
	case err != nil:
		return "", err
	case k.Scope == models.ScopeAdmin:
		return "", models.Errorf(models.Invalid, "an invite allows read or write, never admin: make a key for an administrator")
	case i.Uses == 0:
		i.Uses = 1
	}
	if i.Uses < 1 || i.Uses > maxUses {
		return "", models.Errorf(models.Invalid, "uses must be a number from 1 to %d", maxUses)
	}
	code = InvitePrefix + rand.Text() + rand.Text()
	i.Hash, i.Scope, i.Channels, i.CreatedAt = access.Hash(code), k.Scope, k.Channels, models.TimeOf(time.Now())
	return code, g.Noted(ctx, t.AddInvite(ctx, i), who, access.InviteMade, i.Name)
}

// Invites lists all invites, also those that are used up.
func (g *Gate) Invites(ctx context.Context, who models.Principal) ([]grants.Invite, error) {
	t, err := g.inviting(who)
	if err != nil {
		return nil, err
	}
	return t.Invites(ctx)
}

// RevokeInvite ends an invite and all connections made with it. The names that belonged to them are free.
func (g *Gate) RevokeInvite(ctx context.Context, who models.Principal, name string) error {
	t, err := g.inviting(who)
	if err != nil {
		return err
	}
	defer g.Changed()
	return g.Noted(ctx, t.RevokeInvite(ctx, name), who, access.InviteEnded, name)
}
