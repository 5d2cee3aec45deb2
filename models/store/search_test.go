package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"gorm.io/gorm"

	"crosstalk/models"
)

func searchPromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"search finds the same before and after indexing": searchFinds,
		"words are found however old":                     oldWordsAreFound,
		"messages of other processes are indexed at once": indexedAreOthersToo,
		"a piece is found in the newest":                  piecesAreFoundInTheNewest,
		"no text breaks a search":                         noTextBreaksASearch,
		"every piece of a text is found":                  everyPieceIsFound,
		"a piece knows the letters a to z":                piecesKnowLetters,
		"words are found in some channels only":           wordsInSomeChannels,
		"the index takes large messages one by one":       largeMessagesAreIndexed,
		"two processes index once":                        twoIndexOnce,
	}
}

// corpus is what the searches of searchFinds look through; the first has id 1.
func corpus() []Append {
	return []Append{
		say("auth", "alice", "The login page is broken"),               // 1
		say("auth", "bob", "LOGIN works for me, page loads"),           // 2
		say("web-ui", "alice", "Café au lait, résumé attached"),        // 3
		say("web-ui", "bob", "CAFE RESUME"),                            // 4
		say("auth", "alice", "transport layer: 100% done"),             // 5
		say("auth", "alice", "snake_case and kebab-case"),              // 6
		say("auth-dev", "bob", `he said "hello" AND left`),             // 7
		say("auth-dev", "bob", `C:\path\to\file (v2) NEAR(a b)`),       // 8
		say("auth-dev", "alice smith", "Привет, мир"),                  // 9
		say("auth-dev", "alice smith", "日本語のテスト"),                      // 10
		say("auth-dev", "bob", "login login login"),                    // 11
		say("auth-dev", "bob", strings.Repeat("x", 250)+" longword"),   // 12
		say("general", "§sc", "channel cauth sender salice §cauth"),    // 13
		say("general", "carol", "2x² ﬁne ½ Ⅳ"),                         // 14
		say("general", "carol", "tail* ^caret words:login -minus {q}"), // 15
		say("general", "carol", "a100b under%score"),                   // 16
	}
}

