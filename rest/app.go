package rest

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"

	"crosstalk/auth"
	"crosstalk/hub"
	"crosstalk/models"
	"crosstalk/models/meter"
	"crosstalk/rest/metrics"
)

// Options are what the door stands on.
type Options struct {
	Hub       *hub.Hub
	Gate      *auth.Gate
	Version   string
	BodyBytes int64  // that bodies above 64 KiB may have together; 0: 256 MiB
	ServerURL string // where clients reach the hub, for the API description; empty: where they got it
	Log       *slog.Logger

	Meter   *meter.Door      // of this door; nil: nobody looks at what is counted
	Metrics *metrics.Metrics // GET /metrics; nil: there are none
}

// door serves requests. Nothing in it changes but bodies, which see to that themselves.
type door struct {
	Options
	description []byte // GET /openapi.json
	bodies      *bodies
}

// Times and sizes of a connection.
const (
	headTime      = 10 * time.Second // to send a head, and a small body
	writeTime     = time.Minute      // to read an answer
	idleTime      = 2 * time.Minute
	readBuffer    = 16 << 10 // the largest head
	maxConnection = 64 << 10 // open connections, beyond which new ones get 503
)

// New makes the app that answers all REST paths, ready to be served. With first, the caller may put
// one handler before everything else; it must do so before serving.
func New(o Options) (app *fiber.App, first func(fiber.Handler)) {
	d := newDoor(o)
	app = fiber.New(fiber.Config{
		ErrorHandler:                 d.fail,
		DisableStartupMessage:        true,
		CaseSensitive:                true,
		DisablePreParseMultipartForm: true,
		BodyLimit:                    smallBody, // where bounds says nothing else
		ReadTimeout:                  headTime,
		WriteTimeout:                 writeTime,
		IdleTimeout:                  idleTime,
		ReadBufferSize:               readBuffer,
		Concurrency:                  maxConnection,
	})
	app.Server().HeaderReceived = d.bounds
	app.Server().Handler = d.guard(app.Server().Handler)

	begin := func(c *fiber.Ctx) error { return c.Next() }
	app.Use(func(c *fiber.Ctx) error { return begin(c) })
	for _, r := range d.routes() {
		serve := d.admit(r.handler)
		if r.method == fiber.MethodGet {
			app.Head(r.path, serve)
		}
		app.Add(r.method, r.path, serve)
	}
	app.Use(d.admit(func(c *fiber.Ctx, _ models.Principal) error { return c.Next() })) // to where nothing answers
	return app, func(h fiber.Handler) { begin = h }
}

func newDoor(o Options) *door {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Meter == nil {
		o.Meter = &meter.Door{}
	}
	return &door{Options: o, description: describe(o.ServerURL, o.Version), bodies: newBodies(o.BodyBytes)}
}

// route is one thing that can be asked. Path is in Fiber's notation.
type route struct {
	method, path string
	handler      handler
}

// handler serves a request of who.
type handler func(c *fiber.Ctx, who models.Principal) error

