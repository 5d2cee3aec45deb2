package models

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ptr[T any](v T) *T { return &v }

const noon = Time(1767323045006) // 2026-01-02 03:04:05.006

func TestJSONIsWhatClientsRelyOn(t *testing.T) {
	message := Message{
		ID: 12, Seq: 3, Channel: "auth-dev", Sender: "alice", Kind: KindAgent, Verified: true, Content: "Hi \"Bob\" \\ é 😀\n<b>\t\u0001",
		Type: TypeRequest, InReplyTo: ptr[int64](7), ReplyCount: 2, CreatedAt: noon,
	}
	cut := Message{
		ID: 13, Seq: 4, Channel: "auth-dev", Sender: "ann", Kind: KindHuman, Content: "Once upon", Type: TypeMessage,
		CreatedAt: noon, Truncated: true, ContentBytes: 262144,
	}
	channel := Channel{
		Name: "auth-dev", Description: "Sign-in", CreatedAt: noon, MessageCount: 4, LastMessageAt: ptr(noon),
		LastID: ptr[int64](13), ActiveSenders: "alice, ann", Unread: ptr[int64](0),
	}
	for name, v := range map[string]any{
		"message":       message,
		"page":          Page{Messages: []Message{message, cut}, LastID: ptr[int64](13), NextAfterID: 13, More: true, Recovered: true, BusID: busID},
		"page_empty":    Page{Messages: []Message{}, NextAfterID: 40, Recovered: true, BusID: busID},
		"thread":        Thread{Parent: message, Replies: []Message{}},
		"channel":       channel,
		"channel_empty": Channel{Name: "general", CreatedAt: noon},
		"instance":      Instance{ID: "alice", Description: "Writes tests", Model: "m-1", Kind: KindAgent, Status: Online, LastSeen: noon},
		"shared_data": SharedData{
			Key: "plan/v2", Content: "1. Tests", CreatedBy: "alice", Description: "What comes next", Channel: "auth-dev",
			SizeBytes: 8, Version: 2, CreatedAt: noon,
		},
	} {
		want, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Error(err)
			continue
		}
		var got bytes.Buffer
		encoder := json.NewEncoder(&got)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(v); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s: want -, got +\n%s", name, diff)
		}
	}
}

// plain is a Message without its own encoding.
type plain Message

// agree holds AppendJSON against encoding/json.
func agree(t *testing.T, m Message) {
	t.Helper()
	own := m.AppendJSON([]byte("before"))
	if !bytes.HasPrefix(own, []byte("before")) {
		t.Fatalf("what stood in the buffer is gone: %q", own)
	}
	own = own[len("before"):]
	theirs, err := json.Marshal(plain(m))
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := json.Unmarshal(own, &got); err != nil {
		t.Fatalf("%q: %v", own, err)
	}
	if err := json.Unmarshal(theirs, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("encoding/json -, AppendJSON +\n%s", diff)
	}
	if bytes.ContainsAny(own, "\n\r") {
		t.Fatalf("%q is more than one line", own)
	}
	var back Message
	if err := json.Unmarshal(own, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sound(m), back); diff != "" {
		t.Fatalf("sent -, came +\n%s", diff)
	}
}

// sound is m as it comes out of any JSON: without invalid UTF-8.
func sound(m Message) Message {
	for _, s := range []*string{&m.Channel, &m.Sender, &m.Content, (*string)(&m.Kind), (*string)(&m.Type)} {
		*s = string([]rune(*s))
	}
	return m
}

func TestAppendJSONAgreesWithEncodingJSON(t *testing.T) {
	var every strings.Builder
	for r := range rune(0x300) {
		every.WriteRune(r)
	}
	every.WriteString("\u2028\u2029\ufeff\ufffd\U0010ffff")
	m := Message{ID: math.MaxInt64, Seq: math.MinInt64, Content: every.String(), Sender: `a"b\c`, CreatedAt: noon}
	agree(t, m)
	agree(t, Message{})
	agree(t, Message{InReplyTo: ptr[int64](math.MaxInt64), ReplyCount: math.MaxInt64, Verified: true, Truncated: true, ContentBytes: 12345, CreatedAt: -1})
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("hi", "alice", "general", "message", int64(1), int64(0), false)
	f.Add("a\xffb\x00\x1f\x7f\"\\/<>&\u2028", "\xed\xa0\x80", "", "\n", int64(-1), int64(math.MaxInt64), true)
	f.Fuzz(func(t *testing.T, content, sender, channel, kind string, id, at int64, flag bool) {
		at %= 253402300800000 // to the year 9999, the last that RFC 3339 can write
		m := Message{
			ID: id, Seq: -id, Channel: channel, Sender: sender, Kind: Kind(kind), Content: content, Type: MessageType(kind),
			Verified: flag, ReplyCount: id, CreatedAt: Time(max(at, -at)), Truncated: flag,
		}
		if flag {
			m.InReplyTo, m.ContentBytes = &id, len(content)+1
		}
		agree(t, m)
	})
}

