package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"crosstalk/auth"
	"crosstalk/models"
)

func TestPartsJoinToTheWhole(t *testing.T) {
	for _, tc := range []struct {
		whole          string
		offset, length int
		want           string
		next           int
	}{
		{"", 0, 5, "", 0},
		{"abc", 0, 3, "abc", 0},
		{"abc", 0, 2, "ab", 2},
		{"abc", 2, 2, "c", 0},
		{"abc", 3, 2, "", 0},
		{"abc", 99, 2, "", 0},
		{"aüb", 0, 2, "a", 1}, // before the ü, not within
		{"aüb", 2, 1, "ü", 3}, // back to where the ü begins, and on over it
		{"€€", 1, 1, "€", 3},
		{"€€", 3, 1, "€", 0},
	} {
		if got, next := (part{tc.offset, tc.length}).of(tc.whole); got != tc.want || next != tc.next {
			t.Errorf("%q from %d, %d bytes: %q, next %d; want %q, next %d", tc.whole, tc.offset, tc.length, got, next, tc.want, tc.next)
		}
	}
}

// FuzzPostMessage holds that no body brings the door down, and that what it accepts is what it stores.
func FuzzPostMessage(f *testing.F) {
	for _, seed := range []string{
		`{"sender":"ada","content":"x"}`,
		`{"channel":" Auth_DEV ","sender":" ada ","content":"\u00fc\n\ud83d\ude00","message_type":"done","in_reply_to":"1","idempotency_key":"k"}`,
		`{"sender":"a","content":"\ud800","Content":"y","content":null}`,
		`{"sender":"a","content":"x","in_reply_to":1e2}`,
		`{"sender":"a","content":"\u0000"}`, "{\"sender\":\"a\",\"content\":\"\xff\"}",
		`[{}]`, `null`, `{`, ``, `{"sender":{"a":[1,{"b":null}]}}`, strings.Repeat(`[`, 20_000), `{"a":` + strings.Repeat(`{"a":`, 20_000),
	} {
		f.Add([]byte(seed))
	}
	b := serve(f, auth.Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		got := b.send(t, "POST", "/api/messages", string(body), "Content-Type: application/json")
		switch got.status {
		case http.StatusOK:
		case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge:
			var e struct{ Error, Code string }
			if err := json.Unmarshal([]byte(got.body), &e); err != nil || e.Error == "" || e.Code == "" {
				t.Errorf("refused with %s", got.body)
			}
			return
		default:
			t.Fatalf("%d %s", got.status, got.body)
		}
		var r receipt
		var sent messageBody
		for text, into := range map[string]any{got.body: &r, string(body): &sent} {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
		want, err := models.ParseDraft(models.Draft{Channel: sent.Channel, Sender: sent.Sender, Content: sent.Content, Type: sent.MessageType})
		if err != nil {
			t.Fatal(err)
		}
		var m models.Message
		if err := json.Unmarshal([]byte(b.send(t, "GET", fmt.Sprintf("/api/messages/%s/%d", r.Channel, r.ID), "").body), &m); err != nil {
			t.Fatal(err)
		}
		if m.Content != want.Content || m.Sender != want.Sender || m.Channel != want.Channel || m.Type != want.Type || m.ID != r.ID || m.Kind != models.KindAgent {
			t.Errorf("sent %+v, stored %+v", want, m)
		}
	})
}

