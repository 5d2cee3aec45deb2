package sample_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"crosstalk/internal/pgtest"
	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestASampleIsOfWhatIsThere(t *testing.T) {
	for name, opt := range map[string]store.Options{"sqlite": {Path: filepath.Join(t.TempDir(), "bus.db")}, "postgresql": {URL: pgtest.Start(t)}} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			for _, id := range []string{"alice", "bob", "carol"} {
				if err := s.Register(t.Context(), models.Registration{ID: id, Kind: models.KindAgent}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Seen(t.Context(), []store.Sign{{ID: "carol", At: models.TimeOf(time.Now()), Left: true}}, false); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				draft := models.Draft{Channel: "a", Sender: "alice", Kind: models.KindAgent, Content: fmt.Sprint(i), Type: models.TypeMessage}
				if _, err := s.Append(t.Context(), store.Append{Draft: draft, Principal: models.SharedPrincipal}); err != nil {
					t.Fatal(err)
				}
			}
			got := take(t, s, opt.Path)
			if got.Online != 2 || got.Stale != 0 || got.Data < 4096 || (got.Log > 0) != (opt.Path != "") {
				t.Errorf("%+v", got)
			}
			if opt.Path == "" {
				return
			}
			err = s.Transact(t.Context(), func(tx *gorm.DB) error { return tx.Exec("UPDATE bus SET stale = 7").Error })
			if got := take(t, s, opt.Path); err != nil || got.Stale != 7 {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
}

func take(t *testing.T, s *store.Store, file string) sample.Sample {
	t.Helper()
	got, err := sample.Take(t.Context(), s, file)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
