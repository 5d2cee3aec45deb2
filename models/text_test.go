package models

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
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

func TestWordsAreWhatSearchCompares(t *testing.T) {
	for _, c := range []struct {
		text string
		want string // words, separated by blanks
	}{
		{"", ""},
		{" \n\t--!?", ""},
		{"Hello, World", "hello world"},
		{"don't", "don t"},
		{"snake_case kebab-case a.b:c/d", "snake case kebab case a b c d"},
		{"HTTP2 v1.2", "http2 v1 2"},
		{"Café CAFE ｃａｆé cafe\u0301", "cafe cafe cafe cafe"},
		{"Ångström", "angstrom"},
		{"x² ½ ①", "x2 1 2 1"},
		{"ﬁne ﬂow", "fine flow"},
		{"Ⅳ", "iv"},
		{"Привет, МИР", "привет мир"},
		{"中文 日本語", "中文 日本語"},
		{"٣٤", "٣٤"},
		{"a😀b", "a b"},
		{"a\u00a0b\u200bc", "a b c"},
		{"§c§s", "c s"},
		{"#42", "42"},
		{`"quoted" AND NEAR(x) *`, "quoted and near x"},
	} {
		if got := strings.Join(Words(c.text), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestALongWordIsCut(t *testing.T) {
	for text, want := range map[string]int{
		strings.Repeat("x", maxWord):          maxWord,
		strings.Repeat("x", maxWord+1):        maxWord,
		strings.Repeat("x", 1<<20):            maxWord,
		strings.Repeat("界", 1<<14):            maxWord / 3 * 3,
		strings.Repeat("x", maxWord-1) + "界y": maxWord - 1,
	} {
		words := Words(text)
		if len(words) != 1 || len(words[0]) != want || !utf8.ValidString(words[0]) || !strings.HasPrefix(text, words[0]) {
			t.Errorf("%.20q... became %d words, the first of %d bytes; want one of %d, its beginning", text, len(words), len(words[0]), want)
		}
	}
}

// wordIsSound says what the search index relies on.
func wordIsSound(w string) bool {
	return w != "" && len(w) <= maxWord && norm.NFKD.IsNormalString(w) && !strings.ContainsFunc(w, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) || unicode.ToLower(r) != r
	})
}

func TestWordsOfEveryCharacterAreStable(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r%32 > 0 && unicode.In(r, unicode.Han, unicode.Hangul) || !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Cc, unicode.Cf) {
			continue
		}
		once := Words("a" + string(r) + "b")
		for _, w := range once {
			if !wordIsSound(w) {
				t.Fatalf("%U gives the word %+q", r, w)
			}
		}
		if twice := Words(strings.Join(once, " ")); !slices.Equal(once, twice) {
			t.Fatalf("%U gives %+q, that gives %+q", r, once, twice)
		}
	}
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"Hello, World", "a1-B2_c3", strings.Repeat("A", 201) + " z", "Café x² ﬁ", "a\xffb", "§", strings.Repeat("é", 300), "\u0345\u03f4\u1e9e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		words := Words(text)
		for _, w := range words {
			if !wordIsSound(w) {
				t.Fatalf("%q gives the word %+q", text, w)
			}
		}
		if again := Words(strings.Join(words, " ")); !slices.Equal(words, again) {
			t.Fatalf("%q gives %q, that gives %q", text, words, again)
		}
		if among := Words("é " + text); !slices.Equal(words, among[1:]) {
			t.Fatalf("%q gives %q alone, %q behind a letter that is not ASCII", text, words, among[1:])
		}
		if both := Words(text + " " + text); len(both) != 2*len(words) {
			t.Fatalf("%q gives %d words, twice itself %d", text, len(words), len(both))
		}
	})
}

// BenchmarkWords cuts a message of 200 bytes, of ASCII and not.
func BenchmarkWords(b *testing.B) {
	plain := strings.Repeat("The quick words of agents, cut ", 7)[:200]
	for name, text := range map[string]string{"ascii": plain, "other": "é" + plain[2:]} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var words []byte
			for b.Loop() {
				words = AppendWords(words[:0], text)
			}
		})
	}
}