// FuzzQuery holds that every request target gets an answer in JSON, and none brings the door down.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"/api/messages/general?after_id=1&limit=-5&max_bytes=1&wait=1e9&instance_id=%00", "/api/messages/%zz/1?offset=-1&length=1e300",
		"/api/messages/a%2Fb/1/replies?limit=NaN", "/api/data/%2F%25?offset=%FF", "/api/search?q=%22*%22 OR&sender=%ff", "/api/channels/search?q=%5C%25",
		"/api/instances?status=\xff", "//evil/api", "http://x/health", "*", "", "/health?%", "/api/messages/general?after_id=9223372036854775808", "/openapi.json#x",
	} {
		f.Add(seed)
	}
	b := serve(f, auth.Config{})
	b.post(f, "general", "ada", "one", "two ü", "three")
	b.hub.Drain() // nobody waits
	f.Fuzz(func(t *testing.T, target string) {
		if strings.ContainsAny(target, "\r\n") {
			t.Skip("more than a target")
		}
		got := b.raw(t, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if got.status >= 500 && !strings.HasPrefix(target, "/readyz") || !json.Valid([]byte(got.body)) {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}

// request makes one without a network, to be served again and again.
func request(method, path, body string) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(path)
	ctx.Request.Header.SetHost("localhost")
	ctx.Request.Header.Set("Authorization", "Bearer sesame")
	if body != "" {
		ctx.Request.Header.SetContentType("application/json")
		ctx.Request.SetBodyString(body)
	}
	return ctx
}

// local is the door without a network.
func local(t testing.TB) fasthttp.RequestHandler {
	t.Helper()
	h, _, stop := start(t)
	t.Cleanup(stop)
	g, err := auth.New(auth.Config{Key: "sesame"})
	if err != nil {
		t.Fatal(err)
	}
	app, _ := New(Options{Hub: h, Gate: g})
	app.Handler() // readies the routes
	return app.Server().Handler
}

// BenchmarkPostMessage posts from 64 goroutines a core, whose messages are committed together.
func BenchmarkPostMessage(b *testing.B) {
	serve := local(b)
	body := `{"channel":"bench","sender":"ada","content":"` + strings.Repeat("x", 200) + `","message_type":"status"}`
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		ctx := request("POST", "/api/messages", body)
		for pb.Next() {
			serve(ctx)
			if ctx.Response.StatusCode() != 200 {
				b.Error(ctx.Response.String())
				return
			}
			ctx.Response.Reset()
			ctx.ResetUserValues()
		}
	})
}

// BenchmarkRefusedMessage is what the door itself costs a message: all but storing it.
func BenchmarkRefusedMessage(b *testing.B) {
	serve := local(b)
	ctx := request("POST", "/api/messages", `{"channel":"bench","sender":"ada","content":"`+strings.Repeat("x", 200)+`","message_type":"shout"}`)
	b.ReportAllocs()
	for b.Loop() {
		serve(ctx)
		ctx.Response.Reset()
		ctx.ResetUserValues()
	}
}

func BenchmarkPage(b *testing.B) {
	serve := local(b)
	post := request("POST", "/api/messages", `{"channel":"bench","sender":"ada","content":"`+strings.Repeat("x", 200)+`"}`)
	for range 200 {
		serve(post)
	}
	for name, path := range map[string]string{"newest": "/api/messages/bench", "after": "/api/messages/bench?after_id=0", "empty": "/api/messages/bench?after_id=200"} {
		b.Run(name, func(b *testing.B) {
			ctx := request("GET", path, "")
			b.ReportAllocs()
			for b.Loop() {
				serve(ctx)
				if ctx.Response.StatusCode() != 200 {
					b.Fatal(ctx.Response.String())
				}
				ctx.Response.Reset()
				ctx.ResetUserValues()
			}
		})
	}
}

// BenchmarkEncode compares the encoding of a page of 20 with that of encoding/json.
func BenchmarkEncode(b *testing.B) {
	p := page{models.Page{BusID: "b"}}
	for i := range 20 {
		p.Messages = append(p.Messages, models.Message{ID: int64(i), Channel: "bench", Sender: "ada", Content: strings.Repeat("a line\n", 30), Type: models.TypeMessage})
	}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.AppendJSON(nil)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var buf bytes.Buffer
			if err := json.NewEncoder(&buf).Encode(p.Page); err != nil {
				b.Fatal(err)
			}
		}
	})
}
