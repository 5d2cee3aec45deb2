package rest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"crosstalk/auth"
	"crosstalk/models"
)

const (
	first  = `{"id":1,"seq":1,"channel":"auth-dev","sender":"ada","kind":"agent","verified":false,"content":"hi \"<&>\" ü","message_type":"request","in_reply_to":null,"reply_count":1,"created_at":"T"}`
	second = `{"id":2,"seq":2,"channel":"auth-dev","sender":"bob","kind":"agent","verified":false,"content":"yes","message_type":"response","in_reply_to":1,"reply_count":0,"created_at":"T"}`
	third  = `{"id":3,"seq":1,"channel":"general","sender":"ada","kind":"agent","verified":false,"content":"all","message_type":"message","in_reply_to":null,"reply_count":0,"created_at":"T"}`
)

func TestMessagesKeepTheirShape(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		b.run(t, []step{
			{`GET /api/messages/auth-dev`, 200, `{"messages":[],"last_id":null,"next_after_id":0,"more":false,"recovered":true,"bus_id":"B"}`},
			{`POST /api/messages {"channel":" Auth_DEV ","sender":" ada ","content":"hi \"<&>\" \u00fc","message_type":"request"}`, 200,
				`{"ok":true,"id":1,"channel":"auth-dev","message_type":"request","seq":1,"duplicate":false}`},
			{`POST /api/messages {"channel":"auth-dev","sender":"bob","content":"yes","message_type":"response","in_reply_to":"1"}`, 200,
				`{"ok":true,"id":2,"channel":"auth-dev","message_type":"response","seq":2,"duplicate":false}`},
			{`POST /api/messages {"sender":"ada","content":"all"}`, 200,
				`{"ok":true,"id":3,"channel":"general","message_type":"message","seq":1,"duplicate":false}`},
			{`GET /api/messages/auth-dev`, 200,
				`{"messages":[` + first + `,` + second + `],"last_id":2,"next_after_id":3,"more":false,"recovered":true,"bus_id":"B"}`},
			{`GET /api/messages/Auth%20Dev?after_id=1`, 200,
				`{"messages":[` + second + `],"last_id":2,"next_after_id":3,"more":false,"recovered":true,"bus_id":"B"}`},
			{`GET /api/messages/auth-dev?after_id=0&limit=1`, 200,
				`{"messages":[` + first + `],"last_id":1,"next_after_id":1,"more":true,"recovered":true,"bus_id":"B"}`},
			{`GET /api/messages/auth-dev?limit=1`, 200,
				`{"messages":[` + second + `],"last_id":2,"next_after_id":3,"more":true,"recovered":true,"bus_id":"B"}`},
			{`GET /api/messages/auth-dev?before_id=2`, 200,
				`{"messages":[` + first + `],"last_id":1,"next_after_id":3,"more":false,"recovered":true,"bus_id":"B"}`},
			{`GET /api/messages/auth-dev?after_id=99`, 200,
				`{"messages":[],"last_id":null,"next_after_id":3,"more":false,"recovered":false,"bus_id":"B"}`},
			{`GET /api/messages/auth-dev?after_id=0&instance_id=ada`, 200,
				`{"messages":[` + second + `],"last_id":2,"next_after_id":3,"more":false,"recovered":true,"bus_id":"B"}`},
			{`GET /api/messages/auth-dev?instance_id=ada&limit=2`, 200,
				`{"messages":[` + first + `,` + second + `],"last_id":2,"next_after_id":3,"more":false,"recovered":true,"bus_id":"B"}`},
			{`GET /api/messages/auth-dev/2`, 200, second},
			{`GET /api/messages/auth-dev/1/replies`, 200, `{"parent":` + first + `,"replies":[` + second + `]}`},
			{`GET /api/messages/auth-dev/2/replies`, 200, `{"parent":` + second + `,"replies":[]}`},
			{`GET /api/search?q=yes`, 200, `{"messages":[` + second + `]}`},
			{`GET /api/search?q=all&channel=General&sender=ada`, 200, `{"messages":[` + third + `]}`},
			{`GET /api/search?q=all&sender=bob`, 200, `{"messages":[]}`},
			{`GET /api/messages/general/2`, 404, `{"error":"message 2 is not in channel \"general\": it never was, or retention has removed it","code":"not_found"}`},
			{`GET /api/messages/auth-dev/7/replies`, 404, `{"error":"message 7 is not in channel \"auth-dev\": it never was, or retention has removed it","code":"not_found"}`},
		})
	})
}

