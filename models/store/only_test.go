package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"crosstalk/models"
)

// onlySomeAreShown asks everything that can be asked for some channels only, of what the index knows and of what is newer.
func onlySomeAreShown(t *testing.T, db database) {
	s := db.open(t, Options{})
	const mine = models.Patterns("team-*,plain")
	first := post(t, s, say("team-a", "alice", "needle in team-a")).ID
	for _, ch := range []string{"vault", "team-b", "plain", "plainer", "xteam-c", "team"} {
		a := say(ch, "of-"+ch, "needle in "+ch)
		a.InReplyTo = first
		post(t, s, a)
		register(t, s, models.Registration{ID: "of-" + ch})
		share(t, s, models.DataDraft{Key: "in " + ch, Content: "x", Sender: "alice", Channel: ch})
	}
	share(t, s, models.DataDraft{Key: "in none", Content: "x", Sender: "alice"})
	want := []string{"plain", "team-a", "team-b"}
	for range 2 {
		same := func(what string, got []string, err error, want ...string) {
			t.Helper()
			slices.Sort(got)
			slices.Sort(want)
			if got = slices.Compact(got); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q, %v, want %q", what, got, err, want)
			}
		}
		list, err := s.Channels(t.Context(), mine, 10)
		same("channels", names(list), err, want...)
		list, err = s.FindChannels(t.Context(), mine, "a", 10)
		same("found channels", names(list), err, want...)
		for _, text := range []string{"needle", "eedle in", "needle in"} {
			found, err := s.Search(t.Context(), models.Search{Text: text, Only: mine, Limit: 10})
			var in []string
			for _, m := range found {
				in = append(in, m.Channel)
			}
			same("search for "+text, in, err, want...)
		}
		th, err := s.Thread(t.Context(), "team-a", first, mine, 10)
		same("replies", contents(th.Replies), err, "needle in plain", "needle in team-b")
		data, err := s.ListData(t.Context(), mine, 10)
		var keys []string
		for _, d := range data {
			keys = append(keys, d.Key)
		}
		same("data", keys, err, "in plain", "in team-b")
		there, err := s.Instances(t.Context(), mine, models.Online, 10)
		var ids []string
		for _, i := range there {
			ids = append(ids, i.ID)
		}
		same("instances", ids, err, "of-plain", "of-team-b")
		ids, err = s.OnlineIDs(t.Context(), mine)
		same("online", ids, err, "of-plain", "of-team-b")
		// The second time the index knows all.
		if _, err := s.indexUntil(t.Context(), time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Data(t.Context(), "in vault", mine)
	_, absent := s.Data(t.Context(), "in nowhere", mine)
	wantCode(t, err, models.NotFound)
	if fmt.Sprint(absent) != strings.ReplaceAll(fmt.Sprint(err), "vault", "nowhere") {
		t.Errorf("%v, and where nothing is %v", err, absent)
	}
	wantCode(t, s.DeleteData(t.Context(), "in vault", mine), models.NotFound)
	wantCode(t, s.DeleteData(t.Context(), "in none", mine), models.NotFound)
	_, err = s.ShareData(t.Context(), models.DataDraft{Key: "in vault", Content: "y", Sender: "mallory", Channel: "plain"}, mine)
	wantCode(t, err, models.Forbidden)
	if got, err := s.Data(t.Context(), "in vault", ""); err != nil || got.Content != "x" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.DeleteData(t.Context(), "in plain", mine); err != nil {
		t.Error(err)
	}
	create(t, s, "team-a", "ours")
	wantCode(t, s.CreateChannel(t.Context(), "team-a", "theirs", false), models.Forbidden)
	for _, description := range []string{"", "ours"} {
		if err := s.CreateChannel(t.Context(), "team-a", description, false); err != nil {
			t.Error(err)
		}
	}
	if err := s.CreateChannel(t.Context(), "team-b", "first", false); err != nil {
		t.Error(err)
	}
}
