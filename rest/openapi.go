package rest

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/gofiber/fiber/v2"

	"crosstalk/hub/health"
	"crosstalk/models"
)

// openapi is the description of the API in OpenAPI 3.1. It marks as required, with defaults, what bounds
// an answer, though the server does without: a GPT Action takes 100,000 characters and sends what it must.
//
//go:embed openapi.json
var openapi []byte

// describe puts into the description what only the running server knows.
func describe(serverURL, version string) []byte {
	var doc map[string]any
	err := json.Unmarshal(openapi, &doc)
	if err == nil {
		if serverURL != "" {
			doc["servers"] = []any{map[string]any{"url": serverURL}}
		}
		doc["info"].(map[string]any)["version"] = version
		var out []byte
		if out, err = json.Marshal(doc); err == nil {
			return out
		}
	}
	panic(fmt.Sprintf("openapi.json, which is built in: %v", err))
}

func (d *door) openAPI(c *fiber.Ctx, _ models.Principal) error {
	send(c.Context(), fiber.StatusOK, d.description)
	return nil
}

// metrics answers who may read all channels: the sums tell of all of them.
func (d *door) metrics(c *fiber.Ctx, who models.Principal) error {
	if d.Metrics == nil {
		return fiber.ErrNotFound
	}
	if err := d.Hub.MayMeasure(who); err != nil {
		return err
	}
	b, kind, err := d.Metrics.Write(c.Get(fiber.HeaderAccept))
	if err != nil {
		return err
	}
	send(c.Context(), fiber.StatusOK, b)
	c.Context().Response.Header.SetContentType(kind)
	return nil
}

// healthy is what monitors and clients of the predecessor read.
type healthy struct {
	Status   string `json:"status"`
	Server   string `json:"server"`
	Version  string `json:"version"`
	BusID    string `json:"bus_id"`
	Database string `json:"database"`
}

func (d *door) health(models.Principal, *query) (any, error) {
	return healthy{"ok", "crosstalk", d.Version, d.Hub.BusID(), d.Hub.Database()}, nil
}

// alive answers 200 unless a restart would help: who restarts the hub asks here.
func (d *door) alive(models.Principal, *query) (any, error) {
	if err := d.Hub.Health().Stuck; err != nil {
		return nil, err
	}
	return struct {
		Status string `json:"status"`
	}{health.OK}, nil
}

// readiness says which part is how. What is wrong stands where other refusals say it, too.
type readiness struct {
	Status string                 `json:"status"`
	Error  string                 `json:"error,omitempty"`
	Code   models.Code            `json:"code,omitempty"`
	Parts  map[string]health.Part `json:"parts"`
}

// ready answers 200 while messages can be stored and delivered: who sends traffic here asks.
func (d *door) ready(c *fiber.Ctx, _ models.Principal) error {
	r := d.Hub.Health()
	status, out := fiber.StatusOK, readiness{Status: r.Status, Parts: r.Parts}
	if r.Error != nil {
		out.Error, out.Code = models.Text(r.Error), models.CodeOf(r.Error)
		status = statusOf(out.Code)
		hint(status, 0, c.Set)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	send(c.Context(), status, b)
	return nil
}
