package flat

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// all reads every member of b but those that are named ?.
func all(b []byte) (members map[string]any, taken bool) {
	o := Read(b)
	members = map[string]any{}
	for o.Next() {
		if string(o.Name) == "?" {
			continue
		}
		if rest := bytes.TrimLeft(o.rest, " \t\r\n"); len(rest) > 0 && rest[0] == '"' {
			members[string(o.Name)] = o.Text()
		} else {
			members[string(o.Name)] = o.Whole()
		}
	}
	return members, o.Taken()
}

func TestTextsAndWholeNumbersAreTaken(t *testing.T) {
	for text, want := range map[string]map[string]any{
		`{}`:                                           {},
		" \t\r\n{ \t\r\n} \t\r\n":                      {},
		`{"a":"x","b":"","c":0,"":"n"}`:                {"a": "x", "b": "", "c": int64(0), "": "n"},
		`{ "a" : "x" , "b" : -12 }` + "\n":             {"a": "x", "b": int64(-12)},
		`{"a":"x","a":"y","a":3}`:                      {"a": int64(3)},
		`{"a":"\"\\\/\b\f\n\r\t\u00fc\u00FC\u0000/"}`:  {"a": "\"\\/\b\f\n\r\tüü\x00/"},
		`{"a":"\ud83d\ude00 😀 \uffff \ufffd"}`:         {"a": "😀 😀 \uffff \ufffd"},
		`{"a":"` + strings.Repeat(`\\x`, 1000) + `"}`:  {"a": strings.Repeat(`\x`, 1000)},
		`{"a":999999999999999999,"b":-0}`:              {"a": int64(999999999999999999), "b": int64(0)},
		`{"ü":"` + "\u007f\u2028" + `","Content":"z"}`: {"ü": "\u007f\u2028", "Content": "z"},
	} {
		if got, taken := all([]byte(text)); !taken || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", text, got, taken, want)
		}
	}
}

func TestWhatElseJSONMayBeIsLeft(t *testing.T) {
	for _, text := range []string{
		``, ` `, `null`, `[]`, `"a"`, `1`, `{`, `}`, `{}}`, `{}{}`, `{},`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,"a":1}`, `{"a":1 "b":2}`, `{"a":1;"b":2}`,
		`{"a":null}`, `{"a":true}`, `{"a":{}}`, `{"a":[]}`, `{"a":1.5}`, `{"a":1e2}`, `{"a":01}`, `{"a":-}`, `{"a":- 1}`, `{"a":+1}`, `{"a":1x}`, `{"a":1000000000000000000}`,
		`{"\u0061":1}`, `{"a`, `{"a"`, `{"a":"`, `{"a":"x`, `{"a":"x"`, `{"a":"\`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"\u+123"}`, `{"a":"\u1_23"}`,
		`{"a":"\ud83d"}`, `{"a":"\ude00\ud83d"}`, `{"a":"\ud83dx"}`, `{"a":"\ud83d\n"}`, `{"a":"\ud83d\u0041"}`, "{\"a\":\"\n\"}", "{\"a\":\"\\n\n\"}", "{\"a\n\":1}", "{\"a\":\x00}", "\ufeff{}", "{}\x00",
		strings.Repeat(`{"a":`, 10_000),
	} {
		if got, taken := all([]byte(text)); taken {
			t.Errorf("%.50s is taken for %v", text, got)
		}
	}
	for name, ask := range map[string]func(*Object){
		"nobody asks":         func(*Object) {},
		"a number for a text": func(o *Object) { o.Text() },
		"asked for twice":     func(o *Object) { o.Whole(); o.Whole() },
		"asked for after it":  func(o *Object) { o.Whole(); o.Text() },
	} {
		for _, text := range []string{`{"a":1}`, `{"a":}`, `{"a":,"b":"x"}`} {
			o := Read([]byte(text))
			for o.Next() {
				ask(&o)
			}
			if o.Taken() || o.Next() {
				t.Errorf("%s: %s is taken", name, text)
			}
		}
	}
	o := Read([]byte(`{"a":"1"}`))
	for o.Next() {
		o.Whole()
	}
	if o.Taken() {
		t.Error("a text is taken for a number")
	}
}

// FuzzFlat holds that what is taken is what encoding/json reads.
func FuzzFlat(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"channel":"general","sender":"ada","content":"x","in_reply_to":12} `, `{"a":"\u00fc\n\ud83d\ude00\/","a":-0,"":""}`, `{"a":"\ud83d\ud83d\ude00"}`,
		`{"a":01}`, `{"a":1.5}`, `{"a":null}`, `{"a":"x"}x`, `{"a":"x",}`, "{\"a\":\"\x01\"}", `{"a":123456789012345678}`, `{"a":{"b":[]}}`, `{"?":}`, `{"a":1,"?":0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !utf8.Valid(b) {
			t.Skip("is for whoever asks to find out")
		}
		got, taken := all(b)
		if !taken {
			return
		}
		want := map[string]any{}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&want); err != nil || d.More() {
			t.Fatalf("taken for %v, to encoding/json it is %v", got, err)
		}
		for name, v := range want {
			if n, ok := v.(json.Number); ok {
				i, err := n.Int64()
				if err != nil {
					t.Fatal(err)
				}
				want[name] = i
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// BenchmarkRead compares with encoding/json.
func BenchmarkRead(b *testing.B) {
	body := []byte(`{"channel":"bench","sender":"ada","content":"` + strings.Repeat("words ", 33) + `\n","in_reply_to":12}`)
	var sent struct {
		Channel, Sender, Content string
		InReplyTo                int64 `json:"in_reply_to"`
	}
	b.Run("flat", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o := Read(body)
			for o.Next() {
				switch string(o.Name) {
				case "channel":
					sent.Channel = o.Text()
				case "sender":
					sent.Sender = o.Text()
				case "content":
					sent.Content = o.Text()
				case "in_reply_to":
					sent.InReplyTo = o.Whole()
				}
			}
			if !o.Taken() {
				b.Fatal("not taken")
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(body, &sent); err != nil {
				b.Fatal(err)
			}
		}
	})
}
