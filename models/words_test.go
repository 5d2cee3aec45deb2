package models

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

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
	for _, s := range []string{"Hello, World", "Café x² ﬁ", "a\xffb", "§", strings.Repeat("é", 300), "\u0345\u03f4\u1e9e"} {
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
		if both := Words(text + " " + text); len(both) != 2*len(words) {
			t.Fatalf("%q gives %d words, twice itself %d", text, len(words), len(both))
		}
	})
}
