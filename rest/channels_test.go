package rest

import (
	"strings"
	"testing"

	"crosstalk/auth"
	"crosstalk/models"
)

const (
	crew    = `{"name":"crew","description":"who <we> are","created_at":"T","message_count":2,"last_message_at":"T","last_id":2,"active_senders":"bob, ada"`
	general = `{"name":"general","description":"`
)

func TestChannelsKeepTheirShape(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		b.run(t, []step{
			{`POST /api/channels {"name":" The__Crew! ","description":"ours"}`, 200, `{"ok":true,"channel":"the-crew"}`},
			{`POST /api/channels {"name":"the crew","description":null}`, 200, `{"ok":true,"channel":"the-crew"}`},
			{`POST /api/channels {"name":"crew","description":"who <we> are"}`, 200, `{"ok":true,"channel":"crew"}`},
			{`POST /api/register {"instance_id":"cyd"}`, 200, `{"ok":true,"instance_id":"cyd"}`},
			{`POST /api/messages {"channel":"crew","sender":"ada","content":"1"}`, 200, `{"ok":true,"id":1,"channel":"crew","message_type":"message","seq":1,"duplicate":false}`},
			{`POST /api/messages {"channel":"crew","sender":"bob","content":"2"}`, 200, `{"ok":true,"id":2,"channel":"crew","message_type":"message","seq":2,"duplicate":false}`},
			{`GET /api/channels?limit=1`, 200, `{"channels":[` + crew + `}]}`},
			{`GET /api/channels?limit=1&instance_id=cyd`, 200, `{"channels":[` + crew + `,"unread":2}]}`},
			{`GET /api/channels/search?q=who%20%3Cwe`, 200, `{"channels":[` + crew + `}]}`},
			{`GET /api/channels/search?q=CREW&limit=1`, 200, `{"channels":[` + crew + `}]}`},
			{`GET /api/channels/search?q=zzz`, 200, `{"channels":[]}`},
			{`GET /api/channels/search?q=the-crew`, 200,
				`{"channels":[{"name":"the-crew","description":"ours","created_at":"T","message_count":0,"last_message_at":null,"last_id":null,"active_senders":""}]}`},
		})
		if got := b.send(t, "GET", "/api/channels", ""); strings.Count(got.body, `"name":`) != 3 || !strings.Contains(got.body, general) {
			t.Errorf("all channels: %s", got.body)
		}
	})
}

func TestInstancesKeepTheirShape(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		const ada = `{"instance_id":"ada","description":"d","model":"m","kind":"agent","status":"online","last_seen":"T","session_token":null}`
		b.run(t, []step{
			{`GET /api/instances`, 200, `{"instances":[]}`},
			{`POST /api/register {"instance_id":" ada ","description":"d","model":"m","session_token":"x"}`, 200, `{"ok":true,"instance_id":"ada"}`},
			{`POST /api/register {"instance_id":"ada"}`, 200, `{"ok":true,"instance_id":"ada"}`},
			{`GET /api/instances`, 200, `{"instances":[` + ada + `]}`},
			{`GET /api/instances?status=online&limit=5`, 200, `{"instances":[` + ada + `]}`},
			{`GET /api/instances?status=offline`, 200, `{"instances":[]}`},
		})
	})
}

func TestWrongNamesAreToldWhatIsWrong(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		long := strings.Repeat("x", models.MaxDescription+1)
		for _, tc := range []struct {
			path, body string
			status     int
			code       models.Code
			want       string
		}{
			{"/api/register", `{}`, 400, models.Invalid, "instance_id is required"},
			{"/api/register", `{"instance_id":"Crosstalk"}`, 400, models.Invalid, "reserved"},
			{"/api/register", `{"instance_id":"a","description":"` + long + `"}`, 413, models.TooLarge, "description is 2001 characters"},
			{"/api/register", `{"instance_id":"a","model":"\u0000"}`, 400, models.Invalid, "model"},
			{"/api/channels", `{}`, 400, models.Invalid, "name is required"},
			{"/api/channels", `{"name":null}`, 400, models.Invalid, "name is required"},
			{"/api/channels", `{"name":"?!"}`, 400, models.Invalid, "no letter"},
			{"/api/channels", `{"name":"` + strings.Repeat("x", 101) + `"}`, 400, models.Invalid, "100 characters"},
			{"/api/channels", `{"name":"a","description":"` + long + `"}`, 413, models.TooLarge, "description is 2001 characters"},
			{"/api/channels", `{"name":"a","description":"a\u0000"}`, 400, models.Invalid, "description contains"},
			{"/api/channels", `{"name":["a"]}`, 400, models.Invalid, "name must be a string, not array"},
		} {
			b.refused(t, tc.status, tc.code, tc.want, "POST", tc.path, tc.body)
		}
	})
}

func TestWhoCallsIsSeen(t *testing.T) {
	b := serve(t, auth.Config{})
	for _, ask := range []string{
		"GET /api/messages/c?instance_id=NAME",
		"GET /api/messages/c?after_id=0&instance_id=NAME",
		"GET /api/channels?instance_id=NAME",
		"POST /api/messages {\"sender\":\"NAME\",\"content\":\"x\"}",
		"POST /api/data {\"key\":\"k\",\"sender\":\"NAME\",\"content\":\"x\"}",
		"DELETE /api/data/k?sender=NAME",
	} {
		// Whoever registered earlier stands behind the one who is seen now.
		for _, name := range []string{"caller", "other"} {
			if got := b.send(t, "POST", "/api/register", `{"instance_id":"`+name+`"}`); got.status != 200 {
				t.Fatal(got.body)
			}
		}
		method, rest, _ := strings.Cut(ask, " ")
		path, body, _ := strings.Cut(strings.ReplaceAll(rest, "NAME", "caller"), " ")
		before := b.lastSeen(t, "caller")
		b.eventually(t, ask, func() bool {
			if got := b.send(t, method, path, body); got.status != 200 && got.status != 404 {
				t.Fatal(ask, got.status, got.body)
			}
			return b.lastSeen(t, "caller") > before
		})
	}
	before := b.lastSeen(t, "caller")
	b.send(t, "GET", "/api/search?q=x&sender=caller", "")
	b.send(t, "GET", "/api/messages/c", "")
	if b.lastSeen(t, "caller") != before {
		t.Error("seen without having called")
	}
}
