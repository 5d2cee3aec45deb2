package models

import (
	"strings"
	"testing"
	"unicode"
)

func TestInstanceIDsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		given, want string
		code        Code
	}{
		"plain":                  {"alice", "alice", ""},
		"case stays":             {"Alice-2", "Alice-2", ""},
		"blanks within":          {"Claude on laptop", "Claude on laptop", ""},
		"blanks around":          {"  bob ", "bob", ""},
		"another script":         {"агент-二", "агент-二", ""},
		"emoji with a selector":  {"❤\ufe0f bot", "❤\ufe0f bot", ""},
		"longest":                {strings.Repeat("é", MaxName), strings.Repeat("é", MaxName), ""},
		"blanks do not count":    {strings.Repeat(" ", 500) + "x", "x", ""},
		"too long":               {strings.Repeat("é", MaxName+1), "", TooLarge},
		"huge":                   {strings.Repeat("x", 8<<20), "", TooLarge},
		"empty":                  {"", "", Invalid},
		"blank":                  {"   ", "", Invalid},
		"invisible":              {"\u3164\u115f", "", Invalid},
		"invalid UTF-8":          {"a\xffb", "", Invalid},
		"half a surrogate":       {"a\xed\xa0\x80", "", Invalid},
		"U+0000":                 {"a\x00b", "", Invalid},
		"newline within":         {"a\nb", "", Invalid},
		"newline at the end":     {"bob\n", "", Invalid},
		"escape at the start":    {"\x1bbob", "", Invalid},
		"C1 control":             {"a\u009b", "", Invalid},
		"zero-width space":       {"a\u200bb", "", Invalid},
		"direction override":     {"a\u202eb", "", Invalid},
		"no-break space":         {"a\u00a0b", "", Invalid},
		"private use":            {"a\ue000", "", Invalid},
		"line separator":         {"a\u2028", "", Invalid},
		"reserved":               {"system", "", Invalid},
		"reserved, other case":   {"CrossTalk", "", Invalid},
		"reserved, blanks":       {" user ", "", Invalid},
		"reserved, full width":   {"ｓｙｓｔｅｍ", "", Invalid},
		"reserved, bold":         {"𝐡𝐮𝐦𝐚𝐧", "", Invalid},
		"reserved, circled":      {"ⓢⓔⓡⓥⓔⓡ", "", Invalid},
		"reserved, long s":       {"u\u017fer", "", Invalid},
		"reserved, Kelvin sign":  {"crosstal\u212a", "", Invalid},
		"reserved and invisible": {"system\ufe0f", "", Invalid},
		"reserved, hidden joint": {"hu\u034fman", "", Invalid},
		"reserved, superscript":  {"uˢer", "", Invalid},
		"reserved with more":     {"system-1", "system-1", ""},
		"reserved within":        {"my server", "my server", ""},
	} {
		got, err := ParseInstance("sender", c.given)
		if got != c.want || CodeOf(err) != c.code {
			t.Errorf("%s: %.40q, %v (%s); want %.40q, %q", name, got, err, CodeOf(err), c.want, c.code)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "sender ") {
			t.Errorf("%s: %q does not say which field is meant", name, err)
		}
	}
}

func TestIDsThatLookAlikeFoldToOne(t *testing.T) {
	for _, alike := range [][]string{
		{"Alice", "ALICE", "ａｌｉｃｅ", "alice\ufe0e"},
		{"ΟΔΟΣ", "οδος", "οδοσ"},
		{"é", "e\u0301", "É"},
		{"ﬁx", "fix", "FIX"},
		{"Straße", "STRA\u1e9eE"},
	} {
		for _, id := range alike {
			if FoldInstance(id) != FoldInstance(alike[0]) {
				t.Errorf("%q folds to %q, %q to %q", id, FoldInstance(id), alike[0], FoldInstance(alike[0]))
			}
		}
	}
	for _, ids := range [][2]string{{"alice", "alicé"}, {"bob-1", "bob-2"}, {"a b", "ab"}} {
		if FoldInstance(ids[0]) == FoldInstance(ids[1]) {
			t.Errorf("%q and %q are two names, and fold to one", ids[0], ids[1])
		}
	}
}

func TestFoldingIsStable(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r%32 > 0 && unicode.In(r, unicode.Han, unicode.Hangul) || !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Cc, unicode.Cf) {
			continue
		}
		once := FoldInstance("a" + string(r) + "b")
		if twice := FoldInstance(once); twice != once {
			t.Fatalf("%U folds to %+q, that to %+q", r, once, twice)
		}
	}
}

func TestRegistrationsAreChecked(t *testing.T) {
	good := Registration{ID: "alice"}
	with := func(change func(*Registration)) Registration {
		r := good
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		given Registration
		want  Code
	}{
		"least":                {good, ""},
		"no id":                {Registration{}, Invalid},
		"reserved id":          {Registration{ID: "HUMAN"}, Invalid},
		"longest description":  {with(func(r *Registration) { r.Description = strings.Repeat("é", MaxDescription) }), ""},
		"description too long": {with(func(r *Registration) { r.Description = strings.Repeat("é", MaxDescription+1) }), TooLarge},
		"bad description":      {with(func(r *Registration) { r.Description = "\xff" }), Invalid},
		"longest model":        {with(func(r *Registration) { r.Model = strings.Repeat("é", MaxName) }), ""},
		"model too long":       {with(func(r *Registration) { r.Model = strings.Repeat("é", MaxName+1) }), TooLarge},
		"U+0000 in the model":  {with(func(r *Registration) { r.Model = "\x00" }), Invalid},
	} {
		if _, err := ParseRegistration(c.given); CodeOf(err) != c.want {
			t.Errorf("%s: %v (%s), want %q", name, err, CodeOf(err), c.want)
		}
	}
	if r, err := ParseRegistration(Registration{ID: " alice "}); err != nil || r != (Registration{ID: "alice", Kind: KindAgent}) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, _ := ParseRegistration(Registration{ID: "ann", Kind: KindHuman}); r.Kind != KindHuman {
		t.Errorf("a person became %q", r.Kind)
	}
}
