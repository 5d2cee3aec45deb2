package postgres

import (
	"strings"
	"testing"
)

// TestWordsFit is about a message of letters that come apart into more than the index takes.
func TestWordsFit(t *testing.T) {
	names := "§cgeneral §sff "
	for _, words := range []string{names + "few words", names + strings.Repeat("word ", mostWords), names + strings.Repeat("界", 66) + strings.Repeat(" longer", mostWords)} {
		got := fitting(words)
		if len(got) > mostWords || !strings.HasPrefix(got, names) || len(words) <= mostWords && got != words {
			t.Errorf("of %d bytes %d are left, beginning with %.30q", len(words), len(got), got)
		}
		if rest := words[len(got):]; rest != "" && rest[0] != ' ' {
			t.Errorf("a word is cut: %.10q", rest)
		}
	}
}
