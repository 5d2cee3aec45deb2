package models

import (
	"regexp"
	"strings"
	"testing"
)

func TestChannelNamesAreNormalised(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{"general", "general"},
		{"Auth", "auth"},
		{"auth dev", "auth-dev"},
		{"auth_dev", "auth-dev"},
		{"auth - _ dev", "auth-dev"},
		{"--auth--", "auth"},
		{" _-auth-_ ", "auth"},
		{"#auth!", "auth"},
		{"a.b/c", "abc"},
		{"rev2 Überblick", "rev2-berblick"},
		{"naïve", "nave"},
		{"a\u00a0b\u3000c\u2028d", "a-b-c-d"}, // spaces of other scripts
		{"a\u200bb", "ab"},
		{"ＡＢ12", "12"},
		{"\u212aelvin", "kelvin"}, // the Kelvin sign is a K
		{"*a*", "a"},
		{"0", "0"},
		{"AZ az 09", "az-az-09"},
		{strings.Repeat("x", MaxChannel), strings.Repeat("x", MaxChannel)},
		{strings.Repeat("x", MaxChannel) + "--!", strings.Repeat("x", MaxChannel)},
		{"a" + strings.Repeat("!", 4*MaxChannel-1), "a"},
	} {
		if got, err := ParseChannel(c.given); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.given, got, err, c.want)
		}
	}
}

func TestBadChannelNamesAreInvalid(t *testing.T) {
	for name, given := range map[string]string{
		"empty":             "",
		"nothing left":      "---",
		"every channel":     Every,
		"neighbours of a-z": "`{/:@[",
		"other script":      "канал",
		"invalid UTF-8":     "a\xff",
		"U+0000":            "a\x00b",
		"tab":               "a\tb",
		"newline at end":    "a\n",
		"DEL":               "a\x7f",
		"C1 control":        "a\u0085b",
		"one too long":      strings.Repeat("x", MaxChannel+1),
		"just before huge":  strings.Repeat("x", 4*MaxChannel),
		"huge":              strings.Repeat("x", 4*MaxChannel+1),
		"huge, little left": "a" + strings.Repeat("!", 1<<20),
	} {
		if got, err := ParseChannel(given); CodeOf(err) != Invalid || got != "" {
			t.Errorf("%s: %q, %v (%s); want invalid", name, got, err, CodeOf(err))
		}
	}
}

func FuzzChannel(f *testing.F) {
	for _, s := range []string{"general", "A b_c", "--", "İstanbul", "\u212a", "a\xff", "x\u0301", strings.Repeat("ab ", 50)} {
		f.Add(s)
	}
	shape := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	f.Fuzz(func(t *testing.T, given string) {
		once, err := ParseChannel(given)
		if err != nil {
			if CodeOf(err) != Invalid {
				t.Errorf("%q is refused as %s", given, CodeOf(err))
			}
			return
		}
		if !shape.MatchString(once) || len(once) > MaxChannel {
			t.Errorf("%q became %q", given, once)
		}
		if twice, err := ParseChannel(once); err != nil || twice != once {
			t.Errorf("%q became %q, then %q (%v)", given, once, twice, err)
		}
	})
}