func TestAbsentIsNullIsEmpty(t *testing.T) {
	b := serve(t, auth.Config{})
	for i, body := range []string{
		`{"sender":"ada","content":"x"}`,
		`{"sender":"ada","content":"x","channel":null,"message_type":null,"in_reply_to":null,"idempotency_key":null}`,
		`{"sender":"ada","content":"x","channel":"","message_type":"","in_reply_to":"","idempotency_key":""}`,
		`{"sender":"ada","content":"x","in_reply_to":0}`,
		`{"sender":"ada","content":"x","in_reply_to":"0","kind":"human","verified":true,"id":77,"other":{"a":[1]}}`,
		`{"sender":"eve","content":"y","sender":"ada","content":"x"}`,
		" \r\n\t{\"sender\":\"ada\",\"content\":\"x\"}\n",
	} {
		got := b.send(t, "POST", "/api/messages", body)
		want := fmt.Sprintf(`{"ok":true,"id":%d,"channel":"general","message_type":"message","seq":%d,"duplicate":false}`, i+1, i+1)
		if got.status != 200 || got.body != want {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	for i, m := range b.page(t, "general", "after_id=0").Messages {
		if m.Sender != "ada" || m.Content != "x" || m.InReplyTo != nil || m.Kind != models.KindAgent || m.Verified || m.ID != int64(i+1) {
			t.Errorf("stored %+v", m)
		}
	}
	if p := b.page(t, "general", "after_id=&before_id=&limit=&max_bytes=&wait=&instance_id=&nonsense=1"); len(p.Messages) != 7 {
		t.Errorf("empty parameters: %d messages", len(p.Messages))
	}
}

// page reads a page of a channel.
func (b *bus) page(t testing.TB, ch, parameters string) models.Page {
	t.Helper()
	got := b.send(t, "GET", "/api/messages/"+ch+"?"+parameters, "")
	var p models.Page
	if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.status != 200 {
		t.Fatalf("?%s: %d %s", parameters, got.status, got.body)
	}
	return p
}

// post sends messages.
func (b *bus) post(t testing.TB, ch, sender string, contents ...string) {
	t.Helper()
	for _, content := range contents {
		body, err := json.Marshal(map[string]string{"channel": ch, "sender": sender, "content": content})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.send(t, "POST", "/api/messages", string(body)); got.status != 200 {
			t.Fatalf("post: %d %s", got.status, got.body)
		}
	}
}

func TestWrongMessagesAreToldWhatIsWrong(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		for body, want := range map[string]string{
			``:                                 "JSON object",
			` `:                                "JSON object",
			`null`:                             "JSON object",
			`[]`:                               "JSON object",
			`"x"`:                              "JSON object",
			`7`:                                "JSON object",
			`{`:                                "not JSON",
			`{"sender":"a"`:                    "not JSON",
			`{"sender":"a",}`:                  "not JSON",
			`{} {}`:                            "not JSON",
			`{"sender":"a"} x`:                 "not JSON",
			`{"sender":` + "\"a\xff" + `"}`:    "UTF-8",
			`{}`:                               "sender is required",
			`{"sender":"a"}`:                   "content is required",
			`{"sender":"a","content":null}`:    "content is required",
			`{"content":"x"}`:                  "sender is required",
			`{"sender":"  ","content":"x"}`:    "sender is required",
			`{"sender":7,"content":"x"}`:       "sender must be a string, not number",
			`{"sender":"a","content":{"a":1}}`: "content must be a string, not object",
			`{"sender":"a","content":["x"]}`:   "content must be a string, not array",
			`{"sender":"a","content":true}`:    "content must be a string, not bool",
			`{"sender":"a","content":"x","channel":7}`:             "channel must be a string",
			`{"sender":"a","content":"x","channel":"!!"}`:          "channel",
			`{"sender":"a","content":"x","message_type":"shout"}`:  "message_type must be one of",
			`{"sender":"a","content":"x","in_reply_to":"abc"}`:     "in_reply_to must be a whole number",
			`{"sender":"a","content":"x","in_reply_to":1.5}`:       "in_reply_to must be a whole number",
			`{"sender":"a","content":"x","in_reply_to":true}`:      "in_reply_to must be a whole number",
			`{"sender":"a","content":"x","in_reply_to":{}}`:        "in_reply_to must be a whole number",
			`{"sender":"a","content":"x","in_reply_to":-1}`:        "in_reply_to",
			`{"sender":"a","content":"x","in_reply_to":9}`:         "in_reply_to 9",
			`{"sender":"a","content":"a\u0000b"}`:                  "content contains the character U+0000",
			`{"sender":"a\nb","content":"x"}`:                      "sender contains U+000A",
			`{"sender":"System","content":"x"}`:                    "reserved",
			`{"sender":"a","content":"x","idempotency_key":"a\n"}`: "idempotency_key contains",
		} {
			b.refused(t, 400, models.Invalid, want, "POST", "/api/messages", body, "Content-Type: application/json")
		}
		for body, want := range map[string]string{
			`{"sender":"a","content":"` + strings.Repeat("x", models.MaxContent+1) + `"}`: "content is 262145 bytes",
			`{"sender":"` + strings.Repeat("ü", 201) + `","content":"x"}`:                 "sender is 201 characters",
		} {
			b.refused(t, 413, models.TooLarge, want, "POST", "/api/messages", body)
		}
		if p := b.page(t, "general", "after_id=0"); len(p.Messages) > 0 {
			t.Errorf("something was stored: %+v", p.Messages)
		}
		if got := b.send(t, "POST", "/api/messages", `{"sender":"a","content":"`+strings.Repeat("x", models.MaxContent)+`"}`); got.status != 200 {
			t.Errorf("the largest content: %d %s", got.status, got.body)
		}
	})
}

