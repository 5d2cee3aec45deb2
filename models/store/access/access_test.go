package access

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"crosstalk/internal/pgtest"
	"crosstalk/models"
	"crosstalk/models/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// on runs a promise's test on a new database of either kind.
func on(t *testing.T, test func(t *testing.T, tab *Table, s *store.Store)) {
	t.Run("SQLite", func(t *testing.T) {
		tab, s := table(t, store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
		test(t, tab, s)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		tab, s := table(t, store.Options{URL: pgtest.Start(t)})
		test(t, tab, s)
	})
}

// table is one in a new database, and the store it is in.
func table(t *testing.T, o store.Options) (*Table, *store.Store) {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return New(s), s
}

func wantCode(t *testing.T, err error, want models.Code) {
	t.Helper()
	if got := models.CodeOf(err); got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

// create makes a key, or fails the test.
func create(t *testing.T, tab *Table, k Key) (secret string) {
	t.Helper()
	k, err := ParseKey(k)
	if err == nil {
		secret, err = tab.CreateKey(t.Context(), k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestASecretIsKeptAsItsHashAlone(t *testing.T) {
	on(t, func(t *testing.T, tab *Table, s *store.Store) {
		secret := create(t, tab, Key{Name: "alice", Channels: "team-*"})
		if !strings.HasPrefix(secret, KeyPrefix) || len(secret) < len(KeyPrefix)+26 {
			t.Errorf("a secret of %d characters", len(secret))
		}
		k, err := tab.FindKey(t.Context(), Hash(secret))
		if err != nil || k.Name != "alice" || k.Scope != models.ScopeWrite || k.Channels != "team-*" {
			t.Errorf("%+v, %v", k, err)
		}
		if who := k.Principal(); who.Name != "key:alice" || !who.Named() || !who.Writes("team-a") || who.Reads("general") || who.Admin() {
			t.Errorf("%+v", who)
		}
		var rows []map[string]any
		if err := s.Reader(t.Context()).Table("keys").Find(&rows).Error; err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		for column, value := range rows[0] {
			if text, ok := value.(string); ok && strings.Contains(text, secret[len(KeyPrefix):]) {
				t.Errorf("column %s holds the secret", column)
			}
		}
		_, err = tab.CreateKey(t.Context(), Key{Name: "alice", Scope: models.ScopeRead})
		wantCode(t, err, models.Conflict)
	})
}

func TestAKeyEndsWhenItIsToldTo(t *testing.T) {
	on(t, func(t *testing.T, tab *Table, _ *store.Store) {
		ctx := t.Context()
		first := create(t, tab, Key{Name: "a"})
		brief := create(t, tab, Key{Name: "brief", ExpiresAt: models.TimeOf(time.Now().Add(30 * time.Millisecond))})
		before, err := tab.Version(ctx)
		if err != nil {
			t.Fatal(err)
		}
		second, err := tab.RotateKey(ctx, "a", 0)
		if err != nil || second == first {
			t.Fatal(second, err)
		}
		if after, err := tab.Version(ctx); err != nil || after == before {
			t.Errorf("the version stays at %d, %v", after, err)
		}
		_, err = tab.FindKey(ctx, Hash(first))
		wantCode(t, err, models.Unauthenticated)
		if _, err := tab.FindKey(ctx, Hash(second)); err != nil {
			t.Error(err)
		}
		for range 2 { // the second time there is nothing to do
			if err := tab.RevokeKey(ctx, "a"); err != nil {
				t.Error(err)
			}
		}
		_, err = tab.FindKey(ctx, Hash(second))
		wantCode(t, err, models.Unauthenticated)
		_, err = tab.RotateKey(ctx, "a", 0)
		wantCode(t, err, models.Conflict)
		timer := time.NewTimer(40 * time.Millisecond)
		<-timer.C
		_, err = tab.FindKey(ctx, Hash(brief))
		wantCode(t, err, models.Unauthenticated)
		_, err = tab.RotateKey(ctx, "brief", 0)
		wantCode(t, err, models.Conflict)
		if _, err = tab.RotateKey(ctx, "brief", models.TimeOf(time.Now().Add(time.Hour))); err != nil {
			t.Error(err)
		}
		for _, err := range []error{tab.RevokeKey(ctx, "b"), tab.DeleteKey(ctx, "b")} {
			wantCode(t, err, models.NotFound)
		}
		if list, err := tab.Keys(ctx); err != nil || len(list) != 2 || list[0].RevokedAt == 0 {
			t.Errorf("%+v, %v", list, err)
		}
		if err := tab.DeleteKey(ctx, "a"); err != nil {
			t.Error(err)
		}
		create(t, tab, Key{Name: "a"})
	})
}

func TestWrongKeysAreRefused(t *testing.T) {
	for name, k := range map[string]Key{
		"no name":            {},
		"a blank":            {Name: "a b"},
		"SQL":                {Name: "'; DROP TABLE keys --"},
		"a long name":        {Name: strings.Repeat("a", 61)},
		"an odd scope":       {Name: "a", Scope: "root"},
		"an odd channel":     {Name: "a", Channels: "a/b"},
		"an admin of some":   {Name: "a", Scope: models.ScopeAdmin, Channels: "general"},
		"an end in the past": {Name: "a", ExpiresAt: 1},
	} {
		if _, err := ParseKey(k); models.CodeOf(err) != models.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLastUseIsKept(t *testing.T) {
	on(t, func(t *testing.T, tab *Table, _ *store.Store) {
		hash := Hash(create(t, tab, Key{Name: "a"}))
		for _, at := range []models.Time{5, 9, 7} {
			if err := tab.UseKeys(t.Context(), map[string]models.Time{hash: at, "unknown": at}); err != nil {
				t.Fatal(err)
			}
		}
		if list, err := tab.Keys(t.Context()); err != nil || list[0].LastUsed != 9 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestANameBelongsToItsFirst(t *testing.T) {
	on(t, func(t *testing.T, tab *Table, s *store.Store) {
		ctx := t.Context()
		claim := func(who, name, owner string) {
			t.Helper()
			n, err := tab.Claim(ctx, who, name)
			if err != nil || n.Owner != owner {
				t.Errorf("%s claims %q: it is %q's, %v, want %q", who, name, n.Owner, err, owner)
			}
		}
		claim("key:a", "Bob", "key:a")
		claim("key:a", "Bob", "key:a")
		claim("key:b", "Bob", "key:a")
		claim("key:b", "bob", "key:a")
		claim("key:b", "ＢＯＢ", "key:a")
		if err := s.Register(ctx, models.Registration{ID: "Carol", Kind: models.KindAgent}); err != nil {
			t.Fatal(err)
		}
		claim("key:a", "Carol", "") // somebody was here before
		claim("key:a", "carol", "")
		if was, err := tab.Release(ctx, "Carol"); !was || err != nil {
			t.Error(was, err)
		}
		claim("key:b", "carol", "key:b")
		if was, err := tab.Release(ctx, "nobody"); was || err != nil {
			t.Error(was, err)
		}
		create(t, tab, Key{Name: "b"})
		if err := tab.DeleteKey(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		claim("key:a", "carol", "key:a")
		create(t, tab, Key{Name: "b_"})
		claim("grant:key:b_/phone", "dave", "grant:key:b_/phone")
		claim("grant:key:bx/phone", "erin", "grant:key:bx/phone")
		if err := tab.DeleteKey(ctx, "b_"); err != nil {
			t.Fatal(err)
		}
		claim("key:a", "dave", "key:a")
		claim("key:a", "erin", "grant:key:bx/phone")
		for _, name := range []string{"dave", "erin"} {
			if _, err := tab.Release(ctx, name); err != nil {
				t.Fatal(err)
			}
		}
		list, err := tab.Names(ctx)
		if err != nil || len(list) != 2 {
			t.Errorf("%+v, %v", list, err)
		}
		instances, err := s.Instances(ctx, "", "", 10)
		names := []string{}
		for _, i := range instances {
			names = append(names, i.ID)
		}
		slices.Sort(names)
		if err != nil || !slices.Equal(names, []string{"Bob", "carol"}) {
			t.Errorf("instances %q, %v", names, err)
		}
	})
}

func TestOneOfManyClaimsAName(t *testing.T) {
	on(t, func(t *testing.T, tab *Table, _ *store.Store) {
		owners := make([]string, 8)
		var all sync.WaitGroup
		for i := range owners {
			all.Go(func() {
				n, err := tab.Claim(t.Context(), string(rune('a'+i)), "prize")
				if err != nil {
					t.Error(err)
				}
				owners[i] = n.Owner
			})
		}
		all.Wait()
		if len(slices.Compact(owners)) != 1 || owners[0] == "" {
			t.Errorf("it belongs to %q", owners)
		}
	})
}

func TestNobodyTakesAllNames(t *testing.T) {
	on(t, func(t *testing.T, tab *Table, s *store.Store) {
		err := s.Transact(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO owned_names (fold, instance, owner, since) SELECT 'n' || i, 'n' || i, 'key:a', 1 FROM n`, MaxNames).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = tab.Claim(t.Context(), "key:a", "one-more")
		wantCode(t, err, models.RateLimited)
		if n, err := tab.Claim(t.Context(), "key:b", "one-more"); err != nil || n.Owner != "key:b" {
			t.Error(n, err)
		}
	})
}
