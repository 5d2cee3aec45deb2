package bridge

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"crosstalk/bridge/catalog"
	"crosstalk/bridge/fence"
	"crosstalk/models"
)

// crowd fills a bus with the longest of everything.
func crowd(t *testing.T, h *house) {
	t.Helper()
	long := strings.Repeat("界", models.MaxName-4)
	for i := range 60 {
		name := fmt.Sprintf("%s%d", long, i)
		r := models.Registration{ID: name, Model: name, Description: strings.Repeat("界", models.MaxDescription), Kind: models.KindAgent}
		if err := h.hub.Register(t.Context(), anyone(), r); err != nil {
			t.Fatal(err)
		}
		ch := fmt.Sprintf("%s-%d", strings.Repeat("x", models.MaxChannel-4), i)
		if err := h.hub.CreateChannel(t.Context(), anyone(), ch, r.Description); err != nil {
			t.Fatal(err)
		}
		for j := range 6 {
			d := models.Draft{Channel: ch, Sender: fmt.Sprintf("%s%d", long, j), Type: models.TypeDone, Content: strings.Repeat("界", 200*i)}
			if d.Content == "" {
				d.Content = "x"
			}
			if _, err := h.hub.Publish(t.Context(), anyone(), d); err != nil {
				t.Fatal(err)
			}
		}
		d := models.DataDraft{Key: name, Content: strings.Repeat("界", 10_000), Sender: name, Description: r.Description}
		if _, err := h.hub.ShareData(t.Context(), anyone(), d); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryAnswerIsBounded(t *testing.T) {
	h := newHouse(t, Options{})
	crowd(t, h)
	c := h.client("c")
	me := strings.Repeat("界", models.MaxName)
	last := strings.Repeat("x", models.MaxChannel-4) + "-59"
	for _, call := range [][2]string{
		{"register", `{"instance_id":"ME"}`}, {"list_channels", `{}`}, {"find_channel", `{"query":"x"}`}, {"list_instances", `{}`}, {"list_shared_data", `{}`},
		{"check_messages", `{"channel":"LAST","instance_id":"ME"}`}, {"check_messages", `{"channel":"LAST","after_id":0,"limit":200}`},
		{"wait_for_reply", `{"channel":"LAST","instance_id":"ME","after_id":1}`}, {"search_messages", `{"query":"界界","limit":200}`},
		{"get_shared_data", `{"key":"` + strings.Repeat("界", models.MaxName-4) + `7"}`}, {"get_shared_data", `{"key":"#360"}`}, {"get_replies", `{"message_id":360}`},
		{"send_message", `{"channel":"LAST","sender":"ME","content":"hi","message_type":"request"}`}, {"subscribe", `{"channel":"LAST","instance_id":"ME"}`},
		{"send_message", `{"channel":"` + strings.Repeat("x", models.MaxChannel-6) + `","sender":"ME","content":"hi"}`},
		{"create_channel", `{"name":"` + strings.Repeat("x", models.MaxChannel-5) + `"}`},
	} {
		answer := c.call(call[0], strings.NewReplacer("ME", me, "LAST", last).Replace(call[1]))
		if len(answer) > fence.Most {
			t.Errorf("%s answers with %d bytes", call[0], len(answer))
		}
		if len(answer) < fence.Most/2 && slices.Contains([]string{"list_channels", "list_instances", "check_messages", "get_shared_data"}, call[0]) {
			t.Errorf("%s leaves room unused: %d bytes", call[0], len(answer))
		}
	}
}

func TestRegisterIsShort(t *testing.T) {
	h := newHouse(t, Options{})
	for i := range 30 {
		text := strings.Repeat("word ", 40)
		if err := h.hub.Register(t.Context(), anyone(), models.Registration{ID: fmt.Sprintf("bob%d", i), Description: text, Kind: models.KindAgent}); err != nil {
			t.Fatal(err)
		}
		ch := fmt.Sprintf("c%d", i)
		if err := h.hub.CreateChannel(t.Context(), anyone(), ch, text); err != nil {
			t.Fatal(err)
		}
		h.post(ch, "bob1", models.TypeMessage, "hi")
	}
	said := h.client("c").call("register", `{"instance_id":"me"}`)
	if n := len(regexp.MustCompile(`(?m)^#c\d+:`).FindAllString(said, -1)); n != 15 {
		t.Errorf("%d channels", n)
	}
	if n := len(regexp.MustCompile(`(?m)^"bob\d+"`).FindAllString(said, -1)); n != 15 {
		t.Errorf("%d instances", n)
	}
	for _, m := range blocks.FindAllStringSubmatch(said, -1) {
		if n := len([]rune(m[2])); n > 80 {
			t.Errorf("a description of %d characters", n)
		}
	}
	wants(t, said, "and more: list_channels shows all", "and more: list_instances shows all")
	lacks(t, said, `"me" [`)
}

var (
	position  = regexp.MustCompile(`^(\d+) new message\(s\) in #x\. Last message ID: (\d+)\n`)
	shownIDs  = regexp.MustCompile(`(?m)^#(\d+) \[`)
	following = regexp.MustCompile(`(?m)^(\d+) more follows?: check_messages channel="x" after_id=(\d+)`)
)

// TestReadingOnShowsEachMessageOnce reads a channel of messages of all sizes, page by page.
func TestReadingOnShowsEachMessageOnce(t *testing.T) {
	h := newHouse(t, Options{})
	c := h.client("c")
	c.call("register", `{"instance_id":"me"}`)
	r := rand.New(rand.NewPCG(3, 4))
	const all = 120
	for range all {
		size := 1 + r.IntN(200)
		switch r.IntN(12) {
		case 0:
			size = 1 + r.IntN(30_000)
		case 1:
			size = 1 + r.IntN(5_000)
		}
		h.post("x", "bob", models.TypeMessage, strings.Repeat("é", size))
	}
	next := 1
	args := `{"channel":"x","instance_id":"me","limit":50,"after_id":0}`
	for rounds := 0; next <= all; rounds++ {
		said := c.call("check_messages", args)
		head, ids := position.FindStringSubmatch(said), shownIDs.FindAllStringSubmatch(said, -1)
		if head == nil || len(said) > fence.Most || rounds > all || head[1] != strconv.Itoa(len(ids)) {
			t.Fatalf("round %d, %d bytes: %.200s", rounds, len(said), said)
		}
		for _, id := range ids {
			if id[1] != strconv.Itoa(next) {
				t.Fatalf("message %s comes where %d should", id[1], next)
			}
			next++
		}
		if head[2] != strconv.Itoa(next-1) {
			t.Errorf("the position is %s after message %d", head[2], next-1)
		}
		more := following.FindStringSubmatch(said)
		if left := all - next + 1; left > 0 && (more == nil || more[1] != strconv.Itoa(left) || more[2] != head[2]) || left == 0 && more != nil {
			t.Errorf("%d are left: %q", left, more)
		}
		args = `{"channel":"x","instance_id":"me","limit":50}`
		if r.IntN(2) == 0 {
			args = fmt.Sprintf(`{"channel":"x","instance_id":"me","limit":50,"after_id":%s}`, head[2])
		}
	}
	wants(t, c.call("check_messages", `{"channel":"x","instance_id":"me"}`), "No new messages in #x. Last message ID: 120")
}

func TestAMessageThatCameCutCanBeReadToItsEnd(t *testing.T) {
	h := newHouse(t, Options{})
	c := h.client("c")
	whole := strings.Repeat("aé界😀\n", models.MaxContent/11)
	h.post("x", "bob", models.TypeMessage, whole)
	h.post("x", "bob", models.TypeMessage, "small")
	said := c.call("check_messages", `{"channel":"x","after_id":0}`)
	wants(t, said, "1 new message(s) in #x. Last message ID: 1", "1 more follows")
	var text strings.Builder
	on := regexp.MustCompile(`get_shared_data key="#1" offset=(\d+)\)`)
	for rounds := 0; rounds < 20; rounds++ {
		got := blocks.FindStringSubmatch(said)[2]
		text.WriteString(strings.TrimSuffix(strings.TrimPrefix(got, "\n"), "\n"))
		next := on.FindStringSubmatch(said)
		if next == nil {
			break
		}
		if next[1] != strconv.Itoa(text.Len()) {
			t.Fatalf("reading on at %s of %d", next[1], text.Len())
		}
		said = c.call("get_shared_data", `{"key":"#1","offset":"`+next[1]+`"}`)
	}
	if text.String() != whole {
		t.Errorf("%d bytes came of %d", text.Len(), len(whole))
	}
}

func TestRepliesThatDoNotFitAreCounted(t *testing.T) {
	h := newHouse(t, Options{})
	c := h.client("c")
	h.post("x", "bob", models.TypeRequest, "who?")
	for range maxLimit + 5 {
		d := models.Draft{Channel: "x", Sender: "ann", Type: models.TypeResponse, Content: strings.Repeat("y", 300), InReplyTo: 1}
		if _, err := h.hub.Publish(t.Context(), anyone(), d); err != nil {
			t.Fatal(err)
		}
	}
	said := c.call("get_replies", `{"message_id":1}`)
	shown := len(shownIDs.FindAllString(said, -1)) - 1
	if shown < 40 || shown > 60 {
		t.Errorf("%d replies are shown", shown)
	}
	wants(t, said, "has 205 replies", fmt.Sprintf("%d more did not fit: check_messages channel=\"x\" after_id=%d", 205-shown, shown+1))
}

// TestNoArgumentBreaksATool gives each parameter of each tool values that it does not expect, some to each. Each call is
// answered in bounds, and what was wrong is told.
func TestNoArgumentBreaksATool(t *testing.T) {
	values := []string{
		`null`, `""`, `"*"`, `"#1"`, `-1`, `1.5`, `1e300`, `99999999999999999999`, `true`, `[[1]]`, `{"a":1}`,
		`"\u0000"`, `"\ud800"`, `"a\nb"`, `"\u202e"`, `"` + strings.Repeat("界", 100_000) + `"`,
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, Options{Push: true})
		h.post("x", "bob", models.TypeMessage, "hi")
		c := h.client("c")
		turn := 0
		for _, tool := range catalog.Tools(true) {
			var schema struct{ Properties map[string]any }
			if err := json.Unmarshal(tool.RawInputSchema, &schema); err != nil {
				t.Fatal(err)
			}
			if len(schema.Properties) > 2 {
				for _, extra := range []string{"poll_interval_seconds", "idempotency_key", "max_bytes", "if_version"} {
					schema.Properties[extra] = nil
				}
			}
			for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
				for range 5 {
					v := values[turn%len(values)]
					turn += 3 // has no divisor in common with their number
					args := map[string]json.RawMessage{
						"instance_id": json.RawMessage(`"me"`), "sender": json.RawMessage(`"me"`), "channel": json.RawMessage(`"x"`), "content": json.RawMessage(`"hi"`),
						"key": json.RawMessage(`"k"`), "name": json.RawMessage(`"x"`), "query": json.RawMessage(`"hi"`), "message_id": json.RawMessage(`1`),
						"max_wait_minutes": json.RawMessage(`0`), "timeout_seconds": json.RawMessage(`0`),
					}
					args[name] = json.RawMessage(v)
					whole, err := json.Marshal(args)
					if err != nil {
						t.Fatal(err)
					}
					said, wrong := c.try(t.Context(), tool.Name, string(whole), true)
					if len(said) > fence.Most || said == "" || wrong && len(said) > 5000 || strings.Contains(said, "Internal") || strings.Contains(said, "panic") {
						t.Errorf("%s with %s=%.40s: %.300s", tool.Name, name, v, said)
					}
				}
			}
		}
	})
}

