package fence

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// Most is how long an answer may be, in bytes.
const Most = 24_000

// keyBytes is the length of a key, of 32 letters and digits: one guess in 10^12 hits.
const keyBytes = 8

// Answer is a text for a model, put together from our own words and fenced words of others.
type Answer struct {
	most  int
	size  int
	parts []part
}

type part struct {
	text string
	kind kind
}

type kind int

const (
	own    kind = iota
	block       // fenced, on lines of its own
	inline      // fenced, within a line
)

// New begins an answer of at most so many bytes; 0: Most.
func New(most int) *Answer {
	if most <= 0 || most > Most {
		most = Most
	}
	return &Answer{most: most}
}

// Room is how many bytes are left.
func (a *Answer) Room() int { return a.most - a.size }

// Sayf adds our own words. What of others stands in them must have gone through Name, Line or Quote.
func (a *Answer) Sayf(format string, args ...any) {
	a.add(part{fmt.Sprintf(format, args...), own})
}

// Block fences a text, on lines of its own.
func (a *Answer) Block(text string) { a.add(part{text, block}) }

// Inline fences a text within a line: cut to so many characters, its line breaks made blanks.
func (a *Answer) Inline(text string, most int) { a.add(part{Line(text, most), inline}) }

func (a *Answer) add(p part) {
	a.parts = append(a.parts, p)
	a.size += p.size()
}

func (p part) size() int {
	const fences = len("<msg k=>") + len("</msg >") + 2*keyBytes
	switch p.kind {
	case block:
		return len(p.text) + fences + len("\n\n\n")
	case inline:
		return len(p.text) + fences
	}
	return len(p.text)
}

// String is the answer, under a new key.
func (a *Answer) String() string {
	key := a.key()
	var b strings.Builder
	b.Grow(a.size)
	for _, p := range a.parts {
		switch p.kind {
		case own:
			b.WriteString(p.text)
		case block:
			b.WriteString("<msg k=" + key + ">\n" + p.text + "\n</msg " + key + ">\n")
		case inline:
			b.WriteString("<msg k=" + key + ">" + p.text + "</msg " + key + ">")
		}
	}
	return b.String()
}

// key is one that no text in the answer has.
func (a *Answer) key() string {
	for {
		key := strings.ToLower(rand.Text()[:keyBytes])
		if !a.has(key) {
			return key
		}
	}
}

func (a *Answer) has(key string) bool {
	for _, p := range a.parts {
		if strings.Contains(p.text, key) {
			return true
		}
	}
	return false
}
