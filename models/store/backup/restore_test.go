package backup_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/backup"
)

// copied makes a database with one message in it, and a copy.
func copied(t *testing.T) (path, file string, s *store.Store, closed func()) {
	t.Helper()
	dir := t.TempDir()
	path, file = filepath.Join(dir, "bus.db"), filepath.Join(dir, "copy.db")
	s, closed = open(t, path)
	post(t, s, "before")
	if _, err := backup.Write(t.Context(), path, file, backup.Options{}); err != nil {
		t.Fatal(err)
	}
	return path, file, s, closed
}

func TestRestoringKeepsWhatWasThere(t *testing.T) {
	path, file, s, closed := copied(t)
	if err := s.Register(t.Context(), models.Registration{ID: "alice", Kind: models.KindAgent}); err != nil {
		t.Fatal(err)
	}
	post(t, s, "after")
	was := s.BusID()
	closed()
	r, err := backup.Restore(t.Context(), file, path, backup.Options{Tell: func(int64, int64) {}})
	if err != nil {
		t.Fatal(err)
	}
	now, _ := open(t, path)
	if diff := cmp.Diff([]string{"before"}, everything(t, now)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if now.BusID() == was || now.BusID() != r.BusID || len(r.BusID) != len(was) {
		t.Errorf("bus_id is %s, the report says %s, it was %s", now.BusID(), r.BusID, was)
	}
	if id := post(t, now, "again"); id != 2 {
		t.Errorf("the next message is %d", id)
	}
	kept, _ := open(t, r.Kept)
	if diff := cmp.Diff([]string{"before", "after"}, everything(t, kept)); diff != "" || kept.BusID() != was {
		t.Errorf("what was there, bus_id %s (-want +got):\n%s", kept.BusID(), diff)
	}
	// The copy is as it was, and can be restored again, where there is nothing yet, too.
	other := filepath.Join(t.TempDir(), "new", "bus.db")
	second, err := backup.Restore(t.Context(), file, other, backup.Options{})
	if err != nil || second.Kept != "" || second.BusID == r.BusID {
		t.Errorf("%+v, %v", second, err)
	}
}

func TestADatabaseInUseIsNotReplaced(t *testing.T) {
	path, file, s, _ := copied(t)
	before := files(t, filepath.Dir(path))
	if r, err := backup.Restore(t.Context(), file, path, backup.Options{}); err == nil || !strings.Contains(err.Error(), "is in use: stop every crosstalk") {
		t.Errorf("%+v, %v", r, err)
	}
	post(t, s, "goes on")
	if got := everything(t, s); len(got) != 2 {
		t.Errorf("%q", got)
	}
	if after := files(t, filepath.Dir(path)); !slices.Equal(before, after) {
		t.Errorf("%q is there, it was %q", after, before)
	}
}

func TestOnlyAWholeCopyIsRestored(t *testing.T) {
	path, file, s, closed := copied(t)
	for range 30 {
		post(t, s, strings.Repeat("x", 30000))
	}
	broken := filepath.Join(t.TempDir(), "broken.db")
	if _, err := backup.Write(t.Context(), path, broken, backup.Options{}); err != nil {
		t.Fatal(err)
	}
	damage(t, broken)
	closed()
	text, empty := filepath.Join(t.TempDir(), "text"), filepath.Join(t.TempDir(), "empty")
	for name, content := range map[string]string{text: strings.Repeat("a letter ", 1000), empty: ""} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := files(t, filepath.Dir(path))
	for _, from := range []string{broken, text, empty, path, filepath.Dir(path), filepath.Join(t.TempDir(), "no.db")} {
		if r, err := backup.Restore(t.Context(), from, path, backup.Options{}); err == nil {
			t.Errorf("%s was restored: %+v", from, r)
		}
	}
	if after := files(t, filepath.Dir(path)); !slices.Equal(before, after) {
		t.Errorf("%q is there, it was %q", after, before)
	}
	// What is broken itself can be replaced.
	damage(t, path)
	r, err := backup.Restore(t.Context(), file, path, backup.Options{})
	if err != nil || r.Kept == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	now, _ := open(t, path)
	if got := everything(t, now); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
