package models

import (
	"strings"
	"testing"
)

func TestDraftsAreChecked(t *testing.T) {
	good := Draft{Sender: "alice", Content: "hi"}
	with := func(change func(*Draft)) Draft {
		d := good
		change(&d)
		return d
	}
	for name, c := range map[string]struct {
		given Draft
		want  Code
	}{
		"least":                      {good, ""},
		"bad channel":                {with(func(d *Draft) { d.Channel = "!!" }), Invalid},
		"no sender":                  {with(func(d *Draft) { d.Sender = "" }), Invalid},
		"reserved sender":            {with(func(d *Draft) { d.Sender = "Crosstalk" }), Invalid},
		"sender too long":            {with(func(d *Draft) { d.Sender = strings.Repeat("x", MaxName+1) }), TooLarge},
		"no content":                 {with(func(d *Draft) { d.Content = "" }), Invalid},
		"one byte":                   {with(func(d *Draft) { d.Content = "x" }), ""},
		"blank content":              {with(func(d *Draft) { d.Content = " \n" }), ""},
		"largest content":            {with(func(d *Draft) { d.Content = strings.Repeat("x", MaxContent) }), ""},
		"content too large":          {with(func(d *Draft) { d.Content = strings.Repeat("x", MaxContent+1) }), TooLarge},
		"content counts in bytes":    {with(func(d *Draft) { d.Content = strings.Repeat("界", MaxContent/3+1) }), TooLarge},
		"huge":                       {with(func(d *Draft) { d.Content = strings.Repeat("x", 64<<20) }), TooLarge},
		"invalid UTF-8":              {with(func(d *Draft) { d.Content = "a\xf0\x9f\x98" }), Invalid},
		"U+0000":                     {with(func(d *Draft) { d.Content = "\x00" }), Invalid},
		"U+0000 at the end":          {with(func(d *Draft) { d.Content = "hi\x00" }), Invalid},
		"control characters":         {with(func(d *Draft) { d.Content = "\x01\x1b[31m\x7f\u0085" }), ""},
		"not a character":            {with(func(d *Draft) { d.Content = "\uffff\ufdd0" }), ""},
		"every type":                 {with(func(d *Draft) { d.Type = TypeHandoff }), ""},
		"unknown type":               {with(func(d *Draft) { d.Type = "shout" }), Invalid},
		"type in capitals":           {with(func(d *Draft) { d.Type = "Request" }), Invalid},
		"longest key":                {with(func(d *Draft) { d.IdempotencyKey = strings.Repeat("k", MaxName) }), ""},
		"key too long":               {with(func(d *Draft) { d.IdempotencyKey = strings.Repeat("k", MaxName+1) }), TooLarge},
		"newline in the key":         {with(func(d *Draft) { d.IdempotencyKey = "a\nb" }), Invalid},
		"a reply":                    {with(func(d *Draft) { d.InReplyTo = 1 << 62 }), ""},
		"a reply to what cannot be":  {with(func(d *Draft) { d.InReplyTo = -1 }), Invalid},
		"a person":                   {with(func(d *Draft) { d.Kind = KindHuman }), ""},
		"everything wrong, one told": {Draft{Channel: "\x00", Sender: "\xff", Type: "?", InReplyTo: -1}, Invalid},
	} {
		got, err := ParseDraft(c.given)
		if CodeOf(err) != c.want {
			t.Errorf("%s: %v (%s), want %q", name, err, CodeOf(err), c.want)
		}
		if err != nil && got != (Draft{}) {
			t.Errorf("%s: refused, and yet a draft came back", name)
		}
		if err == nil && got.Content != c.given.Content {
			t.Errorf("%s: the content changed", name)
		}
	}
}

func TestADraftGetsItsDefaults(t *testing.T) {
	got, err := ParseDraft(Draft{Sender: " alice ", Content: " hi "})
	want := Draft{Channel: General, Sender: "alice", Content: " hi ", Type: TypeMessage, Kind: KindAgent}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	given := Draft{Channel: "Auth Dev", Sender: "ann", Content: "hi", Type: TypeDone, Kind: KindHuman, InReplyTo: 7, IdempotencyKey: "k"}
	want = given
	want.Channel = "auth-dev"
	if got, err = ParseDraft(given); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestTheSixTypesAndNoOther(t *testing.T) {
	for _, s := range strings.Fields("message request response status handoff done") {
		if got, err := ParseType(MessageType(s)); err != nil || string(got) != s {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{" message", "Done", "unknown", "\x00"} {
		if got, err := ParseType(MessageType(s)); CodeOf(err) != Invalid || got != "" {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}
