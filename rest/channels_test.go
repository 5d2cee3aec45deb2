package rest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"crosstalk/auth"
	"crosstalk/hub"
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
			{`GET /api/channels?limit=1&before_id=3`, 200, `{"channels":[` + crew + `}]}`},
			{`GET /api/channels?limit=1&before_id=2`, 200,
				`{"channels":[{"name":"the-crew","description":"ours","created_at":"T","message_count":0,"last_message_at":null,"last_id":null,"active_senders":""}]}`},
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

func TestPeoplePauseAndResume(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		const sent = `{"ok":true,"id":1,"channel":"crew","message_type":"message","seq":1,"duplicate":false}`
		const paused = `{"name":"crew","description":"","created_at":"T","message_count":1,"last_message_at":"T","last_id":1,"active_senders":"ada","paused_at":"T"`
		b.run(t, []step{
			{`POST /api/messages {"channel":"crew","sender":"ada","content":"1"}`, 200, sent},
			{`POST /api/channels/Crew/pause {"reason":" too <fast> "}`, 200, `{"ok":true}`},
			{`GET /api/channels?limit=1`, 200, `{"channels":[` + paused + `,"pause_reason":"too <fast>"}]}`},
			{`GET /api/channels/search?q=crew`, 200, `{"channels":[` + paused + `,"pause_reason":"too <fast>"}]}`},
		})
		b.refused(t, 409, models.Paused, `who says "too <fast>"`, "POST", "/api/messages", `{"channel":"CREW","sender":"ada","content":"2"}`)
		b.run(t, []step{
			{`POST /api/channels/crew/pause {"reason":null}`, 200, `{"ok":true}`},
			{`GET /api/channels?limit=1`, 200, `{"channels":[` + paused + `}]}`},
			{`POST /api/channels/crew/resume {}`, 200, `{"ok":true}`},
			{`POST /api/channels/crew/resume {}`, 200, `{"ok":true}`},
			{`POST /api/messages {"channel":"crew","sender":"ada","content":"2"}`, 200, `{"ok":true,"id":2,"channel":"crew","message_type":"message","seq":2,"duplicate":false}`},
		})
		b.refused(t, 404, models.NotFound, "no channel", "POST", "/api/channels/nowhere/pause", `{}`)
		b.refused(t, 404, models.NotFound, "no channel", "POST", "/api/channels/nowhere/resume", `{}`)
		b.refused(t, 400, models.Invalid, "no letter", "POST", "/api/channels/!/pause", `{}`)
		b.refused(t, 400, models.Invalid, "reason must be a string", "POST", "/api/channels/crew/pause", `{"reason":7}`)
		b.refused(t, 413, models.TooLarge, "reason is 2001 characters", "POST", "/api/channels/crew/pause", `{"reason":"`+strings.Repeat("x", 2001)+`"}`)
	})
}

func TestAChannelKeepsWhatItIsToldTo(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		const crew = `{"channels":[{"name":"crew","description":"","created_at":"T","message_count":0,"last_message_at":null,"last_id":null,"active_senders":""`
		b.run(t, []step{
			{`POST /api/channels {"name":"crew"}`, 200, `{"ok":true,"channel":"crew"}`},
			{`POST /api/channels/Crew/retention {"keep_days":7,"keep_messages":1000}`, 200, `{"ok":true}`},
			{`GET /api/channels/search?q=crew`, 200, crew + `,"keep_days":7,"keep_messages":1000}]}`},
			{`POST /api/channels/crew/retention {"keep_messages":100}`, 200, `{"ok":true}`},
			{`GET /api/channels/search?q=crew`, 200, crew + `,"keep_days":0,"keep_messages":100}]}`},
			{`POST /api/channels/crew/retention {"keep_days":null}`, 200, `{"ok":true}`},
			{`GET /api/channels/search?q=crew`, 200, crew + `}]}`},
		})
		b.refused(t, 404, models.NotFound, "no channel", "POST", "/api/channels/nowhere/retention", `{"keep_days":0}`)
		b.refused(t, 400, models.Invalid, "keep_days must be a number of days from 1", "POST", "/api/channels/crew/retention", `{"keep_days":-1}`)
		b.refused(t, 400, models.Invalid, "from 1 to 36500", "POST", "/api/channels/crew/retention", `{"keep_days":36501}`)
		b.refused(t, 400, models.Invalid, "from 100", "POST", "/api/channels/crew/retention", `{"keep_messages":99}`)
		b.refused(t, 400, models.Invalid, "keep_messages must be", "POST", "/api/channels/crew/retention", `{"keep_messages":"all"}`)
	})
}

func TestActivityIsTold(t *testing.T) {
	b := serve(t, auth.Config{})
	for range 2 {
		b.send(t, "POST", "/api/messages", `{"channel":"crew","sender":"ada","content":"1"}`)
	}
	for ask, hours := range map[string]int{"": 24, "?hours=2": 2, "?hours=0": 1, "?hours=1e9": 168, "?hours=x": 24} {
		got := b.send(t, "GET", "/api/channels/crew/activity"+ask, "")
		var answer struct {
			Since   models.Time
			Senders []models.Activity
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || len(answer.Senders) != 1 || len(answer.Senders[0].Counts) != hours {
			t.Errorf("%q: %d %s", ask, got.status, got.body)
			continue
		}
		sum := int64(0)
		for _, n := range answer.Senders[0].Counts {
			sum += n
		}
		if hours > 1 && sum != 2 || answer.Senders[0].Sender != "ada" || answer.Since == 0 {
			t.Errorf("%q: %s", ask, got.body)
		}
	}
	if got := b.send(t, "GET", "/api/channels/nowhere/activity", ""); !strings.HasSuffix(got.body, `"senders":[]}`) {
		t.Error(got.body)
	}
}

func TestWaitsAreListed(t *testing.T) {
	b := serve(t, auth.Config{})
	b.run(t, []step{{`GET /api/waits`, 200, `{"waits":[]}`}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.hub.Wait(ctx, models.Principal{Name: models.SharedPrincipal}, hub.Ask{Channel: "crew", Instance: "ada"}, models.RoleParked, time.Minute)
		ended <- err
	}()
	want := `{"waits":[{"channel":"crew","instance_id":"ada","role":"parked","since":"T"}]}`
	b.eventually(t, "the wait is listed", func() bool { return b.stable(b.send(t, "GET", "/api/waits", "").body) == want })
	cancel()
	<-ended
	b.eventually(t, "it is gone", func() bool { return b.send(t, "GET", "/api/waits", "").body == `{"waits":[]}` })
}
