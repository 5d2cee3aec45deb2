package names

import (
	"log/slog"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func holder(name string) models.Principal {
	return models.Principal{Name: "key:" + name, Scope: models.ScopeWrite}
}

// The book is read here between what this process writes and when it notes that, while another process writes, too.
func TestANoteThatComesLateDoesNotLast(t *testing.T) {
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	table, ctx := access.New(st), t.Context()
	b, err := New(ctx, table, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	claim := func(owner, name string) access.Name {
		t.Helper()
		n, err := table.Claim(ctx, "key:"+owner, name)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	release := func(name string) {
		t.Helper()
		if _, err := table.Release(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	load := func() {
		t.Helper()
		if err := b.load(ctx); err != nil {
			t.Fatal(err)
		}
	}

	n := claim("alice", "Alice")
	release("Alice")
	load()
	b.claimed(n)
	load()
	if err := b.Check(holder("bob"), "alice"); err != nil {
		t.Errorf("a name that was released: %v", err)
	}

	claim("alice", "Alice")
	load()
	release("Alice")
	claim("bob", "Alice")
	load()
	b.released("Alice")
	load()
	if !b.Owns(holder("bob"), "Alice") || b.Check(holder("alice"), "Alice") == nil {
		t.Error("a name that another has claimed is free")
	}

	if err := st.Register(ctx, models.Registration{ID: "old", Kind: models.KindAgent}); err != nil {
		t.Fatal(err)
	}
	was := b.version
	if n := claim("bob", "old"); n.Owner != "" {
		t.Fatalf("%+v", n)
	}
	release("old")
	load()
	b.isCommon("old", was)
	if err := b.Claim(ctx, holder("bob"), "old"); err != nil || !b.Owns(holder("bob"), "old") {
		t.Errorf("a name that is nobody's any more cannot be claimed: %v", err)
	}
}
