package fence

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"crosstalk/models"
)

// maxQuoted bounds a quoted name, in characters: names are that long at most.
const maxQuoted = models.MaxName

// Quote is a name as it may stand among our own words: in quotes, with nothing in it that ends them or the line.
func Quote(name string) string {
	if utf8.RuneCountInString(name) > maxQuoted {
		name = string([]rune(name)[:maxQuoted]) + "…"
	}
	return strconv.Quote(name)
}

// Name is Quote for names that are mentioned in passing: short, and bare if it is plain.
func Name(name string) string {
	const most = 40
	if utf8.RuneCountInString(name) > most {
		return Quote(string([]rune(name)[:most]) + "…")
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.@", r) {
			return Quote(name)
		}
	}
	if name == "" {
		return Quote(name)
	}
	return name
}

// Channel is the name of a channel. What the bus named itself is plain; anything else is quoted.
func Channel(name string) string {
	if parsed, err := models.ParseChannel(name); err == nil && parsed == name {
		return name
	}
	return Quote(name)
}

// Line makes one line of a text, of at most so many characters, without characters that are not drawn.
func Line(text string, most int) string {
	if len(text) > 8*most { // not all of a long text is looked at
		text = models.Cut(text, 0, 8*most) + "…"
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if utf8.RuneCountInString(text) > most {
		text = strings.TrimSpace(string([]rune(text)[:most-1])) + "…"
	}
	return text
}

// List names some things and counts the others: a, b and 3 more.
func List(names []string, most int, write func(string) string) string {
	var b strings.Builder
	for i, name := range names {
		switch {
		case i == most:
			b.WriteString(" and " + strconv.Itoa(len(names)-most) + " more")
			return b.String()
		case i == 0:
		case i == len(names)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(write(name))
	}
	return b.String()
}

// Count is a number with its noun.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