// refused asks and wants to be told why not.
func (b *bus) refused(t testing.TB, status int, code models.Code, want, method, path, body string, fields ...string) {
	t.Helper()
	got := b.send(t, method, path, body, fields...)
	var e struct {
		Error string
		Code  models.Code
	}
	if err := json.Unmarshal([]byte(got.body), &e); err != nil {
		t.Errorf("%s %s %.80q: %v in %q", method, path, body, err, got.body)
	}
	if got.status != status || e.Code != code || !strings.Contains(e.Error, want) {
		t.Errorf("%s %s %.80q: %d %s, want %d %s with %q", method, path, body, got.status, got.body, status, code, want)
	}
}

func TestWrongQueriesAreToldWhatIsWrong(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		for path, want := range map[string]string{
			"/api/messages/general?after_id=abc":         "after_id must be a whole number",
			"/api/messages/general?after_id=1.5":         "after_id must be a whole number",
			"/api/messages/general?before_id=x":          "before_id must be a whole number",
			"/api/messages/general?wait=5":               "wait needs after_id",
			"/api/messages/general?instance_id=%FF":      "instance_id is not valid UTF-8",
			"/api/messages/general?instance_id=a%00":     "instance_id is not valid UTF-8, or contains U+0000",
			"/api/messages/general?instance_id=a%0A%0Ab": "instance_id contains",
			"/api/messages/%21%21":                       "channel",
			"/api/messages/%FF":                          "channel is not valid UTF-8",
			"/api/messages/a%00":                         "channel contains",
			"/api/messages/general/x":                    "id in the path",
			"/api/messages/general/x/replies":            "id in the path",
			"/api/search":                                "q is required",
			"/api/search?q=%20":                          "q is required",
			"/api/search?q=%FF":                          "q is not valid UTF-8",
			"/api/search?q=x&channel=%21":                "channel",
			"/api/search?q=x&sender=a%0Ab":               "sender contains",
			"/api/channels?instance_id=a%0Ab":            "instance_id contains",
			"/api/channels/search":                       "q is required",
			"/api/instances?status=away":                 "status must be online or offline",
		} {
			b.refused(t, 400, models.Invalid, want, "GET", path, "")
		}
		if got := b.raw(t, "GET /api/messages/%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); got.status != 400 || !strings.Contains(got.body, "percent-encoded") {
			t.Errorf("a broken escape: %d %s", got.status, got.body)
		}
	})
}