// routes is the one list of what this door answers.
func (d *door) routes() []route {
	get := func(path string, serve func(models.Principal, *query) (any, error)) route {
		return route{fiber.MethodGet, path, d.read(serve)}
	}
	return []route{
		{fiber.MethodPost, "/api/register", write(d, d.register)},
		get("/api/instances", d.instances),
		{fiber.MethodDelete, "/api/instances/:id", d.read(d.releaseName)},
		get("/api/audit", d.audit),
		get("/api/keys", d.keys),
		{fiber.MethodPost, "/api/keys", write(d, d.createKey)},
		{fiber.MethodPost, "/api/keys/:name/rotate", write(d, d.rotateKey)},
		{fiber.MethodPost, "/api/keys/:name/revoke", d.read(d.revokeKey)},
		{fiber.MethodDelete, "/api/keys/:name", d.read(d.deleteKey)},
		get("/api/invites", d.invites),
		{fiber.MethodPost, "/api/invites", write(d, d.createInvite)},
		{fiber.MethodDelete, "/api/invites/:name", d.read(d.revokeInvite)},
		{fiber.MethodPost, "/api/channels", write(d, d.createChannel)},
		get("/api/channels", d.channels),
		get("/api/channels/search", d.findChannels),
		{fiber.MethodPost, "/api/channels/:channel/pause", write(d, d.pause)},
		{fiber.MethodPost, "/api/channels/:channel/resume", write(d, d.resume)},
		{fiber.MethodPost, "/api/channels/:channel/retention", write(d, d.retain)},
		get("/api/channels/:channel/activity", d.activity),
		get("/api/waits", d.waits),
		{fiber.MethodPost, "/api/messages", d.sendMessage},
		get("/api/messages/:channel", d.messages),
		get("/api/messages/:channel/:id", d.message),
		get("/api/messages/:channel/:id/replies", d.replies),
		get("/api/search", d.search),
		{fiber.MethodPost, "/api/data", write(d, d.shareData)},
		get("/api/data", d.listData),
		get("/api/data/:key", d.data),
		{fiber.MethodDelete, "/api/data/:key", d.read(d.deleteData)},
		get("/health", d.health),
		get("/livez", d.alive),
		{fiber.MethodGet, "/readyz", d.ready},
		{fiber.MethodGet, "/metrics", d.metrics},
		{fiber.MethodGet, "/openapi.json", d.openAPI},
		{fiber.MethodPost, auth.SessionPath, d.signIn},
		{fiber.MethodGet, auth.SessionPath, d.session},
		{fiber.MethodDelete, auth.SessionPath, d.signOut},
	}
}

// admit is the gate, before every path, also those where nothing answers.
func (d *door) admit(serve handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		r := d.request(c)
		if r.HasOrigin {
			set := func(name, value string) { c.Response().Header.Set(name, value) }
			if c.Method() == fiber.MethodOptions && preflight(d.Gate, r, c.Get(fiber.HeaderAccessControlRequestMethod), set) {
				return c.SendStatus(fiber.StatusNoContent)
			}
			share(d.Gate, r, set)
		}
		who, err := d.Gate.Check(r)
		if err != nil {
			return err
		}
		return serve(c, who)
	}
}

// request is what the gate wants to know of a request, and where it came from.
func (d *door) request(c *fiber.Ctx) auth.Request {
	r := d.head(&c.Request().Header)
	if tcp, ok := c.Context().RemoteAddr().(*net.TCPAddr); ok {
		r.Remote = tcp.AddrPort().Addr()
	}
	return r
}

// head is what the gate wants to know. Its strings are the request's own memory: nothing may keep them.
func (d *door) head(h *fasthttp.RequestHeader) auth.Request {
	path, query, _ := bytes.Cut(h.RequestURI(), []byte("?"))
	r := auth.Request{Path: utils.UnsafeString(path), Host: utils.UnsafeString(h.Host()), Query: auth.Secret(utils.UnsafeString(query))}
	for name, value := range h.All() {
		switch name, value := utils.UnsafeString(name), utils.UnsafeString(value); name {
		case fiber.HeaderOrigin:
			r.Origin, r.HasOrigin = join(r.Origin, value, r.HasOrigin), true
		case fiber.HeaderAuthorization:
			r.Authorization = auth.Secret(join(string(r.Authorization), value, r.Authorization != ""))
		case fiber.HeaderCookie:
			r.Cookie = auth.Secret(strings.Clone(value)) // Fiber lends it for a moment only
		case "Sec-Fetch-Site":
			r.FetchSite = join(r.FetchSite, value, r.FetchSite != "")
		case fiber.HeaderXForwardedFor:
			r.ForwardedFor, r.Forwarded = join(r.ForwardedFor, value, r.ForwardedFor != ""), true
		default:
			r.Forwarded = r.Forwarded || auth.IsForwarded(name)
		}
	}
	return r
}

// join lists the values of a field that came several times.
func join(list, value string, more bool) string {
	if more {
		return list + ", " + value
	}
	return value
}

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
