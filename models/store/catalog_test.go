package store

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crosstalk/models"
)

func channelPromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"general is there from the beginning":          generalIsThere,
		"channels come with the latest activity first": channelsAreOrdered,
		"channels keep their counts":                   channelsCount,
		"channels are created once":                    channelsAreCreatedOnce,
		"channels are found by name and text":          channelsAreFound,
		"unread counts from the registration":          unreadCounts,
		"only some channels are shown":                 onlySomeAreShown,
	}
}

func names(list []models.Channel) (names []string) {
	for _, ch := range list {
		names = append(names, ch.Name)
	}
	return names
}

func channels(t testing.TB, s *Store, limit int) []models.Channel {
	t.Helper()
	list, err := s.Channels(t.Context(), "", limit)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func create(t testing.TB, s *Store, name, description string) {
	t.Helper()
	if err := s.CreateChannel(t.Context(), name, description, true); err != nil {
		t.Fatal(err)
	}
}

func generalIsThere(t *testing.T, db database) {
	for range 2 {
		list := channels(t, db.open(t, Options{}), 10)
		if len(list) != 1 || list[0].Name != models.General || list[0].MessageCount != 0 || list[0].LastID != nil || list[0].LastMessageAt != nil {
			t.Fatalf("%+v", list)
		}
		if age := time.Since(list[0].CreatedAt.Time()); age < 0 || age > time.Minute {
			t.Errorf("it is %v old", age)
		}
	}
}

func channelsAreOrdered(t *testing.T, db database) {
	s := db.open(t, Options{})
	for _, name := range []string{"beta", "alpha", "delta", "gamma"} {
		create(t, s, name, "")
	}
	// Of those without a message the last created stands first, and of those created at once the first by name.
	exec(t, s, "UPDATE channels SET created_at = 1000 WHERE name IN ('alpha', 'beta')")
	exec(t, s, "UPDATE channels SET created_at = 2000 WHERE name IN ('gamma', 'general')")
	exec(t, s, "UPDATE channels SET created_at = 3000 WHERE name = 'delta'")
	quiet := []string{"delta", "gamma", "general", "alpha", "beta"}
	if got := names(channels(t, s, 10)); !slices.Equal(got, quiet) {
		t.Errorf("without messages: %q, want %q", got, quiet)
	}
	batch(t, s, say("beta", "a", "x"), say("gamma", "a", "x"), say("new", "a", "x"), say("beta", "a", "x"))
	want := []string{"beta", "new", "gamma", "delta", "general", "alpha"}
	if got := names(channels(t, s, 10)); !slices.Equal(got, want) {
		t.Errorf("with messages: %q, want %q", got, want)
	}
	if got := names(channels(t, s, 2)); !slices.Equal(got, want[:2]) {
		t.Errorf("limited: %q", got)
	}
	second := *channels(t, s, 2)[1].LastID
	if rest, err := s.ChannelsBefore(t.Context(), "", &second, 3); err != nil || !slices.Equal(names(rest), want[2:5]) {
		t.Errorf("further ones: %q, %v", names(rest), err)
	}
	found, err := s.FindChannels(t.Context(), "", "a", 10)
	if got := names(found); err != nil || !slices.Equal(got, []string{"beta", "gamma", "delta", "general", "alpha"}) {
		t.Errorf("found: %q, %v", got, err)
	}
}

func channelsCount(t *testing.T, db database) {
	s := db.open(t, Options{})
	batch(t, s, numbered("room", 3)...)
	batch(t, s, numbered("elsewhere", 1)...)
	for _, ch := range channels(t, db.open(t, Options{}), 10) {
		if ch.Name == models.General {
			continue
		}
		want := map[string][2]int64{"room": {3, 3}, "elsewhere": {1, 4}}[ch.Name]
		if ch.MessageCount != want[0] || ch.LastID == nil || *ch.LastID != want[1] || ch.ActiveSenders != "alice" || ch.Description != "" {
			t.Errorf("%+v, want %d messages to %d", ch, want[0], want[1])
		}
		m, err := s.Message(t.Context(), ch.Name, *ch.LastID)
		if err != nil || *ch.LastMessageAt != m.CreatedAt || ch.CreatedAt > m.CreatedAt {
			t.Errorf("%s was created at %v, spoken in at %v, its last message %v is of %v", ch.Name, ch.CreatedAt, ch.LastMessageAt, err, m.CreatedAt)
		}
	}
}

func channelsAreCreatedOnce(t *testing.T, db database) {
	s := db.open(t, Options{})
	describe := func(description, want string) {
		t.Helper()
		create(t, s, "room", description)
		found, err := s.FindChannels(t.Context(), "", "room", 10)
		if err != nil || len(found) != 1 || found[0].Description != want {
			t.Fatalf("%+v, %v; want the description %q", found, err, want)
		}
	}
	describe("", "")
	before := channels(t, s, 1)[0]
	post(t, s, say("room", "alice", "hi"))
	describe("ours", "ours")
	describe("", "ours")
	after := channels(t, s, 1)[0]
	if after.MessageCount != 1 || after.Name != "room" || before.CreatedAt != after.CreatedAt {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func channelsAreFound(t *testing.T, db database) {
	s := db.open(t, Options{})
	for name, description := range map[string]string{
		"auth-dev": "Sign-in and 100% of its tests", "web": "Pages_and styles", "auth": `The C:\path of tokens`, "percent": "Über alles",
	} {
		create(t, s, name, description)
	}
	for text, want := range map[string][]string{
		"auth":       {"auth", "auth-dev"},
		"AUTH":       {"auth", "auth-dev"},
		"Auth Dev":   {"auth-dev"}, // normalised as a name is
		"auth_dev":   {"auth-dev"},
		"h-d":        {"auth-dev"},
		"tests":      {"auth-dev"},
		"SIGN":       {"auth-dev"},
		"%":          {"auth-dev"},
		"100%":       {"auth-dev"},
		"0% o":       {"auth-dev"},
		"_":          {"web"},
		"s_and":      {"web"},
		"sxand":      nil,
		`\`:          {"auth"},
		`C:\path`:    {"auth"},
		`\%`:         nil,
		"quokka":     nil,
		"Über":       {"percent"},
		"'; DROP --": nil,
	} {
		found, err := s.FindChannels(t.Context(), "", text, 10)
		got := names(found)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	if found, err := s.FindChannels(t.Context(), "", "e", 2); err != nil || len(found) != 2 {
		t.Errorf("limited: %d, %v", len(found), err)
	}
}

func unreadCounts(t *testing.T, db database) {
	s := db.open(t, Options{Keep: time.Hour})
	unread := func(instance string) string {
		t.Helper()
		list := channels(t, s, 10)
		slices.SortFunc(list, func(a, b models.Channel) int { return len(a.Name) - len(b.Name) })
		if err := s.Unread(t.Context(), list, instance); err != nil {
			t.Fatal(err)
		}
		var counts []string
		for _, ch := range list {
			if ch.Unread == nil {
				counts = append(counts, ch.Name+" none")
			} else {
				counts = append(counts, fmt.Sprint(ch.Name, " ", *ch.Unread))
			}
		}
		return strings.Join(counts, ", ")
	}
	want := func(instance, want string) {
		t.Helper()
		if got := unread(instance); got != want {
			t.Errorf("%s: %s, want %s", instance, got, want)
		}
	}
	register(t, s, models.Registration{ID: "early"})
	batch(t, s, numbered("room", 5)...)      // 1 to 5
	batch(t, s, numbered("elsewhere", 5)...) // 6 to 10
	register(t, s, models.Registration{ID: "late"})
	register(t, s, models.Registration{ID: "early"}) // again: nothing changes
	batch(t, s, numbered("room", 2)...)              // 11, 12
	want("early", "room 7, general 0, elsewhere 5")
	want("late", "room 2, general 0, elsewhere 0")
	want("stranger", "room none, general none, elsewhere none")
	age(t, s, 8, 2*time.Hour) // 1 to 8 go
	prune(t, s)
	want("early", "room 2, general 0, elsewhere 2")
	want("late", "room 2, general 0, elsewhere 0")
}

func dataPromises() map[string]func(*testing.T, database) {
	return map[string]func(*testing.T, database){
		"data comes back as it was shared":           dataComesBack,
		"each share is a new version":                sharesAreVersions,
		"a stale version stores nothing":             staleVersions,
		"of two who share over one version one wins": oneShareWins,
		"deleted data is gone":                       deletedDataIsGone,
		"a list of data comes without contents":      dataLists,
	}
}

func share(t testing.TB, s *Store, d models.DataDraft) models.SharedData {
	t.Helper()
	data, err := s.ShareData(t.Context(), d, "")
	if err != nil {
		t.Error(err)
	}
	return data
}

func dataComesBack(t *testing.T, db database) {
	s, other := db.open(t, Options{}), db.open(t, Options{})
	for _, d := range []models.DataDraft{
		{Key: "plan/v2 '%_\\", Content: "x", Sender: "alice"},
		{Key: "ключ", Content: "a\n\t\x01😀'\"", Sender: "bob", Description: "d", Channel: "room"},
		{Key: "large", Content: strings.Repeat("0123456789abcde\n", models.MaxData/16), Sender: "alice"},
	} {
		before := models.TimeOf(time.Now())
		told := share(t, s, d)
		got, err := other.Data(t.Context(), d.Key, "")
		want := models.SharedData{
			Key: d.Key, Content: d.Content, CreatedBy: d.Sender, Description: d.Description, Channel: d.Channel,
			SizeBytes: int64(len(d.Content)), Version: 1, CreatedAt: got.CreatedAt,
		}
		if err != nil || got != want {
			t.Errorf("%s: %v, %d of %d bytes", d.Key, err, len(got.Content), len(d.Content))
		}
		if got.CreatedAt < before || got.CreatedAt > models.TimeOf(time.Now()) {
			t.Errorf("%s was shared at %v", d.Key, got.CreatedAt)
		}
		want.Content = ""
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%s: want -, told +\n%s", d.Key, diff)
		}
	}
	_, err := s.Data(t.Context(), "plan/v2 'xx\\", "")
	wantCode(t, err, models.NotFound)
	if err == nil || !strings.Contains(err.Error(), "No shared data found") {
		t.Error(err)
	}
}

func sharesAreVersions(t *testing.T, db database) {
	s := db.open(t, Options{})
	share(t, s, models.DataDraft{Key: "k", Content: "one", Sender: "alice", Description: "first", Channel: "room"})
	exec(t, s, "UPDATE shared_data SET created_at = 1000")
	if d := share(t, s, models.DataDraft{Key: "k", Content: "three", Sender: "bob"}); d.Version != 2 {
		t.Errorf("%+v", d)
	}
	got, err := s.Data(t.Context(), "k", "")
	want := models.SharedData{Key: "k", Content: "three", CreatedBy: "bob", SizeBytes: 5, Version: 2, CreatedAt: got.CreatedAt}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || got.CreatedAt < 2000 {
		t.Errorf("%v, of %v; want -, got +\n%s", err, got.CreatedAt, diff)
	}
	if d := share(t, s, models.DataDraft{Key: "K", Content: "x", Sender: "bob"}); d.Version != 1 {
		t.Errorf("another key: %+v", d)
	}
}

func staleVersions(t *testing.T, db database) {
	s := db.open(t, Options{})
	d := models.DataDraft{Key: "k", Content: "one", Sender: "alice"}
	at := func(version int64, content string) (models.SharedData, error) {
		d.IfVersion, d.Content = &version, content
		return s.ShareData(t.Context(), d, "")
	}
	for _, c := range []struct {
		at      int64
		content string
		want    models.Code
		version int64
	}{
		{1, "too early", models.Conflict, 0},
		{0, "one", "", 1},
		{0, "again", models.Conflict, 1},
		{1, "two", "", 2},
		{1, "stale", models.Conflict, 2},
		{3, "ahead", models.Conflict, 2},
		{-1, "odd", models.Conflict, 2},
		{2, "three", "", 3},
	} {
		told, err := at(c.at, c.content)
		wantCode(t, err, c.want)
		if err == nil && told.Version != c.version {
			t.Errorf("over %d: %+v", c.at, told)
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprint("at version ", c.version)) {
			t.Errorf("%v does not say the version", err)
		}
		got, err := s.Data(t.Context(), "k", "")
		if c.version == 0 {
			wantCode(t, err, models.NotFound)
		} else if err != nil || got.Version != c.version || c.want == "" && got.Content != c.content || c.want != "" && got.Content == c.content {
			t.Errorf("after %q over %d: %+v, %v", c.content, c.at, got, err)
		}
	}
}

func oneShareWins(t *testing.T, db database) {
	stores := []*Store{db.open(t, Options{}), db.open(t, Options{})}
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := stores[i%2].ShareData(t.Context(), models.DataDraft{Key: "k", Content: fmt.Sprint(i), Sender: "a", IfVersion: ptr[int64](0)}, "")
			if err == nil {
				won.Add(1)
			} else {
				wantCode(t, err, models.Conflict)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}

func deletedDataIsGone(t *testing.T, db database) {
	s := db.open(t, Options{})
	share(t, s, models.DataDraft{Key: "k", Content: "one", Sender: "alice"})
	share(t, s, models.DataDraft{Key: "k", Content: "two", Sender: "alice"})
	share(t, s, models.DataDraft{Key: "k2", Content: "stays", Sender: "alice"})
	if err := s.DeleteData(t.Context(), "k", ""); err != nil {
		t.Fatal(err)
	}
	_, err := s.Data(t.Context(), "k", "")
	wantCode(t, err, models.NotFound)
	wantCode(t, s.DeleteData(t.Context(), "k", ""), models.NotFound)
	wantCode(t, s.DeleteData(t.Context(), "%", ""), models.NotFound)
	if d := share(t, s, models.DataDraft{Key: "k", Content: "anew", Sender: "alice", IfVersion: ptr[int64](0)}); d.Version != 1 {
		t.Errorf("shared anew: %+v", d)
	}
	if got, err := s.Data(t.Context(), "k2", ""); err != nil || got.Content != "stays" {
		t.Errorf("%+v, %v", got, err)
	}
}

func dataLists(t *testing.T, db database) {
	s := db.open(t, Options{})
	list, err := s.ListData(t.Context(), "", 10)
	if err != nil || list == nil || len(list) != 0 {
		t.Errorf("nothing is shared: %v, %v", list, err)
	}
	for i := range 5 {
		key := fmt.Sprint("k", i)
		share(t, s, models.DataDraft{Key: key, Content: "content", Sender: "alice", Description: "d", Channel: "room"})
		exec(t, s, "UPDATE shared_data SET created_at = ? WHERE key = ?", 1000*(i/2), key)
	}
	if list, err = s.ListData(t.Context(), "", 4); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for i, d := range list {
		keys = append(keys, d.Key)
		want := models.SharedData{Key: d.Key, CreatedBy: "alice", Description: "d", Channel: "room", SizeBytes: 7, Version: 1, CreatedAt: d.CreatedAt}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Errorf("item %d: want -, got +\n%s", i, diff)
		}
	}
	if want := []string{"k4", "k2", "k3", "k0"}; !slices.Equal(keys, want) {
		t.Errorf("%q, want %q", keys, want)
	}
}