func searchFinds(t *testing.T, db database) {
	s, keep := db.open(t, Options{}), db.open(t, Options{Keep: time.Hour})
	release := db.hold(t)
	defer release()
	batch(t, s, corpus()...)
	look := func(when string) {
		for _, c := range []struct {
			name string
			q    models.Search
			want []int64
		}{
			{"a word", models.Search{Text: "login"}, []int64{15, 11, 2, 1}},
			{"in capitals", models.Search{Text: "LoGiN"}, []int64{15, 11, 2, 1}},
			{"with other marks", models.Search{Text: "café"}, []int64{4, 3}},
			{"without marks", models.Search{Text: "cafe"}, []int64{4, 3}},
			{"in full width", models.Search{Text: "ＣＡＦＥ"}, []int64{4, 3}},
			{"decomposed", models.Search{Text: "re\u0301sume\u0301"}, []int64{4, 3}},
			{"two words", models.Search{Text: "login page"}, []int64{2, 1}},
			{"in any order", models.Search{Text: "page, LOGIN!"}, []int64{2, 1}},
			{"twice the same", models.Search{Text: "page page page login"}, []int64{2, 1}},
			{"one word is nowhere", models.Search{Text: "login quokka"}, nil},
			{"a piece of a word", models.Search{Text: "ranspor"}, []int64{5}},
			{"a piece over words", models.Search{Text: "in page is b"}, []int64{1}},
			{"a piece in capitals", models.Search{Text: "RANSPOR"}, []int64{5}},
			{"another script", models.Search{Text: "ПРИВЕТ"}, []int64{9}},
			{"no blanks between words", models.Search{Text: "日本語のテスト"}, []int64{10}},
			{"a piece without blanks", models.Search{Text: "本語"}, []int64{10}},
			{"compatibility forms", models.Search{Text: "fine IV"}, []int64{14}},
			{"a percent sign", models.Search{Text: "100%"}, []int64{5}},
			{"percent is no wildcard", models.Search{Text: "1%b"}, nil},
			{"percent alone", models.Search{Text: "%"}, []int64{16, 5}},
			{"underscore is no wildcard", models.Search{Text: "l_gin"}, nil},
			{"underscore alone", models.Search{Text: "_"}, []int64{6}},
			{"a backslash", models.Search{Text: `\`}, []int64{8}},
			{"a path", models.Search{Text: `C:\path`}, []int64{8}},
			{"quotes", models.Search{Text: `"hello"`}, []int64{7}},
			{"one quote", models.Search{Text: `"`}, []int64{7}},
			{"an operator is a word", models.Search{Text: "hello AND left"}, []int64{7}},
			{"an operator alone", models.Search{Text: "AND"}, []int64{7, 6}},
			{"or is a word", models.Search{Text: "hello OR login"}, nil},
			{"not is a word", models.Search{Text: "login NOT page"}, nil},
			{"a function", models.Search{Text: "NEAR(a b)"}, []int64{8}},
			{"an open function", models.Search{Text: "NEAR("}, []int64{8}},
			{"a star is no prefix", models.Search{Text: "logi*"}, nil},
			{"a star stands for itself", models.Search{Text: "tail*"}, []int64{15}},
			{"minus excludes nothing", models.Search{Text: "login -page"}, []int64{2, 1}},
			{"a column is none", models.Search{Text: "words:login"}, []int64{15}},
			{"a caret", models.Search{Text: "^caret"}, []int64{15}},
			{"braces", models.Search{Text: "{q}"}, []int64{15}},
			{"a longer word than is kept", models.Search{Text: strings.Repeat("x", 240)}, []int64{12}},
			{"a channel", models.Search{Text: "login", Channel: "auth"}, []int64{2, 1}},
			{"a channel whose name begins so", models.Search{Text: "login", Channel: "auth-dev"}, []int64{11}},
			{"a channel that does not exist", models.Search{Text: "login", Channel: "void"}, nil},
			{"a sender", models.Search{Text: "login", Sender: "bob"}, []int64{11, 2}},
			{"a sender with a blank", models.Search{Text: "мир", Sender: "alice smith"}, []int64{9}},
			{"a sender in other case", models.Search{Text: "login", Sender: "BOB"}, nil},
			{"both", models.Search{Text: "login", Channel: "auth", Sender: "bob"}, []int64{2}},
			{"a piece in a channel", models.Search{Text: "ogi", Channel: "auth"}, []int64{2, 1}},
			{"a piece by a sender", models.Search{Text: "ogi", Sender: "alice"}, []int64{1}},
			{"what marks channels is no word", models.Search{Text: "§cauth"}, []int64{13}},
			{"what marks senders is no word", models.Search{Text: "salice"}, []int64{13}},
			{"limited", models.Search{Text: "login", Limit: 2}, []int64{15, 11}},
			{"punctuation that is nowhere", models.Search{Text: "@@"}, nil},
			{"nothing but blanks", models.Search{Text: "   "}, nil},
		} {
			found, err := s.Search(t.Context(), c.q)
			if got := idsOf(found); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: %v, %v; want %v", when, c.name, got, err, c.want)
			}
			for _, m := range found {
				if want := corpus()[m.ID-1]; m.Content != want.Content || m.Channel != want.Channel || m.Sender != want.Sender {
					t.Errorf("%s, %s: message %d is %+v", when, c.name, m.ID, m)
				}
			}
		}
	}
	if got := db.indexed(t, s); len(got) > 0 {
		t.Fatalf("%d messages are indexed already", len(got))
	}
	look("before indexing")
	index(t, s)
	if got := db.indexed(t, s); len(got) != len(corpus()) {
		t.Fatalf("%d messages are indexed", len(got))
	}
	look("after indexing")
	// Half of them indexed.
	exec(t, s, "UPDATE bus SET indexed_id = 8")
	exec(t, s, "DELETE FROM usage")
	exec(t, s, "INSERT INTO usage (channel, bytes) SELECT channel, sum(octet_length(content)) FROM messages WHERE id <= 8 GROUP BY channel")
	if err := s.Transact(t.Context(), func(tx *gorm.DB) error { return s.words.RemoveWords(tx, sequence(9, 100)) }); err != nil {
		t.Fatal(err)
	}
	look("half way")
	// What was looked for is removed.
	index(t, s)
	age(t, s, 11, 2*time.Hour)
	prune(t, keep)
	for text, want := range map[string][]int64{"login": {15}, "page": nil, "ranspor": nil, "hello": nil} {
		if found, err := s.Search(t.Context(), models.Search{Text: text}); err != nil || !slices.Equal(idsOf(found), want) {
			t.Errorf("after retention %q: %v, %v; want %v", text, idsOf(found), err, want)
		}
	}
}

// index brings the search index up to date.
func index(t testing.TB, s *Store) {
	t.Helper()
	if more, err := s.indexUntil(t.Context(), time.Now().Add(10*time.Minute)); err != nil || more {
		t.Fatalf("indexing: %v, more %v", err, more)
	}
}

func oldWordsAreFound(t *testing.T, db database) {
	s := db.open(t, Options{})
	s.young = 100
	post(t, s, say("room", "alice", "the quokka sleeps"))
	fill(t, s, 150, func(i int) models.Draft { return say("room", "bob", "filler").Draft })
	index(t, s)
	if found, err := s.Search(t.Context(), models.Search{Text: "quokka", Limit: 10}); err != nil || !slices.Equal(idsOf(found), []int64{1}) {
		t.Errorf("%v, %v", idsOf(found), err)
	}
	if found, err := s.Search(t.Context(), models.Search{Text: "uokk", Limit: 10}); err != nil || len(found) > 0 {
		t.Errorf("a piece of an old message was found: %v, %v", idsOf(found), err)
	}
	if found, err := s.Search(t.Context(), models.Search{Text: "filler", Limit: 3}); err != nil || !slices.Equal(idsOf(found), []int64{151, 150, 149}) {
		t.Errorf("the newest of many: %v, %v", idsOf(found), err)
	}
	// The hundredth is one of the newest, the one before is not.
	batch(t, s, append([]Append{say("room", "alice", "wombats wake"), say("room", "alice", "wombats walk")}, numbered("room", 99)...)...)
	if found, err := s.Search(t.Context(), models.Search{Text: "omba", Limit: 10}); err != nil || !slices.Equal(idsOf(found), []int64{153}) {
		t.Errorf("%v, %v", idsOf(found), err)
	}
}

func piecesAreFoundInTheNewest(t *testing.T, db database) {
	s := db.open(t, Options{})
	release := db.hold(t)
	defer release()
	// Pieces newer than whole words come first, and the other way round.
	batch(t, s, say("room", "a", "port"), say("room", "a", "transport"), say("room", "a", "port"), say("room", "a", "porter"), say("room", "a", "sport port"), say("room", "a", "PORT, by air, sport"))
	for range 2 {
		for limit := 1; limit < 8; limit++ {
			found, err := s.Search(t.Context(), models.Search{Text: "port", Limit: limit})
			want := sequence(1, 6)
			slices.Reverse(want)
			if want = want[:min(limit, 6)]; err != nil || !slices.Equal(idsOf(found), want) {
				t.Errorf("%v, %v; want %v", idsOf(found), err, want)
			}
		}
		// One that has the words, but not the piece, is newer than enough that have it.
		found, err := s.Search(t.Context(), models.Search{Text: "sport port", Limit: 1})
		if err != nil || !slices.Equal(idsOf(found), []int64{6}) {
			t.Errorf("%v, %v", idsOf(found), err)
		}
		index(t, s)
	}
}

// piecesKnowLetters is about letters whose small ones a database knows or not, by its language: none of these counts.
func piecesKnowLetters(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s,
		say("room", "a", "eine Straße, GEMEINSAM"),       // 1
		say("room", "a", "EINE STRASSE, gemeinsam"),      // 2
		say("room", "a", "xİIıix, \u212aelvin \u017fee"), // 3: dotted, dotless, the kelvin sign and the long s
		say("room", "a", "xΌΔΟΣ ΟΔΌΣx xόδος xÄÖÜx"),      // 4
		say("room", "a", "x\x01\x7f\u0085 x\t\r\n%_\\x"), // 5
	)
	for text, want := range map[string][]int64{
		"traß": {1}, "TRAß": {1}, "TRASS": {2}, "trass": {2}, "traẞ": nil, "EMEINSA": {2, 1}, "emeinsa": {2, 1},
		"xİ": {3}, "xi": nil, "Xİ": {3}, "xi̇": nil, "İi": {3}, "İI": {3}, "ıI": {3}, "ii": nil, "İıi": nil, "x, \u212aEL": {3}, "x, kel": nil, "\u017fE": {3}, " se": nil,
		"όδ": {4}, "ΌΔ": {4}, "ΌΔος": nil, "δο": {4}, "δΟΣ": nil, "ος x": {4}, "οσ x": nil, "xäö": nil, "Xäö": nil, "ÄÖÜX": {4}, "äöÜ": nil,
		"\x01\x7f": {5}, "X\t\r\n": {5}, `%_\X`: {5}, `_%`: nil, `\\`: nil, "\u0085 X": {5},
	} {
		found, err := s.Search(t.Context(), models.Search{Text: text})
		if got := idsOf(found); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	must(t, s.CreateChannel(t.Context(), "lanes", "Straße, ÄÖ", true))
	for text, want := range map[string]int{"TRAß": 1, "TRASS": 0, "äÖ": 0, "ÄÖ": 1, "LANE": 1, "Ä_": 0} {
		if list, err := s.FindChannels(t.Context(), "", text, 5); err != nil || len(list) != want {
			t.Errorf("channels with %q: %v, %v", text, list, err)
		}
	}
	for _, text := range []string{"\x00", "Straße\x00", "a\xff", "\xf0\x9f\x98"} {
		_, err := s.Search(t.Context(), models.Search{Text: text})
		wantCode(t, err, models.Invalid)
		_, err = s.FindChannels(t.Context(), "", text, 5)
		wantCode(t, err, models.Invalid)
	}
}

// wordsInSomeChannels has more messages with a word in other channels than a search looks at.
func wordsInSomeChannels(t *testing.T, db database) {
	s := db.open(t, Options{})
	s.young = 0 // by the index alone
	say := func(ch, sender, content string) models.Draft { return say(ch, sender, content).Draft }
	first := []models.Draft{
		say("team-a", "ann", "quokka common"), say("team-b", "ben", "quokka common"), say("other", "ann", "quokka common"), say("team-a", "ben", "common"),
	}
	fill(t, s, len(first)+mostLooked, func(i int) models.Draft {
		if i < len(first) {
			return first[i]
		}
		return say("other", "cid", "common")
	})
	fill(t, s, 2, func(i int) models.Draft { return say("other", "cid", "wombat") })
	fill(t, s, 3, func(i int) models.Draft { return say("team-b", "ben", "wombat") })
	index(t, s)
	head := int64(len(first) + mostLooked + 5)
	for _, c := range []struct {
		q    models.Search
		want []int64
	}{
		{models.Search{Text: "quokka"}, []int64{2, 1}},
		{models.Search{Text: "quokka", Limit: 1}, []int64{2}},
		{models.Search{Text: "quokka", Sender: "ann"}, []int64{1}},
		{models.Search{Text: "common"}, []int64{4, 2, 1}},
		{models.Search{Text: "common", Limit: 2}, []int64{4, 2}},
		{models.Search{Text: "common", Sender: "ben"}, []int64{4, 2}},
		{models.Search{Text: "wombat", Limit: 2}, []int64{head, head - 1}},
		{models.Search{Text: "wombat common"}, nil},
	} {
		c.q.Only = "team-*"
		found, err := s.Search(t.Context(), c.q)
		if got := idsOf(found); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, %v; want %v", c.q, got, err, c.want)
		}
	}
}

