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
	data, err := s.ShareData(t.Context(), d)
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
		got, err := other.Data(t.Context(), d.Key)
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
	_, err := s.Data(t.Context(), "plan/v2 'xx\\")
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
	got, err := s.Data(t.Context(), "k")
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
		return s.ShareData(t.Context(), d)
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
		got, err := s.Data(t.Context(), "k")
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
			_, err := stores[i%2].ShareData(t.Context(), models.DataDraft{Key: "k", Content: fmt.Sprint(i), Sender: "a", IfVersion: ptr[int64](0)})
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
	if err := s.DeleteData(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Data(t.Context(), "k")
	wantCode(t, err, models.NotFound)
	wantCode(t, s.DeleteData(t.Context(), "k"), models.NotFound)
	wantCode(t, s.DeleteData(t.Context(), "%"), models.NotFound)
	if d := share(t, s, models.DataDraft{Key: "k", Content: "anew", Sender: "alice", IfVersion: ptr[int64](0)}); d.Version != 1 {
		t.Errorf("shared anew: %+v", d)
	}
	if got, err := s.Data(t.Context(), "k2"); err != nil || got.Content != "stays" {
		t.Errorf("%+v, %v", got, err)
	}
}

func dataLists(t *testing.T, db database) {
	s := db.open(t, Options{})
	list, err := s.ListData(t.Context(), 10)
	if err != nil || list == nil || len(list) != 0 {
		t.Errorf("nothing is shared: %v, %v", list, err)
	}
	for i := range 5 {
		key := fmt.Sprint("k", i)
		share(t, s, models.DataDraft{Key: key, Content: "content", Sender: "alice", Description: "d", Channel: "room"})
		exec(t, s, "UPDATE shared_data SET created_at = ? WHERE key = ?", 1000*(i/2), key)
	}
	if list, err = s.ListData(t.Context(), 4); err != nil {
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
