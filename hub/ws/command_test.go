package ws

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"crosstalk/models"
)

func TestIDIsReadFromABadCommand(t *testing.T) {
	for text, want := range map[string]string{
		`{"id":7,"type":5}`:                         `7`,
		`{"type":5,"id":"x"}`:                       `"x"`,
		`{"after_id":"soon","id":1e99}`:             `1e99`,
		`{"channel":[{"id":1}],"id":"\u0041"}`:      `"\u0041"`,
		`{"id":{"a":1}}`:                            ``,
		`{"id":true,"type":1}`:                      ``,
		`{"id":null,"type":1}`:                      ``,
		`{"id":"` + strings.Repeat("x", 254) + `"}`: `"` + strings.Repeat("x", 254) + `"`,
		`{"id":"` + strings.Repeat("x", 255) + `"}`: ``,
	} {
		if cmd, ok, _ := parse([]byte(text)); !ok || string(cmd.ID) != want {
			t.Errorf("%.60s: id %s, want %s", text, cmd.ID, want)
		}
	}
}

// FuzzCommand holds parse to its promise for any bytes: what is an object is a command or an error that a client can
// read, what is none is refused, and the id comes back as it was.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		`{"type":"subscribe","id":1,"channel":"auth","after_id":12,"exclude_self":true}`,
		`{"type":"publish","id":"a","channel":"auth","sender":"bob","content":"hi","message_type":"status","in_reply_to":"3","idempotency_key":"k"}`,
		`{"type":"ping"}`, ` {} `, `{"id":-0.5e-7}`, `{"id":[]}`, `{"after_id":1e400}`, `{"in_reply_to":"x"}`, `[]`, `null`, `{`, "\xff", `{"a":1}{"b":2}`,
		`{"ID":1,"Type":"ping"}`, `{"id":1,"id":"2"}`, `{"content":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cmd, ok, err := parse(b)
		var object map[string]json.RawMessage
		if isObject := json.Unmarshal(b, &object) == nil && object != nil; ok != isObject {
			t.Fatalf("%q: ok %v, but an object: %v", b, ok, isObject)
		}
		if err != nil && (!ok || models.CodeOf(err) != models.Invalid) {
			t.Errorf("%q: %v", b, err)
		}
		if !utf8.Valid(b) {
			return
		}
		for _, answer := range [][]byte{
			appendPong(nil, cmd.ID), appendPublished(nil, cmd.ID, models.Receipt{}), appendSubscribed(nil, cmd.ID, "a", 1, true),
			appendError(nil, cmd.ID, models.Errorf(models.Invalid, "%s", b)),
		} {
			var back struct {
				ID json.RawMessage `json:"id"`
			}
			if err := json.Unmarshal(answer, &back); err != nil || string(back.ID) != string(cmd.ID) {
				t.Errorf("%q is answered %s: %v", b, answer, err)
			}
		}
	})
}
