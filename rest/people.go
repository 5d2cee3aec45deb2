package rest

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"

	"crosstalk/auth"
	"crosstalk/models"
	"crosstalk/models/store/access"
	"crosstalk/models/store/grants"
)

type registerBody struct {
	InstanceID  string `json:"instance_id"`
	Description string `json:"description"`
	Model       string `json:"model"`
}

func (d *door) register(who models.Principal, in *registerBody, _ *query) (any, error) {
	r, err := models.ParseRegistration(models.Registration{ID: in.InstanceID, Description: in.Description, Model: in.Model})
	if err != nil {
		return nil, err
	}
	return struct {
		OK         bool   `json:"ok"`
		InstanceID string `json:"instance_id"`
	}{true, r.ID}, d.Hub.Register(context.Background(), who, r)
}

func (d *door) instances(who models.Principal, q *query) (any, error) {
	status, limit := models.Status(q.text("status")), q.limit(listed, mostListed)
	if status != "" && status != models.Online && status != models.Offline {
		q.wrong(models.Errorf(models.Invalid, "status must be %s or %s", models.Online, models.Offline))
	}
	if q.err != nil {
		return nil, q.err
	}
	found, err := d.Hub.Instances(context.Background(), who, status, limit)
	return struct {
		Instances []models.Instance `json:"instances"`
	}{found}, err
}

func (d *door) releaseName(who models.Principal, q *query) (any, error) {
	id, err := models.ParseInstance("the name in the path", q.path("id"))
	if err != nil {
		q.wrong(err)
	}
	if q.err != nil {
		return nil, q.err
	}
	return ok{true}, d.Hub.ReleaseName(context.Background(), who, id)
}

// key is what is shown of a named key.
type key struct {
	Name      string          `json:"name"`
	Scope     models.Scope    `json:"scope"`
	Channels  models.Patterns `json:"channels"` // empty: all
	CreatedAt models.Time     `json:"created_at"`
	ExpiresAt *models.Time    `json:"expires_at"`
	LastUsed  *models.Time    `json:"last_used"`
	RevokedAt *models.Time    `json:"revoked_at"`
}

// some is t, or null for never.
func some(t models.Time) *models.Time {
	if t == 0 {
		return nil
	}
	return &t
}

func (d *door) keys(who models.Principal, _ *query) (any, error) {
	found, err := d.Gate.Keys(context.Background(), who)
	list := make([]key, len(found))
	for i, k := range found {
		list[i] = key{k.Name, k.Scope, k.Channels, k.CreatedAt, some(k.ExpiresAt), some(k.LastUsed), some(k.RevokedAt)}
	}
	return struct {
		Keys []key `json:"keys"`
	}{list}, err
}

type keyBody struct {
	Name      string       `json:"name"`
	Scope     models.Scope `json:"scope"`
	Channels  string       `json:"channels"` // names and patterns, separated by commas
	ExpiresAt string       `json:"expires_at"`
}

// end returns when the key shall expire, 0 for never.
func (b *keyBody) end() (models.Time, error) {
	if b.ExpiresAt == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339, b.ExpiresAt)
	if err != nil || at.Unix() <= 0 {
		return 0, models.Errorf(models.Invalid, "expires_at must be a time such as 2030-01-31T12:00:00Z")
	}
	return models.TimeOf(at), nil
}

// secret is the one answer that shows a secret.
type secret struct {
	OK   bool   `json:"ok"`
	Name string `json:"name"`
	Key  string `json:"key"`
}

func (d *door) createKey(who models.Principal, in *keyBody, _ *query) (any, error) {
	end, err := in.end()
	if err != nil {
		return nil, err
	}
	shown, err := d.Gate.CreateKey(context.Background(), who,
		access.Key{Name: in.Name, Scope: in.Scope, Channels: models.Patterns(in.Channels), ExpiresAt: end})
	return secret{true, in.Name, shown}, err
}

func (d *door) rotateKey(who models.Principal, in *keyBody, q *query) (any, error) {
	name := q.path("name")
	end, err := in.end()
	if err != nil {
		q.wrong(err)
	}
	if q.err != nil {
		return nil, q.err
	}
	shown, err := d.Gate.RotateKey(context.Background(), who, name, end)
	return secret{true, name, shown}, err
}

