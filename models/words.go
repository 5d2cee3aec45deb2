package models

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord bounds a word in bytes; what is longer is cut.
const maxWord = 200

// Words cuts a text into what search compares: runs of letters and digits, lower-case, in
// compatibility form and without marks, so that Café, CAFE and ｃａｆé are one word.
func Words(text string) []string {
	if !ascii(text) {
		text = norm.NFKD.String(text)
	}
	var words []string
	var b strings.Builder
	full := false // the word is cut here
	end := func() {
		if b.Len() > 0 {
			words = append(words, b.String())
			b.Reset()
		}
		full = false
	}
	for _, r := range text {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			r = unicode.ToLower(r)
			if full = full || b.Len()+utf8.RuneLen(r) > maxWord; !full {
				b.WriteRune(r)
			}
		case unicode.Is(unicode.M, r):
		default:
			end()
		}
	}
	end()
	return words
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
