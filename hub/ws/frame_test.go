package ws

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"crosstalk/models"
)

func TestFramesSayTheirLength(t *testing.T) {
	for _, tc := range []struct {
		n    int
		head []byte
	}{
		{0, []byte{0x81, 0}},
		{125, []byte{0x81, 125}},
		{126, []byte{0x81, 126, 0, 126}},
		{65535, []byte{0x81, 126, 0xff, 0xff}},
		{65536, []byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	} {
		got := appendText([]byte("before"), bytes.Repeat([]byte("x"), tc.n))
		want := append(append([]byte("before"), tc.head...), strings.Repeat("x", tc.n)...)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: frame begins %x, want %x", tc.n, got[6:16], tc.head)
		}
	}
}

func TestFrameEndFindsTheFrameThatWasBegun(t *testing.T) {
	var buf []byte
	var ends []int
	for _, n := range []int{0, 5, 125, 126, 300, 65535, 65536, 70000, 1} {
		buf = appendText(buf, make([]byte, n))
		ends = append(ends, len(buf))
	}
	end := 0
	for off := 0; off <= len(buf); off++ {
		for end < off {
			end, ends = ends[0], ends[1:]
		}
		if got := frameEnd(buf, off); got != end {
			t.Fatalf("frameEnd at %d of %d: %d, want %d", off, len(buf), got, end)
		}
	}
}

func TestCloseFrameFitsAControlFrame(t *testing.T) {
	for _, reason := range []string{"", "short", strings.Repeat("x", 123), strings.Repeat("ü", 100), strings.Repeat("x", 500)} {
		b := appendClose(nil, 4008, reason)
		if len(b) > 127 || int(b[1]) != len(b)-2 || b[0] != 0x88 || b[2] != 4008>>8 || b[3] != 4008&0xff {
			t.Fatalf("close frame for %q: %x", reason, b)
		}
		if told := string(b[4:]); !strings.HasPrefix(reason, told) || !utf8.ValidString(told) || len(reason) <= 123 && told != reason {
			t.Errorf("reason %q became %q", reason, told)
		}
	}
}

func TestAnyTextIsQuoted(t *testing.T) {
	for _, s := range []string{"", "plain", `say "hi"`, `back\slash`, "line\nbreak", "\x00\x1f", "ünï\u2028", "<b>&", "broken \xff", strings.Repeat("x", 300)} {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") {
			t.Errorf("%q became %s: %v", s, appendString(nil, s), err)
		}
	}
}

func TestOnlyWhatMayPassIsToldToComeBack(t *testing.T) {
	for code, want := range map[models.Code]string{
		models.Invalid: `"retry_after":0`, models.Unavailable: `"retry_after":1`, models.RateLimited: `"retry_after":1`,
	} {
		if got := string(appendError(nil, nil, models.Errorf(code, "x"))); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}
