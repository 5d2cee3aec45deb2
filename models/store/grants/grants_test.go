package grants

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"crosstalk/internal/pgtest"
	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// on runs a promise's test on a new database of either kind.
func on(t *testing.T, test func(t *testing.T, table *Table, s *store.Store)) {
	for name, o := range map[string]func() store.Options{
		"SQLite":     func() store.Options { return store.Options{Path: filepath.Join(t.TempDir(), "bus.db")} },
		"PostgreSQL": func() store.Options { return store.Options{URL: pgtest.Start(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(context.Background(), o())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			test(t, New(s), s)
		})
	}
}

const now = models.Time(1_800_000_000_000)

func days(n int) models.Time { return models.Time((time.Duration(n) * 24 * time.Hour).Milliseconds()) }

// consent opens a grant whose code is good for a minute.
func consent(t *testing.T, table *Table, id, client string, at models.Time) Token {
	t.Helper()
	code := Token{Hash: "code-" + id, GrantID: id, Kind: Code, ExpiresAt: at + 60_000}
	if err := table.Consent(t.Context(), Grant{ID: id, Client: client, KeyHash: "k", CreatedAt: at, UsedAt: at}, code); err != nil {
		t.Fatal(err)
	}
	return code
}

func TestUnusedRegistrationsAreForgotten(t *testing.T) { on(t, unusedRegistrationsAreForgotten) }

func unusedRegistrationsAreForgotten(t *testing.T, table *Table, s *store.Store) {
	add := func(id string, at models.Time) {
		t.Helper()
		if err := table.AddClient(t.Context(), Client{ID: id, Redirects: []string{"https://a.example/"}, CreatedAt: at}); err != nil {
			t.Fatal(err)
		}
	}
	known := func(id string) bool {
		t.Helper()
		c, err := table.Client(t.Context(), id)
		if code := models.CodeOf(err); code != "" && code != models.NotFound || err == nil && c.Redirects[0] != "https://a.example/" {
			t.Fatal(c, err)
		}
		return err == nil
	}
	add("used", now)
	add("unused", now)
	consent(t, table, "g", "used", now)
	add("next", now+days(30))
	if !known("used") || !known("unused") {
		t.Error("forgotten too soon")
	}
	add("later", now+days(30)+1)
	if !known("used") || known("unused") {
		t.Error("what was used is forgotten, or what was not is known")
	}
	many := make([]Client, maxUnused-1) // at once: each by itself takes a while
	for i := range many {
		many[i] = Client{ID: fmt.Sprint("many-", i), Redirects: []string{"https://a.example/"}, CreatedAt: now + days(31) + models.Time(i)}
	}
	err := s.Transact(t.Context(), func(tx *gorm.DB) error { return tx.Table(tableClients).CreateInBatches(&many, 100).Error })
	if err != nil {
		t.Fatal(err)
	}
	add("last", now+days(31)+maxUnused)
	if !known("used") || known("next") || known("later") || !known("many-0") {
		t.Error("beyond the most that are kept, others than the oldest are forgotten")
	}
}

func TestOneOfManySpendsACode(t *testing.T) { on(t, oneOfManySpendsACode) }

func oneOfManySpendsACode(t *testing.T, table *Table, _ *store.Store) {
	code := consent(t, table, "g", "c", now)
	var spent atomic.Int32
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			err := table.Spend(context.Background(), code, now+1, time.Hour, Token{Hash: fmt.Sprint("t", i), GrantID: "g", Kind: Access, ExpiresAt: now + 1000})
			switch models.CodeOf(err) {
			case "":
				spent.Add(1)
			case models.Conflict, models.NotFound:
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := spent.Load(); n != 1 {
		t.Errorf("%d spent it", n)
	}
	for i := range 10 {
		if _, _, err := table.Find(t.Context(), Access, fmt.Sprint("t", i), now+2); models.CodeOf(err) != models.NotFound {
			t.Errorf("a token outlived the grant: %v", err)
		}
	}
}

func TestWhatExpiredIsRemoved(t *testing.T) { on(t, whatExpiredIsRemoved) }

func whatExpiredIsRemoved(t *testing.T, table *Table, s *store.Store) {
	consent(t, table, "old", "c", now)
	kept := consent(t, table, "kept", "c", now)
	refresh := Token{Hash: "r", GrantID: "kept", Kind: Refresh, ExpiresAt: now + days(30)}
	if err := table.Spend(t.Context(), kept, now+1, 0, refresh); err != nil {
		t.Fatal(err)
	}
	consent(t, table, "new", "c", now+days(1))
	var ids []string
	if err := s.Reader(t.Context()).Table("oauth_grants").Order("id").Pluck("id", &ids).Error; err != nil || fmt.Sprint(ids) != "[kept new]" {
		t.Errorf("grants: %v, %v", ids, err)
	}
}

func TestTheEndOfAGrantIsHeardOf(t *testing.T) { on(t, theEndOfAGrantIsHeardOf) }

func theEndOfAGrantIsHeardOf(t *testing.T, table *Table, s *store.Store) {
	keys := access.New(s)
	before, err := keys.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	consent(t, table, "g", "c", now)
	if err := table.End(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	if after, err := keys.Version(t.Context()); err != nil || after <= before {
		t.Errorf("the version is %d after %d: %v", after, before, err)
	}
}

func TestNamesAreFreeOnceTheirInviteIsRevoked(t *testing.T) {
	on(t, namesAreFreeOnceTheirInviteIsRevoked)
}

func namesAreFreeOnceTheirInviteIsRevoked(t *testing.T, table *Table, s *store.Store) {
	keys := access.New(s)
	if err := table.AddInvite(t.Context(), Invite{Name: "anna", Hash: "h", Scope: models.ScopeWrite, Uses: 1}); err != nil {
		t.Fatal(err)
	}
	if err := table.AddInvite(t.Context(), Invite{Name: "anna", Hash: "other", Uses: 1}); models.CodeOf(err) != models.Conflict {
		t.Errorf("a second invite of the name: %v", err)
	}
	for _, owner := range []string{"grant:invite:anna/claude", "grant:invite:anna2/claude", "grant:key:anna/claude"} {
		if _, err := keys.Claim(t.Context(), owner, "name-of-"+owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.RevokeInvite(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	if err := table.RevokeInvite(t.Context(), "anna"); models.CodeOf(err) != models.NotFound {
		t.Errorf("revoked twice: %v", err)
	}
	names, err := keys.Names(t.Context())
	if err != nil || len(names) != 2 {
		t.Errorf("names that belong to somebody: %v, %v", names, err)
	}
}