func noTextBreaksASearch(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, corpus()...)
	index(t, s)
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "ab\"'`()*^:-+{}[]%_\\/|&;,. \t\n§#~!?=<>$@0é界"
	runes := []rune(letters)
	for range 100 {
		var b strings.Builder
		for range random.IntN(12) {
			b.WriteRune(runes[random.IntN(len(runes))])
		}
		if _, err := s.Search(t.Context(), models.Search{Text: b.String(), Limit: 5, Channel: "auth", Sender: "x"}); err != nil {
			t.Errorf("%q: %v", b.String(), err)
		}
		if _, err := s.FindChannels(t.Context(), "", b.String(), 5); err != nil {
			t.Errorf("%q: %v", b.String(), err)
		}
	}
	for name, text := range map[string]string{
		"many words":   strings.Repeat("ab ", longestText/3),
		"signs":        strings.Repeat(`\`, longestText),
		"wildcards":    strings.Repeat("%", longestText),
		"one word":     strings.Repeat("é", longestText/2),
		"other words":  distinct(longestText / 6),
		"open quotes":  strings.Repeat(`"`, longestText),
		"parentheses":  strings.Repeat("(", longestText),
		"empty string": "",
	} {
		if _, err := s.Search(t.Context(), models.Search{Text: text, Limit: 5}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.FindChannels(t.Context(), "", text, 5); err != nil {
			t.Errorf("%s, channels: %v", name, err)
		}
	}
	for _, n := range []int{longestText + 1, 1 << 20} {
		_, err := s.Search(t.Context(), models.Search{Text: strings.Repeat("x", n)})
		wantCode(t, err, models.TooLarge)
		_, err = s.FindChannels(t.Context(), "", strings.Repeat("x", n), 5)
		wantCode(t, err, models.TooLarge)
	}
}

func everyPieceIsFound(t *testing.T, db database) {
	s := db.open(t, Options{})
	list := corpus()
	list = append(list, say("general", "dave", "İstanbul, \u212aelvin: ÄÖÜ zqx \t\n\x01"))
	batch(t, s, list...)
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		id := random.IntN(len(list))
		runes := []rune(list[id].Content)
		from := random.IntN(len(runes))
		piece := []rune(string(runes[from : from+1+random.IntN(min(40, len(runes)-from))]))
		for i, r := range piece {
			if r < 'z' && random.IntN(2) == 0 {
				piece[i] = unicode.ToUpper(r)
			}
		}
		found, err := s.Search(t.Context(), models.Search{Text: string(piece), Limit: 100})
		if err != nil || !slices.Contains(idsOf(found), int64(id+1)) {
			t.Errorf("%q of %.60q: found %v, %v", string(piece), list[id].Content, idsOf(found), err)
		}
	}
}

