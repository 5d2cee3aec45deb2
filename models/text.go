package models

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Sizes of the contract: contents in bytes, names and descriptions in characters.
const (
	MaxContent     = 256 << 10
	MaxData        = 16 << 20
	MaxName        = 200
	MaxDescription = 2000
	MaxChannel     = 100
)

// checkText checks a free text. Contents are bounded in bytes, all else in characters.
func checkText(field, s string, least, most int) error {
	n, unit := len(s), "bytes"
	if most < MaxContent {
		n, unit = utf8.RuneCountInString(s), "characters"
	}
	switch {
	case n < least:
		return Errorf(Invalid, "%s is required", field)
	case n > most && most >= MaxContent:
		hint := ""
		if most == MaxContent {
			hint = ": share it as data and send its key"
		}
		return Errorf(TooLarge, "%s is %d bytes, at most %d are allowed%s", field, n, most, hint)
	case n > most:
		return Errorf(TooLarge, "%s is %d %s long, at most %d are allowed", field, n, unit, most)
	case !utf8.ValidString(s):
		return Errorf(Invalid, "%s is not valid UTF-8", field)
	case strings.IndexByte(s, 0) >= 0:
		return Errorf(Invalid, "%s contains the character U+0000", field)
	}
	return nil
}

// checkName checks a name: 1 to 200 printable characters.
func checkName(field, s string) error {
	if err := checkText(field, s, 1, MaxName); err != nil {
		return err
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return Errorf(Invalid, "%s contains %U, which is not printable", field, r)
		}
	}
	return nil
}

// Cut returns the part of s from byte offset on, at most length bytes, both moved back to where a
// rune begins. At least one rune comes back if any remain, so that a reader always gets on.
func Cut(s string, offset, length int) string {
	offset = floorRune(s, max(0, offset))
	end := len(s)
	if length < end-offset {
		end = floorRune(s, offset+max(0, length))
	}
	if end == offset && offset < len(s) {
		_, n := utf8.DecodeRuneInString(s[offset:])
		end += n
	}
	return s[offset:end]
}

func floorRune(s string, i int) int {
	if i >= len(s) {
		return len(s)
	}
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}

// maxWord bounds a word in bytes; what is longer is cut.
const maxWord = 200

// Words cuts a text into what search compares: runs of letters and digits, lower-case, in
// compatibility form and without marks, so that Café, CAFE and ｃａｆé are one word.
func Words(text string) []string { return strings.Fields(string(AppendWords(nil, text))) }

// AppendWords appends the words of a text to b, with blanks between.
func AppendWords(b []byte, text string) []byte {
	if !ascii(text) {
		return appendWords(b, text)
	}
	length := 0 // of the word that is being written
	for i := range len(text) {
		c := text[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
		default:
			length = 0
			continue
		}
		if length == 0 && len(b) > 0 {
			b = append(b, ' ')
		}
		if length++; length <= maxWord {
			b = append(b, c)
		}
	}
	return b
}

// appendWords is for texts of any letters, which takes three times as long.
func appendWords(b []byte, text string) []byte {
	length := 0   // of the word that is being written
	full := false // it is cut here
	for _, r := range norm.NFKD.String(text) {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			r = unicode.ToLower(r)
			if full = full || length+utf8.RuneLen(r) > maxWord; full {
				continue
			}
			if length == 0 && len(b) > 0 {
				b = append(b, ' ')
			}
			b = utf8.AppendRune(b, r)
			length += utf8.RuneLen(r)
		case unicode.Is(unicode.M, r):
		default:
			length, full = 0, false
		}
	}
	return b
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
