package models

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSizesAreThosePromised(t *testing.T) {
	for name, sizes := range map[string][2]int{
		"content": {MaxContent, 262144}, "data": {MaxData, 16777216}, "names": {MaxName, 200},
		"descriptions": {MaxDescription, 2000}, "channels": {MaxChannel, 100}, "words": {maxWord, 200},
	} {
		if sizes[0] != sizes[1] {
			t.Errorf("%s: %d, clients were promised %d", name, sizes[0], sizes[1])
		}
	}
}

func TestATooLargeContentIsToldTheWayOut(t *testing.T) {
	_, err := ParseDraft(Draft{Sender: "a", Content: strings.Repeat("x", MaxContent+1)})
	if err == nil || !strings.Contains(err.Error(), "262145 bytes, at most 262144") || !strings.Contains(err.Error(), "share it as data") {
		t.Error(err)
	}
}

func TestCutKeepsRunesWhole(t *testing.T) {
	const s = "aé界😀z" // 1, 2, 3, 4 and 1 bytes
	for _, c := range []struct {
		offset, length int
		want           string
	}{
		{0, 100, s},
		{0, len(s), s},
		{0, len(s) - 1, "aé界😀"},
		{0, 9, "aé界"},
		{0, 6, "aé界"},
		{0, 5, "aé"},
		{0, 3, "aé"},
		{0, 2, "a"},
		{0, 1, "a"},
		{0, 0, "a"}, // a reader always gets on
		{0, -5, "a"},
		{1, 1, "é"},
		{2, 2, "é"}, // back to where the rune begins
		{1, 4, "é"},
		{6, 2, "😀"},
		{9, 1, "😀"},
		{10, 1, "z"},
		{11, 1, ""},
		{1 << 40, 1, ""},
		{-3, 1, "a"},
		{-1 << 62, 1 << 62, s},
		{3, 1<<63 - 1, "界😀z"},
	} {
		if got := Cut(s, c.offset, c.length); got != c.want {
			t.Errorf("from %d, %d bytes: %q, want %q", c.offset, c.length, got, c.want)
		}
	}
	if got := Cut("", 0, 10); got != "" {
		t.Errorf("nothing was cut into %q", got)
	}
}

func FuzzCut(f *testing.F) {
	f.Add("aé界😀z", 3, 2)
	f.Add("x\u0301", 1, 0)
	f.Add(strings.Repeat("界", 100), -1, 7)
	f.Fuzz(func(t *testing.T, s string, offset, length int) {
		s = strings.ToValidUTF8(s, "?")
		piece := Cut(s, offset, length)
		if !utf8.ValidString(piece) || !strings.Contains(s, piece) {
			t.Fatalf("%q is no piece of %q", piece, s)
		}
		if len(piece) > max(length, utf8.UTFMax) {
			t.Fatalf("%d bytes came, %d were asked for", len(piece), length)
		}
		if offset < len(s) && piece == "" && s != "" {
			t.Fatalf("a reader of %q at %d does not get on", s, offset)
		}
		// A reader that goes on where the last piece ended has read all in the end.
		var whole strings.Builder
		for length = max(1, length%64); whole.Len() < len(s); {
			whole.WriteString(Cut(s, whole.Len(), length))
		}
		if whole.String() != s {
			t.Fatalf("pieces of %d make %q of %q", length, whole.String(), s)
		}
	})
}