func TestAClientMayAskForLess(t *testing.T) {
	h := newHouse(t, Options{})
	for range 50 {
		h.post("x", "bob", models.TypeMessage, strings.Repeat("x", 500))
	}
	c := h.client("c")
	if said := c.call("check_messages", `{"channel":"x","after_id":0,"limit":50,"max_bytes":8000}`); len(said) > 8000 || len(said) < 5000 {
		t.Errorf("%d bytes", len(said))
	}
	h.post("y", "bob", models.TypeMessage, strings.Repeat("x", 100_000))
	for _, call := range [][2]string{
		{"check_messages", `{"channel":"y","after_id":0,"max_bytes":1}`}, {"wait_for_reply", `{"channel":"y","after_id":1,"instance_id":"me","max_bytes":"5000"}`},
		{"get_replies", `{"message_id":51,"max_bytes":5000}`}, {"get_shared_data", `{"key":"#51","max_bytes":5000}`}, {"search_messages", `{"query":"xxxx","max_bytes":5000}`},
	} {
		if said := c.call(call[0], call[1]); len(said) > 5000 || len(said) < 2000 {
			t.Errorf("%s: %d bytes", call[0], len(said))
		}
	}
	if said := c.call("get_shared_data", `{"key":"#1","length":10}`); len(blocks.FindStringSubmatch(said)[2]) != 12 {
		t.Error(said)
	}
}
