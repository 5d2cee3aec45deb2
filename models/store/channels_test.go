package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
	list, err := s.Channels(t.Context(), limit)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func create(t testing.TB, s *Store, name, description string) {
	t.Helper()
	if err := s.CreateChannel(t.Context(), name, description); err != nil {
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
	found, err := s.FindChannels(t.Context(), "a", 10)
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
		found, err := s.FindChannels(t.Context(), "room", 10)
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
		found, err := s.FindChannels(t.Context(), text, 10)
		got := names(found)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	if found, err := s.FindChannels(t.Context(), "e", 2); err != nil || len(found) != 2 {
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