func (d *door) revokeKey(who models.Principal, q *query) (any, error) {
	name := q.path("name")
	if q.err != nil {
		return nil, q.err
	}
	return ok{true}, d.Gate.RevokeKey(context.Background(), who, name)
}

func (d *door) deleteKey(who models.Principal, q *query) (any, error) {
	name := q.path("name")
	if q.err != nil {
		return nil, q.err
	}
	return ok{true}, d.Gate.DeleteKey(context.Background(), who, name)
}

// invite is what is shown of an invite.
type invite struct {
	Name      string          `json:"name"`
	Scope     models.Scope    `json:"scope"`
	Channels  models.Patterns `json:"channels"` // empty: all
	Uses      int             `json:"uses"`     // that are left
	CreatedAt models.Time     `json:"created_at"`
	ExpiresAt *models.Time    `json:"expires_at"`
}

func (d *door) invites(who models.Principal, _ *query) (any, error) {
	found, err := d.Gate.Invites(context.Background(), who)
	list := make([]invite, len(found))
	for i, v := range found {
		list[i] = invite{v.Name, v.Scope, v.Channels, v.Uses, v.CreatedAt, some(v.ExpiresAt)}
	}
	return struct {
		Invites []invite `json:"invites"`
	}{list}, err
}

type inviteBody struct {
	keyBody
	Uses int `json:"uses"`
}

func (d *door) createInvite(who models.Principal, in *inviteBody, _ *query) (any, error) {
	end, err := in.end()
	if err != nil {
		return nil, err
	}
	code, err := d.Gate.CreateInvite(context.Background(), who,
		grants.Invite{Name: in.Name, Scope: in.Scope, Channels: models.Patterns(in.Channels), Uses: in.Uses, ExpiresAt: end})
	return struct {
		OK   bool   `json:"ok"`
		Name string `json:"name"`
		Code string `json:"code"`
	}{true, in.Name, code}, err
}

func (d *door) revokeInvite(who models.Principal, q *query) (any, error) {
	name := q.path("name")
	if q.err != nil {
		return nil, q.err
	}
	return ok{true}, d.Gate.RevokeInvite(context.Background(), who, name)
}

// audit tells who did what.
func (d *door) audit(who models.Principal, q *query) (any, error) {
	after, limit, since := q.position("after_id"), q.limit(listed, mostListed), models.Time(0)
	if s := q.text("since"); s != "" {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			q.wrong(models.Errorf(models.Invalid, "since must be a time such as 2030-01-31T12:00:00Z"))
		}
		since = models.TimeOf(at)
	}
	if q.err != nil {
		return nil, q.err
	}
	found, err := d.Gate.Audit(context.Background(), who, since, after, limit)
	return struct {
		Events []access.Event `json:"events"`
	}{found}, err
}

type sessionBody struct {
	Key  auth.Secret `json:"key"`
	Name string      `json:"name"`
}

// signIn makes the caller a person: whose browser keeps the cookie speaks under one name, as a human.
func (d *door) signIn(c *fiber.Ctx, _ models.Principal) error {
	in := new(sessionBody)
	if err := decode(c, in); err != nil {
		return err
	}
	name, err := models.ParseInstance("name", in.Name)
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, cookie, err := d.Gate.SignIn(ctx, d.request(c), in.Key, name, func(who models.Principal) error {
		return d.Hub.Register(ctx, who, models.Registration{ID: name, Kind: who.Kind()})
	})
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderSetCookie, cookie)
	return answer(c, p)
}

// session tells who is signed in.
func (d *door) session(c *fiber.Ctx, _ models.Principal) error {
	p, err := d.Gate.Person(d.request(c))
	if err != nil {
		return err
	}
	return answer(c, p)
}

// signOut ends the caller's session, if it has one.
func (d *door) signOut(c *fiber.Ctx, _ models.Principal) error {
	cookie, err := d.Gate.SignOut(context.Background(), d.request(c))
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderSetCookie, cookie)
	return answer(c, ok{true})
}
