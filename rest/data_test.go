package rest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"crosstalk/auth"
	"crosstalk/models"
)

func TestDataKeepsItsShape(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		b.run(t, []step{
			{`GET /api/data`, 200, `{"items":[]}`},
			{`POST /api/data {"key":"plan","content":"a<b ü","sender":"ada","description":"d","channel":"The Crew"}`, 200, `{"ok":true,"key":"plan","size_bytes":6,"version":1}`},
			{`GET /api/data/plan`, 200, `{"key":"plan","content":"a<b ü","created_by":"ada","description":"d","size_bytes":6,"version":1,"created_at":"T"}`},
			{`GET /api/data/plan?offset=1&length=3`, 200, `{"key":"plan","content":"<b ","created_by":"ada","description":"d","size_bytes":6,"version":1,"created_at":"T","next_offset":4}`},
			{`GET /api/data/plan?offset=5&length=100`, 200, `{"key":"plan","content":"ü","created_by":"ada","description":"d","size_bytes":6,"version":1,"created_at":"T"}`},
			{`GET /api/data/plan?offset=6`, 200, `{"key":"plan","content":"","created_by":"ada","description":"d","size_bytes":6,"version":1,"created_at":"T"}`},
			{`GET /api/data`, 200, `{"items":[{"key":"plan","created_by":"ada","description":"d","channel":"the-crew","size_bytes":6,"version":1,"created_at":"T"}]}`},
			{`POST /api/data {"key":"plan","content":"new","sender":"bob","if_version":"1"}`, 200, `{"ok":true,"key":"plan","size_bytes":3,"version":2}`},
			{`POST /api/data {"key":"plan","content":"newer","sender":"bob"}`, 200, `{"ok":true,"key":"plan","size_bytes":5,"version":3}`},
			{`POST /api/data {"key":"plan","content":"newest","sender":"bob","if_version":null}`, 200, `{"ok":true,"key":"plan","size_bytes":6,"version":4}`},
			{`DELETE /api/data/plan?sender=bob`, 200, `{"ok":true}`},
		})
		b.refused(t, 404, models.NotFound, "No shared data found", "GET", "/api/data/plan", "")
		b.refused(t, 404, models.NotFound, "No shared data found", "DELETE", "/api/data/plan", "")
	})
}

func TestWrongDataIsToldWhatIsWrong(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		if got := b.send(t, "POST", "/api/data", `{"key":"k","content":"x","sender":"a"}`); got.status != 200 {
			t.Fatal(got.body)
		}
		for body, want := range map[string]string{
			`{}`:                        "key is required",
			`{"key":"k","content":"x"}`: "sender is required",
			`{"key":"k","sender":"a"}`:  "content is required",
			`{"key":"#1","content":"x","sender":"a"}`:                  "reserved",
			`{"key":"k\u0007","content":"x","sender":"a"}`:             "key contains U+0007",
			`{"key":"k","content":7,"sender":"a"}`:                     "content must be a string, not number",
			`{"key":"k","content":"x","sender":"a","if_version":"v1"}`: "if_version must be a whole number",
			`{"key":"k","content":"x","sender":"a","channel":"?"}`:     "channel",
		} {
			b.refused(t, 400, models.Invalid, want, "POST", "/api/data", body)
		}
		for _, version := range []string{"0", "2", "99", "-1"} {
			b.refused(t, 409, models.Conflict, "version 1", "POST", "/api/data", `{"key":"k","content":"y","sender":"a","if_version":`+version+`}`)
		}
		b.refused(t, 400, models.Invalid, "key contains U+0007", "GET", "/api/data/%07", "")
		b.refused(t, 400, models.Invalid, "sender", "DELETE", "/api/data/k?sender=a%07b", "")
		b.refused(t, 413, models.TooLarge, "content is 16777217 bytes", "POST", "/api/data", `{"key":"k","content":"`+strings.Repeat("x", models.MaxData+1)+`","sender":"a"}`)
	})
}

func TestKeysAreDecodedOnce(t *testing.T) {
	bothWays(t, auth.Config{}, func(t *testing.T, b *bus) {
		keys := []string{"a/b", "/", "//", "..", "../../api/data", "a%2Fb", "%", "%25", "100%", "a b", "a+b", "ü€😀", "?", "a?b=c", "#no", "a#b", "search", "a:b", "a.b-c~d", ":key", "*", "a;b", `"q"`, `\`}
		for i, key := range keys {
			if key = strings.TrimPrefix(key, "#"); key == "" {
				continue
			}
			body, err := json.Marshal(map[string]string{"key": key, "content": fmt.Sprint("c", i), "sender": "ada"})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.send(t, "POST", "/api/data", string(body)); got.status != 200 {
				t.Errorf("share %q: %d %s", key, got.status, got.body)
			}
		}
		for i, key := range keys {
			key = strings.TrimPrefix(key, "#")
			got := b.send(t, "GET", "/api/data/"+url.PathEscape(key), "")
			var d models.SharedData
			if err := json.Unmarshal([]byte(got.body), &d); err != nil || got.status != 200 || d.Key != key || d.Content != fmt.Sprint("c", i) {
				t.Errorf("%q: %d %s, %v", key, got.status, got.body, err)
			}
		}
		for _, key := range keys {
			if got := b.send(t, "DELETE", "/api/data/"+url.PathEscape(strings.TrimPrefix(key, "#")), ""); got.status != 200 {
				t.Errorf("delete %q: %d %s", key, got.status, got.body)
			}
		}
		b.refused(t, 404, models.NotFound, "nothing at this path", "GET", "/api/data/a/b", "")
	})
}

func TestLargestDataIsReadInParts(t *testing.T) {
	b := serve(t, auth.Config{})
	whole := strings.Repeat(`"ü€😀`, models.MaxData/10) // quotes are escaped on their way
	body, err := json.Marshal(map[string]string{"key": "k", "content": whole, "sender": "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.send(t, "POST", "/api/data", string(body)); got.status != 200 {
		t.Fatal(got.status, got.body)
	}
	var got strings.Builder
	for offset := 0; ; {
		r := b.send(t, "GET", fmt.Sprintf("/api/data/k?offset=%d&length=3000001", offset), "")
		var d dataPart
		if err := json.Unmarshal([]byte(r.body), &d); err != nil || d.SizeBytes != int64(len(whole)) {
			t.Fatal(r.status, err, d.SizeBytes)
		}
		got.WriteString(d.Content)
		if offset = d.NextOffset; offset == 0 {
			break
		}
	}
	if got.String() != whole {
		t.Errorf("%d bytes came together, want %d", got.Len(), len(whole))
	}
}