func TestTimesAreRFC3339InMilliseconds(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 1, 2, 3, 4, 5, 6_999_999, time.UTC), "2026-01-02T03:04:05.006Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), "2026-01-02T02:04:05.000Z"},
		{time.Unix(0, 0), "1970-01-01T00:00:00.000Z"},
	} {
		at := TimeOf(c.at)
		b, err := json.Marshal(at)
		if err != nil || string(b) != `"`+c.want+`"` || at.String() != c.want {
			t.Errorf("%v: %s, %q, %v", c.at, b, at, err)
		}
		var back Time
		if err := json.Unmarshal(b, &back); err != nil || back != at {
			t.Errorf("%s came back as %v, %v", b, back, err)
		}
		if !at.Time().Equal(c.at.Truncate(time.Millisecond)) || at.Time().Location() != time.UTC {
			t.Errorf("%v became %v", c.at, at.Time())
		}
	}
	var at Time
	if err := json.Unmarshal([]byte(`"2026-01-02T04:04:05.0069+01:00"`), &at); err != nil || at != noon {
		t.Errorf("%v, %v", at, err)
	}
	if err := json.Unmarshal([]byte(`null`), &at); err != nil || at != noon {
		t.Errorf("null made %v, %v", at, err)
	}
	for _, bad := range []string{`12`, `""`, `"yesterday"`, `"2026-01-02"`, `{}`, `true`} {
		if err := json.Unmarshal([]byte(bad), &at); err == nil {
			t.Errorf("%s was taken for %v", bad, at)
		}
	}
}

func TestNumbersComeInManyForms(t *testing.T) {
	for _, c := range []struct {
		json string
		want Int
		ok   bool
	}{
		{`12`, Int{12, true}, true},
		{`"12"`, Int{12, true}, true},
		{`" 12 "`, Int{12, true}, true},
		{`-3`, Int{-3, true}, true},
		{`"+5"`, Int{5, true}, true},
		{`0`, Int{0, true}, true},
		{`12.0`, Int{12, true}, true},
		{`1e3`, Int{1000, true}, true},
		{`null`, Int{}, true},
		{`""`, Int{}, true},
		{`"  "`, Int{}, true},
		{`9223372036854775807`, Int{math.MaxInt64, true}, true},
		{`9223372036854775808`, Int{math.MaxInt64, true}, true},
		{`-9223372036854775809`, Int{math.MinInt64, true}, true},
		{`"9223372036854775808.0"`, Int{math.MaxInt64, true}, true},
		{`-1e30`, Int{math.MinInt64, true}, true},
		{`1e400`, Int{math.MaxInt64, true}, true},
		{`12.5`, Int{}, false},
		{`"12a"`, Int{}, false},
		{`"0x10p1"`, Int{}, false},
		{`"NaN"`, Int{}, false},
		{`"Inf"`, Int{}, false},
		{`"infinity"`, Int{}, false},
		{`"1_000"`, Int{}, false},
		{`"١٢"`, Int{}, false},
		{`true`, Int{}, false},
		{`[1]`, Int{}, false},
		{`{}`, Int{}, false},
		{`"` + strings.Repeat("9", 1<<20) + `"`, Int{math.MaxInt64, true}, true},
		{`"` + strings.Repeat("x", 1<<20) + `"`, Int{}, false},
	} {
		got := Int{Value: 99, Set: true}
		err := json.Unmarshal([]byte(c.json), &got)
		switch {
		case c.ok && (err != nil || got != c.want):
			t.Errorf("%.40s: %+v, %v; want %+v", c.json, got, err, c.want)
		case !c.ok && CodeOf(err) != Invalid:
			t.Errorf("%.40s: %+v, %v; want invalid", c.json, got, err)
		case !c.ok && len(err.Error()) > 300:
			t.Errorf("%.40s: the error echoes all of it", c.json)
		}
	}
	if _, err := ParseInt("after_id", "soon"); err == nil || !strings.Contains(err.Error(), "after_id") {
		t.Errorf("%v does not say which parameter is meant", err)
	}
}

func TestNoNumberIsNil(t *testing.T) {
	if p := (Int{}).Ptr(); p != nil {
		t.Errorf("nothing is %d", *p)
	}
	n := Int{Value: 5, Set: true}
	if p := n.Ptr(); p == nil || *p != 5 {
		t.Errorf("5 is %v", p)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	m := Message{
		ID: 123456, Seq: 7890, Channel: "auth-dev", Sender: "alice", Kind: KindAgent, Type: TypeRequest, InReplyTo: ptr[int64](123400),
		Content: strings.Repeat("The tests of the \"login\" page pass now.\n", 5), CreatedAt: noon,
	}
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = m.AppendJSON(buf[:0])
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		p := plain(m)
		for b.Loop() {
			if _, err := json.Marshal(&p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
