package backup_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/backup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a database until the test ends, or close is called.
func open(t *testing.T, path string) (s *store.Store, closed func()) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	closed = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closed)
	return s, closed
}

func post(t *testing.T, s *store.Store, content string) int64 {
	t.Helper()
	r, err := s.Append(context.Background(), store.Append{
		Draft:     models.Draft{Channel: "room", Sender: "alice", Kind: models.KindAgent, Content: content, Type: models.TypeMessage},
		Principal: models.SharedPrincipal,
	})
	if err != nil {
		t.Error(err)
	}
	return r.ID
}

// everything lists the messages, each of which must follow the one before.
func everything(t *testing.T, s *store.Store) (texts []string) {
	t.Helper()
	list, err := s.After(t.Context(), models.Every, 0, 1<<30, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range list {
		if m.ID != int64(i+1) || m.Seq != m.ID {
			t.Fatalf("message %d, seq %d, stands where %d should", m.ID, m.Seq, i+1)
		}
		texts = append(texts, m.Content)
	}
	return texts
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

func TestACopyIsOfOneMomentWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bus.db")
	s, _ := open(t, path)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	var acked sync.Map
	first := make(chan struct{})
	for w := range 3 {
		writers.Go(func() {
			for i := 0; ; i++ {
				acked.Store(post(t, s, fmt.Sprint("of ", w, " number ", i, strings.Repeat(" filler", 200))), true)
				if w == 0 && i == 20 {
					close(first)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	<-first
	for i := range 3 {
		file := filepath.Join(dir, fmt.Sprint("copy ", i, ".db"))
		before, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := backup.Write(t.Context(), path, file, backup.Options{Tell: func(int64, int64) {}})
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("its mode is %v", info.Mode())
		}
		if r.LastID < before || r.Messages != r.LastID || r.Bytes != info.Size() || r.BusID != s.BusID() || r.Channels != 2 {
			t.Errorf("%+v of %d bytes, begun at message %d", r, info.Size(), before)
		}
		c, closed := open(t, file)
		if got := everything(t, c); int64(len(got)) != r.LastID {
			t.Errorf("%d messages are in it, the report says %d", len(got), r.LastID)
		}
		closed()
	}
	close(stop)
	writers.Wait()
	for _, name := range files(t, dir) {
		if strings.HasPrefix(name, ".") {
			t.Errorf("%s is left over", name)
		}
	}
}

func TestACopyIsPutOverNoPartOfTheDatabase(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "bus.db"), filepath.Join(t.TempDir(), "link.db")
	s, _ := open(t, path)
	post(t, s, "kept")
	if err := os.Symlink(path, other); err != nil {
		t.Skip(err)
	}
	before := files(t, dir)
	for _, db := range []string{path, other} {
		for _, end := range []string{"", "-wal", "-WAL", "-shm", "-journal", ".lock", ".bell", ".next", ".turn"} {
			for _, file := range []string{path + end, filepath.Join(dir, "..", filepath.Base(dir), "bus.db"+end), db + end} {
				if _, err := backup.Write(t.Context(), db, file, backup.Options{Force: true}); err == nil || !strings.Contains(err.Error(), "name another file") {
					t.Errorf("of %s onto %s: %v", db, file, err)
				}
			}
		}
	}
	if _, err := backup.Write(t.Context(), path, path+".copy", backup.Options{Force: true}); err != nil {
		t.Error(err)
	}
	if got := files(t, dir); len(got) != len(before)+1 {
		t.Errorf("there is %v, there was %v", got, before)
	}
	if got := everything(t, s); len(got) != 1 {
		t.Errorf("%q are left", got)
	}
}

func TestWhatCannotBeCopiedIsSaidByItsName(t *testing.T) {
	dir := t.TempDir()
	path, text := filepath.Join(dir, "bus.db"), filepath.Join(dir, "notes.txt")
	_, closed := open(t, path)
	closed()
	if err := os.WriteFile(text, []byte("no database, but long enough to be one"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ db, file, want string }{
		{path, filepath.Join(dir, "none", "x.db"), "there is no folder " + filepath.Join(dir, "none")},
		{path, filepath.Join(text, "x.db"), ""},
		{text, filepath.Join(dir, "x.db"), text + " is no SQLite database"},
	} {
		if _, err := backup.Write(t.Context(), tc.db, tc.file, backup.Options{}); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), ".x.db") {
			t.Errorf("%s to %s: %v", tc.db, tc.file, err)
		}
	}
}

func TestACopyOverwritesNothingUnasked(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "bus.db"), filepath.Join(dir, "copy.db")
	s, _ := open(t, path)
	post(t, s, "hello")
	if err := os.WriteFile(file, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		file  string
		force bool
		want  string
	}{
		{file, false, "is there already"},
		{path, true, "is the database itself"},
		{link, true, "is the database itself"},
		{dir, true, "is no file"},
		{filepath.Join(dir, "no", "folder.db"), false, "there is no folder"},
	} {
		if _, err := backup.Write(t.Context(), path, tc.file, backup.Options{Force: tc.force}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.file, err, tc.want)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "dear" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if got := everything(t, s); len(got) != 1 {
		t.Errorf("the database holds %q", got)
	}
	if r, err := backup.Write(t.Context(), path, file, backup.Options{Force: true}); err != nil || r.LastID != 1 {
		t.Errorf("asked to: %+v, %v", r, err)
	}
}

func TestWhatIsNotWholeGetsNoName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bus.db")
	s, closed := open(t, path)
	for range 30 {
		post(t, s, strings.Repeat("x", 30000))
	}
	closed()
	given, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backup.Write(given, path, filepath.Join(dir, "given-up.db"), backup.Options{}); err == nil {
		t.Error("who gave up was given a copy")
	}
	damage(t, path)
	if r, err := backup.Write(t.Context(), path, filepath.Join(dir, "copy.db"), backup.Options{}); err == nil {
		t.Errorf("a damaged database was copied: %+v", r)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("a letter ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := backup.Write(t.Context(), text, filepath.Join(dir, "copy.db"), backup.Options{}); err == nil {
		t.Errorf("a text was copied: %+v", r)
	}
	for _, name := range files(t, dir) {
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "copy") || strings.HasPrefix(name, "given") {
			t.Errorf("%s is there", name)
		}
	}
}

// damage writes over some of the pages behind the first ones.
func damage(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for page := int64(40); page < 60; page++ {
		if _, err := f.WriteAt([]byte(strings.Repeat("\xa5", 4096)), page*4096); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
