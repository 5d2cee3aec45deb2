package models

import (
	"strings"
	"testing"
)

func TestDataIsChecked(t *testing.T) {
	good := DataDraft{Key: "plan/v2", Content: "x", Sender: "alice"}
	with := func(change func(*DataDraft)) DataDraft {
		d := good
		change(&d)
		return d
	}
	for name, c := range map[string]struct {
		draft DataDraft
		want  Code
	}{
		"least":                     {good, ""},
		"channel is normalised":     {with(func(d *DataDraft) { d.Channel = "Auth Dev" }), ""},
		"bad channel":               {with(func(d *DataDraft) { d.Channel = "!" }), Invalid},
		"no key":                    {with(func(d *DataDraft) { d.Key = "" }), Invalid},
		"longest key":               {with(func(d *DataDraft) { d.Key = strings.Repeat("é", MaxName) }), ""},
		"key too long":              {with(func(d *DataDraft) { d.Key = strings.Repeat("é", MaxName+1) }), TooLarge},
		"key of another script":     {with(func(d *DataDraft) { d.Key = "план 二" }), ""},
		"reserved key":              {with(func(d *DataDraft) { d.Key = "#12" }), Invalid},
		"number sign within":        {with(func(d *DataDraft) { d.Key = "c#12" }), ""},
		"newline in the key":        {with(func(d *DataDraft) { d.Key = "a\nb" }), Invalid},
		"U+0000 in the key":         {with(func(d *DataDraft) { d.Key = "a\x00" }), Invalid},
		"invalid UTF-8 in the key":  {with(func(d *DataDraft) { d.Key = "a\xc3" }), Invalid},
		"direction mark in the key": {with(func(d *DataDraft) { d.Key = "a\u202eb" }), Invalid},
		"no sender":                 {with(func(d *DataDraft) { d.Sender = "" }), Invalid},
		"reserved sender":           {with(func(d *DataDraft) { d.Sender = "System" }), Invalid},
		"no content":                {with(func(d *DataDraft) { d.Content = "" }), Invalid},
		"largest content":           {with(func(d *DataDraft) { d.Content = strings.Repeat("x", MaxData) }), ""},
		"content too large":         {with(func(d *DataDraft) { d.Content = strings.Repeat("x", MaxData+1) }), TooLarge},
		"content counts in bytes":   {with(func(d *DataDraft) { d.Content = strings.Repeat("é", MaxData/2) + "é" }), TooLarge},
		"U+0000 in the content":     {with(func(d *DataDraft) { d.Content = "a\x00b" }), Invalid},
		"invalid UTF-8":             {with(func(d *DataDraft) { d.Content = "a\xff" }), Invalid},
		"control characters":        {with(func(d *DataDraft) { d.Content = "a\tb\r\n\x1b" }), ""},
		"longest description":       {with(func(d *DataDraft) { d.Description = strings.Repeat("界", MaxDescription) }), ""},
		"description too long":      {with(func(d *DataDraft) { d.Description = strings.Repeat("x", MaxDescription+1) }), TooLarge},
		"U+0000 in the description": {with(func(d *DataDraft) { d.Description = "\x00" }), Invalid},
	} {
		got, err := ParseData(c.draft)
		if CodeOf(err) != c.want {
			t.Errorf("%s: %v (%s), want %q", name, err, CodeOf(err), c.want)
		}
		if err != nil && got != (DataDraft{}) {
			t.Errorf("%s: refused, and yet a draft came back", name)
		}
		if err == nil && got.Content != c.draft.Content {
			t.Errorf("%s: the content changed", name)
		}
	}
	if d, _ := ParseData(with(func(d *DataDraft) { d.Channel = "Auth Dev" })); d.Channel != "auth-dev" {
		t.Errorf("channel %q", d.Channel)
	}
}

func TestAReservedKeyCanBeAskedFor(t *testing.T) {
	if key, err := ParseDataKey("#12"); err != nil || key != "#12" {
		t.Errorf("%q, %v", key, err)
	}
	for _, key := range []string{"", "a\x01", strings.Repeat("x", MaxName+1), "\xff"} {
		if _, err := ParseDataKey(key); err == nil {
			t.Errorf("%.10q was accepted", key)
		}
	}
}