func TestOddLimitsAreClamped(t *testing.T) {
	b := serve(t, auth.Config{})
	for i := range 250 {
		b.post(t, "c", "ada", fmt.Sprint("m", i))
	}
	for parameters, want := range map[string]int{
		"":                              20,
		"limit=3":                       3,
		"limit=%203%20":                 3,
		"limit=3.9":                     3,
		"limit=0":                       1,
		"limit=-5":                      1,
		"limit=abc":                     20,
		"limit=NaN":                     20,
		"limit=200":                     200,
		"limit=201":                     200,
		"limit=1e9":                     200,
		"limit=99999999999999999999999": 200,
		"limit=1e999":                   200,
		"limit=Inf":                     200,
		"after_id=0":                    200,
		"after_id=0&limit=abc":          200,
		"after_id=0&limit=7":            7,
		"after_id=-7":                   200,
		"after_id=-99999999999":         200,
		"after_id=245":                  5,
		"after_id=245.0":                5,
		"after_id=250":                  0,
		"before_id=0":                   0,
		"before_id=-1":                  0,
		"before_id=3":                   2,
		"after_id=10&before_id=14":      3,
		"max_bytes=abc":                 20,
		"max_bytes=1e12":                20,
	} {
		if p := b.page(t, "c", parameters); len(p.Messages) != want {
			t.Errorf("?%s: %d messages, want %d", parameters, len(p.Messages), want)
		}
	}
	for path, want := range map[string]int{"q=ada": 0, "q=m": 10, "q=m&limit=0": 1, "q=m&limit=30": 30, "q=m&limit=9999": 200} {
		got := b.send(t, "GET", "/api/search?"+path, "")
		if n := strings.Count(got.body, `"id":`); n != want {
			t.Errorf("search ?%s: %d messages, want %d", path, n, want)
		}
	}
}

func TestMaxBytesBoundsTheAnswer(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		long := strings.Repeat("ü\n", 20_000) // 60,000 bytes, 80,000 encoded
		b.post(t, "c", "ada", "one", long, "three", "four")
		for _, maxBytes := range []int{-5, 0, 1, 999, 1000, 5000, 90_000, 1 << 20} {
			// Onwards, whoever follows next_after_id sees all, oldest first.
			var got []int64
			for after, more := int64(0), true; more; {
				parameters := fmt.Sprintf("after_id=%d&max_bytes=%d", after, maxBytes)
				if size := len(b.send(t, "GET", "/api/messages/c?"+parameters, "").body); size > max(maxBytes, 1000) {
					t.Errorf("?%s: %d bytes", parameters, size)
				}
				p := b.page(t, "c", parameters)
				if len(p.Messages) == 0 {
					t.Fatalf("?%s: nothing, with more %v", parameters, p.More)
				}
				for _, m := range p.Messages {
					got = append(got, m.ID)
					if cut := maxBytes < 90_000 && m.ID == 2; m.Truncated != cut || cut != (m.ContentBytes == len(long)) {
						t.Errorf("?%s: message %d has truncated %v, content_bytes %d", parameters, m.ID, m.Truncated, m.ContentBytes)
					}
					if m.ID == 2 && !strings.HasPrefix(long, m.Content) {
						t.Errorf("?%s: another content", parameters)
					}
				}
				after, more = p.NextAfterID, p.More
			}
			if fmt.Sprint(got) != "[1 2 3 4]" {
				t.Errorf("max_bytes=%d: read %v", maxBytes, got)
			}
		}
		// Without a position the newest stay.
		if p := b.page(t, "c", "max_bytes=1000"); len(p.Messages) != 2 || p.Messages[1].ID != 4 || !p.More || p.NextAfterID != 4 {
			t.Errorf("the newest: %+v", p)
		}
	})
}

