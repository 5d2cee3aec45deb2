package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"crosstalk/auth"
	"crosstalk/models"
)

// apiDescription is what this test reads of an OpenAPI document.
type apiDescription struct {
	OpenAPI    string
	Info       struct{ Title, Version, Description string }
	Servers    []struct{ URL string }
	Security   []map[string][]string
	Paths      map[string]map[string]operation
	Components struct {
		SecuritySchemes map[string]struct{ Type, Scheme string }
		Schemas         map[string]*schema
	}
	seen map[*schema]bool // by check
}

type operation struct {
	OperationID   string
	Consequential *bool `json:"x-openai-isConsequential"`
	Parameters    []struct {
		Name, In string
		Required bool
		Schema   schema
	}
	RequestBody struct {
		Content map[string]struct{ Schema schema }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema schema }
	}
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Enum       []string
	Const      any
	Default    any
	Required   []string
	Properties map[string]*schema
	Items      *schema
}

func (b *bus) describe(t *testing.T) (doc apiDescription, whole any) {
	t.Helper()
	got := b.send(t, "GET", "/openapi.json", "")
	for _, into := range []any{&doc, &whole} {
		if err := json.Unmarshal([]byte(got.body), into); err != nil {
			t.Fatal(err)
		}
	}
	return doc, whole
}

// operations returns the described operations by id.
func (d *apiDescription) operations() map[string]operation {
	found := map[string]operation{}
	for _, methods := range d.Paths {
		for _, op := range methods {
			found[op.OperationID] = op
		}
	}
	return found
}

func TestDescriptionHasTheRoutesAndNoOthers(t *testing.T) {
	b := serve(t, auth.Config{})
	doc, _ := b.describe(t)
	described := map[string]bool{}
	for path, methods := range doc.Paths {
		for method := range methods {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	// What people and their tools do, and a GPT shall not.
	own := []string{
		"POST /api/channels/:channel/pause", "POST /api/channels/:channel/resume", "POST /api/channels/:channel/retention", "GET /api/channels/:channel/activity", "GET /api/audit", "GET /api/waits",
		"DELETE /api/instances/:id", "GET /api/keys", "POST /api/keys", "POST /api/keys/:name/rotate", "POST /api/keys/:name/revoke", "DELETE /api/keys/:name",
		"GET /api/invites", "POST /api/invites", "DELETE /api/invites/:name",
		"POST " + auth.SessionPath, "GET " + auth.SessionPath, "DELETE " + auth.SessionPath,
	}
	served := map[string]bool{}
	for _, r := range (&door{}).routes() {
		if strings.HasPrefix(r.path, "/api/") && !slices.Contains(own, r.method+" "+r.path) {
			served[r.method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.path, "{$1}")] = true
		}
	}
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("routes and description differ (-served +described)\n%s", diff)
	}
	want := []string{
		"createChannel", "deleteSharedData", "findChannel", "getMessage", "getMessages", "getReplies", "getSharedData", "listChannels",
		"listInstances", "listSharedData", "register", "searchMessages", "sendMessage", "shareData",
	}
	if got := slices.Sorted(maps.Keys(doc.operations())); !slices.Equal(got, want) || len(got) != len(described) {
		t.Errorf("operation ids %v of %d operations, want %v", got, len(described), want)
	}
}

