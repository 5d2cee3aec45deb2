package house

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// nothingLeftForLater looks for marks of unfinished work. The marks are written here in two halves, so that this
// file does not find itself.
func nothingLeftForLater(t *Tree) []string {
	return t.matches(regexp.MustCompile(`\b(TO`+`DO|FIX`+`ME)\b`), "finish it, or write it down in docs/rough-edges.md")
}

// productAlone looks for folders of somebody's machine and for papers that are not in the repository.
func productAlone(t *Tree) []string {
	words := `(?:^|[^\w.~])/(?:work|root)/|\b(?:con` + `tract|des` + `ign|sty` + `le)\.md\b`
	return t.matches(regexp.MustCompile(words), "means nothing to a reader who has only this repository")
}

func (t *Tree) matches(words *regexp.Regexp, sentence string) (found []string) {
	for _, text := range t.Texts {
		if text.Path == "go.sum" || strings.HasPrefix(text.Path, "web/dist/") || // libraries of others, made small
			strings.HasPrefix(text.Path, "testdata/fuzz/") || strings.Contains(text.Path, "/testdata/fuzz/") {
			continue
		}
		for _, at := range words.FindAllIndex(text.Body, -1) {
			line := 1 + bytes.Count(text.Body[:at[1]], []byte{'\n'})
			found = append(found, fmt.Sprintf("%s:%d: %q %s", text.Path, line, bytes.TrimSpace(text.Body[at[0]:at[1]]), sentence))
		}
	}
	return found
}
