package auth

import (
	"context"
	"time"

	"crosstalk/models"
	"crosstalk/models/store/access"
)

// namedKeys is the Source of named keys.
func namedKeys(t *access.Table) Source {
	return Source{
		Prefix: access.KeyPrefix,
		Find: func(ctx context.Context, hash string) (models.Principal, models.Time, error) {
			k, err := t.FindKey(ctx, hash)
			return k.Principal(), k.ExpiresAt, err
		},
		Used: t.UseKeys,
	}
}

// table is where the named keys are, for a caller who may see to them.
func (g *Gate) table(who models.Principal) (*access.Table, error) {
	if err := who.Need(models.ScopeAdmin); err != nil {
		return nil, err
	}
	if g.keys == nil {
		return nil, models.Errorf(models.Unavailable, "there are no named keys here")
	}
	return g.keys, nil
}

// CreateKey makes a named key and returns its secret, which is shown to nobody again.
func (g *Gate) CreateKey(ctx context.Context, who models.Principal, k access.Key) (secret string, err error) {
	t, err := g.table(who)
	if err != nil {
		return "", err
	}
	if k, err = access.ParseKey(k); err != nil {
		return "", err
	}
	defer g.Changed()
	secret, err = t.CreateKey(ctx, k)
	return secret, noted(ctx, t, err, who, access.KeyCreated, k.Name)
}

// Keys lists all named keys, also those that open nothing any more.
func (g *Gate) Keys(ctx context.Context, who models.Principal) ([]access.Key, error) {
	t, err := g.table(who)
	if err != nil {
		return nil, err
	}
	g.leases.note(ctx)
	return t.Keys(ctx)
}

// RevokeKey ends a key for good; the names that belong to it stay its own.
func (g *Gate) RevokeKey(ctx context.Context, who models.Principal, name string) error {
	t, err := g.table(who)
	if err != nil {
		return err
	}
	defer g.Changed()
	return noted(ctx, t, t.RevokeKey(ctx, name), who, access.KeyRevoked, name)
}

// RotateKey gives a key another secret and, unless it is 0, another end.
func (g *Gate) RotateKey(ctx context.Context, who models.Principal, name string, expires models.Time) (secret string, err error) {
	t, err := g.table(who)
	if err != nil {
		return "", err
	}
	if expires != 0 && expires <= models.TimeOf(time.Now()) {
		return "", models.Errorf(models.Invalid, "a key must expire in the future, or never")
	}
	defer g.Changed()
	secret, err = t.RotateKey(ctx, name, expires)
	return secret, noted(ctx, t, err, who, access.KeyRotated, name)
}

// DeleteKey ends a key and forgets it, and the names that belong to it are free.
func (g *Gate) DeleteKey(ctx context.Context, who models.Principal, name string) error {
	t, err := g.table(who)
	if err != nil {
		return err
	}
	defer g.Changed()
	return noted(ctx, t, t.DeleteKey(ctx, name), who, access.KeyDeleted, name)
}

// Noted keeps what who did, where that is kept, unless it failed with err, which it returns.
func (g *Gate) Noted(ctx context.Context, err error, who models.Principal, did access.Action, subject string) error {
	if g.keys == nil {
		return err
	}
	return noted(ctx, g.keys, err, who, did, subject)
}

// noted keeps what who did, unless it failed with err, which it returns.
func noted(ctx context.Context, t *access.Table, err error, who models.Principal, did access.Action, subject string) error {
	if err == nil {
		t.Note(ctx, access.EventOf(who, did, subject))
	}
	return err
}

// Audit lists who did what since a time: what comes after an id, the oldest first, or without one the newest.
func (g *Gate) Audit(ctx context.Context, who models.Principal, since models.Time, after *int64, limit int) ([]access.Event, error) {
	t, err := g.table(who)
	if err != nil {
		return nil, err
	}
	g.seen.Flush(ctx)
	return t.Audit(ctx, since, after, limit)
}