func TestDescriptionSuitsGPTActions(t *testing.T) {
	b := serve(t, auth.Config{})
	doc, whole := b.describe(t)
	if doc.OpenAPI != "3.1.0" || doc.Info.Title == "" || doc.Info.Version != "test" || doc.Servers[0].URL != "/" {
		t.Errorf("%+v %+v", doc.Info, doc.Servers)
	}
	if s := doc.Components.SecuritySchemes["key"]; s.Type != "http" || s.Scheme != "bearer" || doc.Security[0]["key"] == nil {
		t.Errorf("security %+v %+v", doc.Components.SecuritySchemes, doc.Security)
	}
	if len(doc.operations()) > 30 {
		t.Errorf("%d operations", len(doc.operations()))
	}
	walk(whole, "", func(at string, v any) {
		if s, ok := v.(string); ok && (strings.HasSuffix(at, ".description") || strings.HasSuffix(at, ".summary")) && (s == "" || utf8.RuneCountInString(s) > 300) {
			t.Errorf("%s has %d characters", at, utf8.RuneCountInString(s))
		}
		if ref, ok := v.(string); ok && strings.HasSuffix(at, ".$ref") && doc.resolve(&schema{Ref: ref}) == nil {
			t.Errorf("%s leads nowhere: %s", at, ref)
		}
	})
	for id, op := range doc.operations() {
		if op.Consequential == nil || *op.Consequential != strings.HasPrefix(id, "delete") {
			t.Errorf("%s: consequential is %v", id, op.Consequential)
		}
		for _, p := range op.Parameters {
			bounding := slices.Contains([]string{"limit", "max_bytes", "length"}, p.Name)
			if p.Required != (bounding || p.In == "path" || p.Name == "q") {
				t.Errorf("%s: %s is required: %v", id, p.Name, p.Required)
			}
			if bounding && p.Schema.Default == nil {
				t.Errorf("%s: %s has no default", id, p.Name)
			}
			if p.Name == "max_bytes" && p.Schema.Default != 90000.0 {
				t.Errorf("%s: max_bytes is %v by default", id, p.Schema.Default)
			}
		}
	}
}

// walk visits every value of a JSON document.
func walk(v any, at string, visit func(at string, v any)) {
	visit(at, v)
	switch v := v.(type) {
	case map[string]any:
		for name, v := range v {
			walk(v, at+"."+name, visit)
		}
	case []any:
		for i, v := range v {
			walk(v, fmt.Sprintf("%s[%d]", at, i), visit)
		}
	}
}