// distinct is n different words.
func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "w%04d ", i)
	}
	return strings.TrimSpace(b.String())
}

func largeMessagesAreIndexed(t *testing.T, db database) {
	s := db.open(t, Options{})
	release := db.hold(t)
	defer release()
	large := strings.Repeat(strings.Repeat("x", 999)+"\n", models.MaxContent/1000-1)
	for i := range 10 {
		post(t, s, say("room", "alice", large+fmt.Sprint("n", i)))
	}
	rounds := 0
	for more := true; more; rounds++ {
		var err error
		if more, err = s.index(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if rounds < 3 {
		t.Errorf("%d bytes were indexed in %d transactions", 10*len(large), rounds)
	}
	found, err := s.Search(t.Context(), models.Search{Text: "n7 " + strings.Repeat("x", 200)})
	if err != nil || !slices.Equal(idsOf(found), []int64{8}) {
		t.Errorf("%v, %v", idsOf(found), err)
	}
}

func twoIndexOnce(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	release := db.hold(t)
	defer release()
	fill(t, s, 4*indexBatch, func(i int) models.Draft { return say("room", "alice", fmt.Sprint("word ", i)).Draft })
	done := make(chan error)
	for _, s := range []*Store{s, other, s, other} {
		go func() {
			_, err := s.indexUntil(t.Context(), time.Now().Add(time.Minute))
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := db.indexed(t, s); !slices.Equal(got, sequence(1, 4*indexBatch)) {
		t.Errorf("%d messages are indexed", len(got))
	}
}

func indexedAreOthersToo(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	defer db.hold(t)()
	post(t, s, say("room", "alice", "mine"))
	post(t, other, say("room", "alice", "theirs"))
	index(t, s)
	if got := db.indexed(t, s); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("the index knows %v", got)
	}
}