func TestMaxBytesBoundsThreadsAndSearches(t *testing.T) {
	b := serve(t, auth.Config{})
	long := strings.Repeat("word ", 10_000)
	b.post(t, "c", "ada", long)
	for range 4 {
		if got := b.send(t, "POST", "/api/messages", `{"channel":"c","sender":"bob","content":"`+long+`","in_reply_to":1}`); got.status != 200 {
			t.Fatal(got.body)
		}
	}
	for path, more := range map[string]bool{
		"/api/messages/c/1/replies?max_bytes=90000": true,
		"/api/messages/c/1/replies?max_bytes=2000":  true,
		"/api/messages/c/1/replies?limit=200":       false,
		"/api/messages/c/1/replies?limit=1":         false,
		"/api/search?q=word&max_bytes=90000":        true,
		"/api/search?q=word&limit=1&max_bytes=1000": false,
		"/api/search?q=word&limit=3":                false,
	} {
		got := b.send(t, "GET", path, "")
		if got.status != 200 || strings.Contains(got.body, `"more":true`) != more {
			t.Errorf("%s: %d, more is not %v: %.200s", path, got.status, more, got.body)
		}
		var maxBytes int
		if _, err := fmt.Sscanf(path[strings.LastIndexByte(path, '=')+1:], "%d", &maxBytes); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(path, "max_bytes") && len(got.body) > maxBytes {
			t.Errorf("%s: %d bytes", path, len(got.body))
		}
		if !json.Valid([]byte(got.body)) {
			t.Errorf("%s: not JSON", path)
		}
	}
}

func TestRestOfAMessageIsRead(t *testing.T) {
	b := serve(t, auth.Config{})
	long := strings.Repeat("aü€😀", 1000) // 10 bytes a turn
	b.post(t, "c", "ada", long)
	for _, length := range []int{1, 3, 7, 1000, 9_999, 10_000} {
		var got strings.Builder
		for offset, parts := 0, 0; ; parts++ {
			r := b.send(t, "GET", fmt.Sprintf("/api/messages/c/1?offset=%d&length=%d", offset, length), "")
			var m struct {
				models.Message
				NextOffset int `json:"next_offset"`
			}
			if err := json.Unmarshal([]byte(r.body), &m); err != nil || r.status != 200 {
				t.Fatal(r.status, r.body, err)
			}
			got.WriteString(m.Content)
			if part := len(m.Content) < len(long); m.Truncated != part || part && m.ContentBytes != len(long) {
				t.Fatalf("length %d: %+v", length, m)
			}
			if m.NextOffset == 0 {
				break
			}
			if offset = m.NextOffset; parts == 20 {
				length = max(length, 5000) // seen enough of small steps
			}
		}
		if got.String() != long {
			t.Errorf("length %d: %d bytes came together, want %d", length, got.Len(), len(long))
		}
	}
}

func TestIdempotencyKeyStoresOnce(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		const field = "Idempotency-Key: k1"
		for _, s := range []struct {
			body, field string
			status      int
			want        string
		}{
			{`{"sender":"ada","content":"x"}`, field, 200, `{"ok":true,"id":1,"channel":"general","message_type":"message","seq":1,"duplicate":false}`},
			{`{"sender":"ada","content":"x"}`, field, 200, `{"ok":true,"id":1,"channel":"general","message_type":"message","seq":1,"duplicate":true}`},
			{`{"sender":"ada","content":"x","idempotency_key":"k1"}`, "", 200, `{"ok":true,"id":1,"channel":"general","message_type":"message","seq":1,"duplicate":true}`},
			{`{"sender":"ada","content":"x","idempotency_key":"k2"}`, field, 200, `{"ok":true,"id":2,"channel":"general","message_type":"message","seq":2,"duplicate":false}`},
			{`{"sender":"bob","content":"x"}`, field, 200, `{"ok":true,"id":3,"channel":"general","message_type":"message","seq":3,"duplicate":false}`},
			{`{"sender":"ada","content":"y"}`, field, 409, `"code":"conflict"`},
			{`{"sender":"ada","content":"x","channel":"other"}`, field, 409, `"code":"conflict"`},
			{`{"sender":"ada","content":"x"}`, "Idempotency-Key: a\xff", 400, `idempotency_key is not valid UTF-8`},
		} {
			fields := []string{}
			if s.field != "" {
				fields = append(fields, s.field)
			}
			if got := b.send(t, "POST", "/api/messages", s.body, fields...); got.status != s.status || !strings.Contains(got.body, s.want) {
				t.Errorf("%s, %s: %d %s, want %d %s", s.body, s.field, got.status, got.body, s.status, s.want)
			}
		}
	})
}

