package models

import (
	"strings"
	"testing"
)

func TestScopesIncludeThoseBefore(t *testing.T) {
	for _, c := range []struct {
		who               Principal
		read, write, rule bool
	}{
		{Principal{}, false, false, false},
		{Principal{Scope: ScopeAdmin}, false, false, false},
		{Principal{Name: SharedPrincipal}, true, true, true},
		{Principal{Name: "key:a"}, false, false, false},
		{Principal{Name: "key:a", Scope: "root"}, false, false, false},
		{Principal{Name: "key:a", Scope: ScopeRead}, true, false, false},
		{Principal{Name: "key:a", Scope: ScopeWrite}, true, true, false},
		{Principal{Name: "key:a", Scope: ScopeAdmin}, true, true, true},
		{Principal{Name: "key:a", Scope: ScopeWrite, Channels: "x"}, false, false, false},
		{Principal{Name: "key:a", Scope: ScopeWrite, Channels: "general"}, true, true, false},
	} {
		if r, w, a := c.who.Reads("general"), c.who.Writes("general"), c.who.Admin(); r != c.read || w != c.write || a != c.rule {
			t.Errorf("%+v: reads %v, writes %v, admin %v", c.who, r, w, a)
		}
	}
	if (Principal{Name: "key:a"}).May("") {
		t.Error("a scope without a name is had by one without scope")
	}
}

func TestPatternsMatchWholeNames(t *testing.T) {
	for _, c := range []struct {
		given, ch string
		want      bool
	}{
		{"", "anything", true},
		{"*", "anything", true},
		{"a,*", "anything", true},
		{"***", "", true},
		{"team-*", "team-a", true},
		{"team-*", "team-", true},
		{"team-*", "team", false},
		{"team-*", "xteam-a", false},
		{"Team_*", "team-a", true},
		{"team", "team-a", false},
		{"team", "team", true},
		{" a , b ", "b", true},
		{"*-dev", "auth-dev", true},
		{"*-dev", "auth-dev2", false},
		{"a*z", "az", true},
		{"a*z", "abcz", true},
		{"a,b", "a,b", false},
	} {
		p, err := ParsePatterns(c.given)
		if err != nil || p.Match(c.ch) != c.want {
			t.Errorf("%q on %q: %v, %v, want %v", c.given, c.ch, p.Match(c.ch), err, c.want)
		}
	}
	for _, bad := range []string{",", " ", "tëam", "a b", "[a]", "a?", `a\*`, "a%", "a/b", strings.Repeat("a", 101),
		strings.Repeat("a,", 10_000), strings.Repeat("abcdef-", 3) + "\x00", "'; DROP TABLE keys --"} {
		if p, err := ParsePatterns(bad); CodeOf(err) != Invalid {
			t.Errorf("%.30q: %q, %v, want invalid", bad, p, err)
		}
	}
	many := make([]string, maxPatterns+1)
	for i := range many {
		many[i] = "c" + strings.Repeat("x", i)
	}
	if _, err := ParsePatterns(strings.Join(many, ",")); CodeOf(err) != Invalid {
		t.Errorf("%d patterns: %v, want invalid", len(many), err)
	}
}

func TestRefusalsTellNothingOfTheChannel(t *testing.T) {
	who := Principal{Name: "key:a", Scope: ScopeWrite, Channels: "team-*,general"}
	a, b := who.NeedReads("secret"), who.NeedReads("nothing")
	if CodeOf(a) != Forbidden || strings.ReplaceAll(a.Error(), "secret", "nothing") != b.Error() {
		t.Errorf("%v and %v, want the same but for the name", a, b)
	}
	if err := who.NeedWrites("team-x"); err != nil {
		t.Errorf("its own channel: %v", err)
	}
	who.Scope = ScopeRead
	if err := who.NeedWrites("team-x"); CodeOf(err) != Forbidden || !strings.Contains(err.Error(), "scope write") {
		t.Errorf("a reader writes: %v", err)
	}
	if who.Reads(Every) != true || (Principal{}).Reads(Every) {
		t.Error("who may read something may ask for all of it, and nobody else")
	}
}