func TestDescriptionNamesTheServer(t *testing.T) {
	var doc apiDescription
	if err := json.Unmarshal(describe("https://bus.example.com/x", "1.2.3"), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Servers[0].URL != "https://bus.example.com/x" || doc.Info.Version != "1.2.3" {
		t.Errorf("%+v %+v", doc.Servers, doc.Info)
	}
}

// recorder is a head that notes what is asked of it.
type recorder struct{ asked map[string]bool }

func (r recorder) param(name string) string { r.asked["path "+name] = true; return "1" }
func (r recorder) value(name string) string { r.asked["query "+name] = true; return "" }
func (r recorder) field(string) string      { return "" }

func TestDescriptionHasTheParametersThatAreRead(t *testing.T) {
	b := serve(t, auth.Config{})
	doc, _ := b.describe(t)
	d := newDoor(Options{Hub: b.hub})
	ops := doc.operations()
	for id, serve := range map[string]func(models.Principal, *query) (any, error){
		"listInstances": d.instances, "listChannels": d.channels, "findChannel": d.findChannels, "getMessages": d.messages,
		"getMessage": d.message, "getReplies": d.replies, "searchMessages": d.search, "listSharedData": d.listData,
		"getSharedData": d.data, "deleteSharedData": d.deleteData,
	} {
		described, read := map[string]bool{}, recorder{map[string]bool{}}
		for _, p := range ops[id].Parameters {
			described[p.In+" "+p.Name] = true
		}
		_, _ = serve(models.Principal{Name: models.SharedPrincipal}, &query{from: read}) // what it answers is seen elsewhere
		if diff := cmp.Diff(read.asked, described); diff != "" {
			t.Errorf("%s: parameters (-read +described)\n%s", id, diff)
		}
		delete(ops, id)
	}
	for id, body := range map[string]any{"register": registerBody{}, "createChannel": channelBody{}, "sendMessage": messageBody{}, "shareData": dataBody{}} {
		described, read := map[string]bool{}, map[string]bool{}
		for name := range ops[id].RequestBody.Content["application/json"].Schema.Properties {
			described[name] = true
		}
		for i := range reflect.TypeOf(body).NumField() {
			read[reflect.TypeOf(body).Field(i).Tag.Get("json")] = true
		}
		if diff := cmp.Diff(read, described); diff != "" {
			t.Errorf("%s: body (-read +described)\n%s", id, diff)
		}
		delete(ops, id)
	}
	if len(ops) > 0 {
		t.Errorf("not looked at: %v", slices.Collect(maps.Keys(ops)))
	}
}

func TestAnswersAreAsDescribed(t *testing.T) {
	b := serve(t, auth.Config{})
	doc, _ := b.describe(t)
	doc.seen = map[*schema]bool{}
	shared := models.Principal{Name: models.SharedPrincipal}
	type object = map[string]any
	called := map[string]bool{}
	if err := errors.Join(b.hub.CreateChannel(t.Context(), shared, "still", ""), b.hub.Pause(t.Context(), shared, "still", "r"),
		b.hub.Retain(t.Context(), shared, "still", models.Retention{Days: new(int64), Messages: new(int64)})); err != nil {
		t.Fatal(err)
	}
	connected := shared
	connected.Session = "s"
	if held, err := b.hub.Hold(t.Context(), connected, "cyd"); !held || err != nil {
		t.Fatal(held, err)
	}
	for _, call := range []struct {
		id   string
		with object // of path, query and body alike
	}{
		{"register", object{"instance_id": "ada", "description": "d", "model": "m"}},
		{"createChannel", object{"name": "c", "description": "d"}},
		{"sendMessage", object{"channel": "c", "sender": "ada", "content": strings.Repeat("long ", 1000), "message_type": "request", "idempotency_key": "k"}},
		{"sendMessage", object{"channel": "c", "sender": "bob", "content": "x", "in_reply_to": 1}},
		{"sendMessage", object{"channel": "c", "sender": "bob", "content": strings.Repeat("long ", 1000), "in_reply_to": "1"}},
		{"shareData", object{"key": "a/b", "content": "xyz", "sender": "ada", "description": "d", "channel": "c", "if_version": 0}},
		{"getMessages", object{"channel": "c", "after_id": 0, "max_bytes": 1000}},
		{"getMessages", object{"channel": "nowhere", "before_id": 5, "instance_id": "ada", "wait": 0}},
		{"getMessage", object{"channel": "c", "id": 1, "offset": 5, "length": 7}},
		{"getReplies", object{"channel": "c", "id": 1}},
		{"getReplies", object{"channel": "c", "id": 1, "max_bytes": 1000}},
		{"searchMessages", object{"q": "long", "max_bytes": 1000}},
		{"searchMessages", object{"q": "x", "channel": "c", "sender": "bob"}},
		{"listChannels", object{"instance_id": "ada"}},
		{"findChannel", object{"q": "c"}},
		{"listInstances", object{"status": "online"}},
		{"listSharedData", object{}},
		{"getSharedData", object{"key": "a/b", "length": 1}},
		{"deleteSharedData", object{"key": "a/b", "sender": "ada"}},
	} {
		for path, methods := range doc.Paths {
			for method, op := range methods {
				if op.OperationID != call.id {
					continue
				}
				called[call.id] = true
				got := b.call(t, strings.ToUpper(method), path, op, call.with)
				if got.status != 200 {
					t.Errorf("%s %v: %d %s", call.id, call.with, got.status, got.body)
				}
				var answer any
				if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
					t.Error(err)
				}
				answers := op.Responses["200"].Content["application/json"].Schema
				if err := doc.check(&answers, answer, call.id); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for id := range doc.operations() {
		if !called[id] {
			t.Errorf("%s was not called", id)
		}
	}
	for _, path := range []string{"/api/search", "/api/nothing"} {
		var refusal any
		if err := json.Unmarshal([]byte(b.send(t, "GET", path, "").body), &refusal); err != nil {
			t.Fatal(err)
		}
		if err := doc.check(&schema{Ref: "#/components/schemas/Error"}, refusal, path); err != nil {
			t.Error(err)
		}
	}
	for name, s := range doc.Components.Schemas {
		for field, s := range s.Properties {
			if !doc.seen[s] {
				t.Errorf("no answer had %s.%s", name, field)
			}
		}
	}
}

// call does what a client does that knows nothing but the description: it sends what it was told to, and
// the default of what is required.
func (b *bus) call(t *testing.T, method, path string, op operation, with map[string]any) reply {
	t.Helper()
	values := url.Values{}
	for _, p := range op.Parameters {
		v, given := with[p.Name]
		if !given {
			v = p.Schema.Default
		}
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(fmt.Sprint(v)))
		case given || p.Required:
			values.Set(p.Name, fmt.Sprint(v))
		}
	}
	var body []byte
	if op.RequestBody.Content != nil {
		described := op.RequestBody.Content["application/json"].Schema
		for name := range with {
			if described.Properties[name] == nil {
				t.Errorf("%s has no field %s", op.OperationID, name)
			}
		}
		for _, name := range described.Required {
			less := maps.Clone(with)
			delete(less, name)
			body, _ = json.Marshal(less)
			b.refused(t, 400, models.Invalid, name+" is required", method, path, string(body))
		}
		body, _ = json.Marshal(with)
	}
	return b.send(t, method, path+"?"+values.Encode(), string(body))
}

func (d *apiDescription) resolve(s *schema) *schema {
	if s.Ref == "" {
		return s
	}
	return d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
}

// check holds a value against its schema, and the schema against the value: all fields are described.
func (d *apiDescription) check(s *schema, v any, at string) error {
	d.seen[s] = true
	s = d.resolve(s)
	kinds := fmt.Sprint(s.Type)
	switch v := v.(type) {
	case map[string]any:
		for _, name := range s.Required {
			if _, has := v[name]; !has {
				return fmt.Errorf("%s has no %s", at, name)
			}
		}
		for name, field := range v {
			if s.Properties[name] == nil {
				return fmt.Errorf("%s.%s is not described", at, name)
			}
			if err := d.check(s.Properties[name], field, at+"."+name); err != nil {
				return err
			}
		}
		return is(kinds, "object", at)
	case []any:
		for i, item := range v {
			if err := d.check(s.Items, item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return is(kinds, "array", at)
	case string:
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
			return fmt.Errorf("%s is %q, none of %v", at, v, s.Enum)
		}
		return is(kinds, "string", at)
	case float64:
		return is(kinds, "integer", at)
	case bool:
		if s.Const != nil && s.Const != v {
			return fmt.Errorf("%s is %v", at, v)
		}
		return is(kinds, "boolean", at)
	}
	return is(kinds, "null", at)
}

func is(kinds, kind, at string) error {
	if !strings.Contains(kinds, kind) {
		return fmt.Errorf("%s is %s, described as %s", at, kind, kinds)
	}
	return nil
}

func TestHealthIsTold(t *testing.T) {
	b := serve(t, auth.Config{})
	const parts = `"parts":{"database":{"ok":true,"needed":true},"delivery":{"ok":true,"needed":true},"doorbell":{"ok":true,"needed":false},"indexer":{"ok":true,"needed":false},"writer":{"ok":true,"needed":true}}`
	b.run(t, []step{
		{`GET /health`, 200, `{"status":"ok","server":"crosstalk","version":"test","bus_id":"B","database":"sqlite"}`},
		{`GET /livez`, 200, `{"status":"ok"}`},
		{`GET /readyz`, 200, `{"status":"ok",` + parts + `}`},
	})
	b.hub.Drain()
	b.refused(t, 503, models.Unavailable, "server: ", "GET", "/readyz", "")
	b.run(t, []step{{`GET /readyz`, 503, `{"status":"unready","error":"server: shutting down","code":"unavailable",` + parts + `}`}})
	b.run(t, []step{{`GET /livez`, 200, `{"status":"ok"}`}})
}
