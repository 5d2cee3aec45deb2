package rest

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"crosstalk/auth"
	"crosstalk/models"
)

// share lets a page of a configured origin read the answer. Pages of the hub's own origin need no
// leave, and the gate turns away all others.
func share(g *auth.Gate, r auth.Request, set func(name, value string)) {
	set("Vary", "Origin")
	if g.Lists(r.Origin) {
		set("Access-Control-Allow-Origin", r.Origin)
		set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
	}
}

// preflight answers a browser that asks, without a credential, whether a page may send what it wants
// to. It tells whether r was such a question; the answer is then its fields alone.
func preflight(g *auth.Gate, r auth.Request, method string, set func(name, value string)) bool {
	if method == "" || !g.Lists(r.Origin) || g.Admit(r) != nil {
		return false
	}
	share(g, r, set)
	set("Access-Control-Allow-Methods", http.MethodGet+", "+http.MethodHead+", "+http.MethodPost+", "+http.MethodDelete)
	set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Last-Event-ID")
	set("Access-Control-Max-Age", "600")
	set("Cache-Control", "no-store")
	return true
}

type sessionBody struct {
	Key  auth.Secret `json:"key"`
	Name string      `json:"name"`
}

// signIn makes the caller a person: whose browser keeps the cookie speaks under one name, as a human.
func (d *door) signIn(c *fiber.Ctx) error {
	in := new(sessionBody)
	if err := decode(c, in); err != nil {
		return err
	}
	name, err := models.ParseInstance("name", in.Name)
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, cookie, err := d.Gate.SignIn(ctx, d.head(&c.Request().Header), in.Key, name, func(who models.Principal) error {
		return d.Hub.Register(ctx, who, models.Registration{ID: name, Kind: who.Kind()})
	})
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderSetCookie, cookie)
	return answer(c, p)
}

// session tells who is signed in.
func (d *door) session(c *fiber.Ctx) error {
	p, err := d.Gate.Person(d.head(&c.Request().Header))
	if err != nil {
		return err
	}
	return answer(c, p)
}

// signOut ends the caller's session, if it has one.
func (d *door) signOut(c *fiber.Ctx) error {
	cookie, err := d.Gate.SignOut(context.Background(), d.head(&c.Request().Header))
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderSetCookie, cookie)
	return answer(c, ok{true})
}
