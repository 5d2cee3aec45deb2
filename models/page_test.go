package models

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

const busID = "0123456789abcdef"

// page holds messages with these contents and the ids 11, 12, ...
func page(sender string, contents ...string) Page {
	p := Page{Messages: []Message{}, NextAfterID: math.MaxInt64, Recovered: true, BusID: busID}
	for i, content := range contents {
		p.Messages = append(p.Messages, Message{
			ID: int64(11 + i), Seq: int64(i + 1), Channel: "auth-dev", Sender: sender, Kind: KindAgent, Content: content,
			Type: TypeMessage, CreatedAt: 1767323045006,
		})
	}
	return p
}

// encoded is the size of the page as a door sends it, with every number at its longest.
func encoded(t testing.TB, p Page) int {
	t.Helper()
	last := int64(math.MaxInt64)
	p.LastID, p.NextAfterID = &last, last
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		t.Fatal(err)
	}
	return b.Len() - 1 // without the newline
}

func ids(p Page) (ids []int64) {
	for _, m := range p.Messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestAPageThatFitsStaysAsItIs(t *testing.T) {
	for _, onwards := range []bool{true, false} {
		p := page("alice", "one", "two", "three")
		p.Fit(encoded(t, p)+pageOverhead, onwards)
		if len(p.Messages) != 3 || p.More || p.NextAfterID != math.MaxInt64 || p.Messages[0].Truncated {
			t.Errorf("onwards %v: %+v", onwards, p)
		}
		empty := page("alice")
		empty.Fit(1, onwards)
		if len(empty.Messages) != 0 || empty.More || empty.NextAfterID != math.MaxInt64 {
			t.Errorf("onwards %v: an empty page became %+v", onwards, empty)
		}
	}
}

func TestAPageKeepsTheEndItIsReadFrom(t *testing.T) {
	text := strings.Repeat("x", 300)
	p := page("alice", text, text, text, text, text)
	p.Fit(1500, true)
	if got := ids(p); len(got) != 2 || got[0] != 11 || got[1] != 12 || !p.More || p.NextAfterID != 12 {
		t.Errorf("onwards: %v, more %v, next after %d", got, p.More, p.NextAfterID)
	}
	p = page("alice", text, text, text, text, text)
	p.Fit(1500, false)
	if got := ids(p); len(got) != 2 || got[0] != 14 || got[1] != 15 || !p.More || p.NextAfterID != math.MaxInt64 {
		t.Errorf("the newest: %v, more %v, next after %d", got, p.More, p.NextAfterID)
	}
}

func TestAMessageLargerThanThePageComesCut(t *testing.T) {
	for name, unit := range map[string]string{"plain": "x", "wide": "界", "escaped": "\x01", "quoted": `"`, "mixed": "aé\n😀"} {
		whole := strings.Repeat(unit, 20_000/len(unit))
		for _, onwards := range []bool{true, false} {
			p := page("alice", whole, whole)
			p.Fit(4000, onwards)
			m := p.Messages[0]
			if len(p.Messages) != 1 || !m.Truncated || m.ContentBytes != len(whole) || !strings.HasPrefix(whole, m.Content) || !p.More {
				t.Fatalf("%s: %d messages, truncated %v of %d, more %v", name, len(p.Messages), m.Truncated, m.ContentBytes, p.More)
			}
			if size := encoded(t, p); size > 4000 || size < 1900 {
				t.Errorf("%s: the page takes %d bytes of 4000", name, size)
			}
			if want := map[bool]int64{true: 11, false: 12}[onwards]; m.ID != want {
				t.Errorf("%s: message %d came, not %d", name, m.ID, want)
			}
		}
	}
	alone := page("alice", strings.Repeat("x", 20_000))
	alone.Fit(4000, true)
	if !alone.Messages[0].Truncated || alone.More || alone.NextAfterID != math.MaxInt64 {
		t.Errorf("one message, cut: more %v, next after %d", alone.More, alone.NextAfterID)
	}
}

func TestALargeMessageInTheMiddleWaitsForItsOwnPage(t *testing.T) {
	p := page("alice", "small", strings.Repeat("x", 20_000), "small")
	p.Fit(1000, true)
	if got := ids(p); len(got) != 1 || got[0] != 11 || p.Messages[0].Truncated || !p.More || p.NextAfterID != 11 {
		t.Errorf("%v, more %v, next after %d", got, p.More, p.NextAfterID)
	}
}

func TestTheLongestNamesLeaveRoomForOneCharacter(t *testing.T) {
	parent := int64(math.MaxInt64)
	p := page(strings.Repeat("😀", MaxName), strings.Repeat("\x01", MaxContent))
	m := &p.Messages[0]
	m.ID, m.Seq, m.ReplyCount, m.InReplyTo = parent, parent, parent, &parent
	m.Channel, m.Type = strings.Repeat("c", MaxChannel), TypeResponse
	p.Fit(1, true)
	if size := encoded(t, p); size > 1400 || len(p.Messages) != 1 || p.Messages[0].Content != "\x01" {
		t.Errorf("%d messages in %d bytes, content %q", len(p.Messages), size, p.Messages[0].Content)
	}
	p = page(strings.Repeat("😀", MaxName), "x")
	p.Fit(1, true)
	if m := p.Messages[0]; m.Content != "x" || m.Truncated || m.ContentBytes != 0 {
		t.Errorf("a whole message says that it was cut: %+v", m)
	}
}

func FuzzFit(f *testing.F) {
	f.Add("one\ntwo\nthree", 1000, true)
	f.Add(strings.Repeat("x", 5000)+"\nb", 1200, false)
	f.Add(strings.Repeat("\"\x02", 900)+"\n"+strings.Repeat("界", 900), 1000, true)
	f.Add(strings.Repeat("abc\n", 1000), 99_999, false)
	f.Fuzz(func(t *testing.T, texts string, maxBytes int, onwards bool) {
		contents := strings.Split(strings.ToValidUTF8(texts, "?"), "\n")
		maxBytes %= 100_000
		whole, p := page("alice", contents...), page("alice", contents...)
		p.Fit(maxBytes, onwards)
		if size := encoded(t, p); size > max(maxBytes, minBytes) {
			t.Fatalf("the page takes %d bytes of %d", size, maxBytes)
		}
		n := len(p.Messages)
		if n == 0 {
			t.Fatal("no message came")
		}
		kept, next := whole.Messages[len(contents)-n:], whole.NextAfterID
		if onwards {
			kept = whole.Messages[:n]
			if n < len(contents) {
				next = kept[n-1].ID
			}
		}
		for i, m := range p.Messages {
			switch {
			case m.ID != kept[i].ID:
				t.Fatalf("message %d stands where %d should", m.ID, kept[i].ID)
			case m.Truncated && (n > 1 || m.ContentBytes != len(kept[i].Content) || len(m.Content) >= m.ContentBytes || !strings.HasPrefix(kept[i].Content, m.Content)):
				t.Fatalf("message %d of %d is cut to %q of %q", i, n, m.Content, kept[i].Content)
			case !m.Truncated && m != kept[i]:
				t.Fatalf("message %d changed", m.ID)
			case !utf8.ValidString(m.Content):
				t.Fatalf("%q is half a character", m.Content)
			}
		}
		if p.More != (n < len(contents)) || p.NextAfterID != next {
			t.Fatalf("%d of %d: more %v, next after %d, want %d", n, len(contents), p.More, p.NextAfterID, next)
		}
	})
}