func TestWaitAnswersAtTheCommit(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		b.post(t, "c", "ada", "old")
		if p := b.page(t, "c", "after_id=0&wait=30"); len(p.Messages) != 1 {
			t.Errorf("what is there was waited for: %+v", p)
		}
		answers := make(chan models.Page)
		for range 3 {
			go func() { answers <- b.page(t, "c", "after_id=1&wait=30&instance_id=ada") }()
		}
		begin := time.Now()
		b.post(t, "c", "ada", "own")
		b.post(t, "other", "bob", "elsewhere")
		b.post(t, "c", "bob", "new")
		for range 3 {
			if p := <-answers; len(p.Messages) != 1 || p.Messages[0].Content != "new" || p.NextAfterID < 4 {
				t.Errorf("waited for %+v", p)
			}
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the wait took %v", took)
		}
		begin = time.Now()
		if p := b.page(t, "nowhere", "after_id=0&wait=0.2"); len(p.Messages) != 0 || p.NextAfterID != 4 || time.Since(begin) < 200*time.Millisecond {
			t.Errorf("after %v: %+v", time.Since(begin), p)
		}
		for _, none := range []string{"wait=0", "wait=-3", "wait=abc", "wait=NaN"} {
			begin = time.Now()
			if p := b.page(t, "nowhere", "after_id=0&"+none); len(p.Messages) != 0 || time.Since(begin) > 5*time.Second {
				t.Errorf("%s: %v", none, time.Since(begin))
			}
		}
		// A wait that is asked for longer ends at thirty seconds, or when the server does.
		begin = time.Now()
		go func() { answers <- b.page(t, "nowhere", "after_id=0&wait=1e9") }()
		b.hub.Drain()
		if p := <-answers; len(p.Messages) != 0 || p.NextAfterID != 4 || time.Since(begin) > 10*time.Second {
			t.Errorf("drained after %v: %+v", time.Since(begin), p)
		}
	})
}

func TestAnswersAreTheReadersOwn(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		// Fiber uses its memory again: what was stored from one request must not change with the next.
		for i := range 50 {
			name := fmt.Sprintf("bot-%02d", i)
			if got := b.send(t, "GET", "/api/messages/ch-"+name+"?after_id=0&instance_id="+name, ""); got.status != 200 {
				t.Fatal(got.body)
			}
			if got := b.send(t, "POST", "/api/messages", `{"channel":"ch-`+name+`","sender":"`+name+`","content":"c`+name+`"}`, "Idempotency-Key: k-"+name); got.status != 200 {
				t.Fatal(got.body)
			}
			if got := b.send(t, "POST", "/api/register", `{"instance_id":"`+name+`"}`); got.status != 200 {
				t.Fatal(got.body)
			}
		}
		for i := range 50 {
			name := fmt.Sprintf("bot-%02d", i)
			p := b.page(t, "ch-"+name, "")
			if len(p.Messages) != 1 || p.Messages[0].Sender != name || p.Messages[0].Content != "c"+name {
				t.Errorf("%s: %+v", name, p.Messages)
			}
			if got := b.send(t, "GET", "/api/instances?limit=1000", ""); strings.Count(got.body, `"`+name+`"`) != 1 {
				t.Errorf("%s is not registered once", name)
			}
		}
	})
}
