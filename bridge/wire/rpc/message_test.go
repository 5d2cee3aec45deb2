package rpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadsWhatATransportMustKnow(t *testing.T) {
	for message, want := range map[string]Message{
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`: {Kind: Request, ID: raw("1"), Method: "ping"},
		`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"n","uri":"u","arguments":{"name":"x"},"_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`: {
			Kind: Request, ID: raw(`"a"`), Method: "tools/call", Name: "n", URI: "u", Token: raw(`"t"`), Version: "2026-07-28"},
		`{"jsonrpc":"2.0","id":-1.5e3,"method":"m","params":{"_meta":{"progressToken":0}}}`:             {Kind: Request, ID: raw("-1.5e3"), Method: "m", Token: raw("0")},
		`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":null}}}`:               {Kind: Request, ID: raw("1"), Method: "m"},
		`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":{"a":1}}}}`:            {Kind: Request, ID: raw("1"), Method: "m"},
		`{"jsonrpc":"2.0","id":1,"method":"m","params":[5]}`:                                            {Kind: Request, ID: raw("1"), Method: "m"},
		`{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":5,"_meta":7}}`:                           {Kind: Request, ID: raw("1"), Method: "m"},
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":12345678901234567}}`: {Kind: Notification, Method: "notifications/cancelled", Cancels: raw("12345678901234567")},
		`{"jsonrpc":"2.0","id":null,"method":"m"}`:                                                      {Kind: Notification, Method: "m"},
		`{"jsonrpc":"2.0","id":3,"result":{"a":1}}`:                                                     {Kind: Response, ID: raw("3"), Result: raw(`{"a":1}`)},
		`{"jsonrpc":"2.0","id":3,"error":{"code":1}}`:                                                   {Kind: Response, ID: raw("3"), Error: raw(`{"code":1}`)},
	} {
		want.Raw = []byte(message)
		got, wrong := Parse([]byte(message))
		if wrong != nil {
			t.Errorf("%s: %v", message, wrong)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", message, diff)
		}
	}
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func TestSaysWhatIsWrongUnderTheID(t *testing.T) {
	for message, want := range map[string]string{
		``:                                    `{null -32700`,
		`{`:                                   `{null -32700`,
		`{"jsonrpc":"2.0","id":1,"method":"a`: `{null -32700`,
		"{\"id\":1,\"x\":\"\xff\"}":           `{null -32700`,
		strings.Repeat(`{"a":`, 20_000):       `{null -32700`,
		` [{"jsonrpc":"2.0","id":1}]`:         `{null -32600`,
		`null`:                                `{null -32600`,
		`"x"`:                                 `{null -32600`,
		`{"jsonrpc":"2.0","id":true}`:         `{null -32600`,
		`{"jsonrpc":"2.0","id":[1],"method":"m"}`: `{null -32600`,
		`{"id":1,"method":"m"}`:                   `{1 -32600`,
		`{"jsonrpc":2.0,"id":1,"method":"m"}`:     `{1 -32600`,
		`{"jsonrpc":"2.0","id":1,"method":""}`:    `{1 -32600`,
		`{"jsonrpc":"2.0","id":1,"method":{}}`:    `{1 -32600`,
		`{"jsonrpc":"2.0","id":1}`:                `{1 -32600`,
		`{"jsonrpc":"2.0","result":{}}`:           `{null -32600`,
	} {
		m, wrong := Parse([]byte(message))
		if wrong == nil {
			t.Errorf("%.80q: nothing is wrong", message)
			continue
		}
		answer := wrong.Answer(m.ID)
		id, err := json.Marshal(answer.ID)
		if got := fmt.Sprintf("{%s %d", id, answer.Error.Code); err != nil || got != want || answer.Error.Message == "" {
			t.Errorf("%.80q: got %s %v, want %s", message, got, answer, want)
		}
	}
}

// FuzzParse holds every message to what a transport relies on.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":"t"}}}`, `[1]`, `{"ID":1,"jsonrpc":"2.0","Method":"m"}`,
		`{"jsonrpc":"2.0","id":"\ud800","method":"m","params":{"requestId":-0}}`, ` {"id":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, wrong := Parse(b)
		for _, id := range []json.RawMessage{m.ID, m.Token, m.Cancels} {
			if id != nil && (!json.Valid(id) || strings.ContainsAny(string(id[:1]), "{[tfn")) {
				t.Errorf("an id is %s", id)
			}
		}
		if wrong != nil {
			if _, err := json.Marshal(wrong.Answer(m.ID)); err != nil {
				t.Error(err)
			}
			return
		}
		if !json.Valid(m.Raw) || (m.Kind == Notification) != (m.ID == nil) || (m.Kind == Response) != (m.Method == "") {
			t.Errorf("%s is taken for %+v", b, m)
		}
	})
}
