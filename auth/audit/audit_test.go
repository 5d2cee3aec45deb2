package audit

import (
	"fmt"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatHappensOftenIsKeptInSums(t *testing.T) {
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	table := access.New(st)
	l := New(table)
	ada := models.Principal{Name: "key:ada", Address: "192.0.2.1"}
	for range 100 {
		l.Seen(ada)
		l.Seen(models.Principal{Name: "key:ada"})
		l.Seen(models.Principal{Address: "192.0.2.9"})
		l.Failed("192.0.2.9")
	}
	for i := range maxFailed + 10 {
		l.Failed(fmt.Sprint("192.0.2.1/", i))
	}
	if len(l.failed) > maxFailed+1 {
		t.Errorf("%d addresses are remembered", len(l.failed))
	}
	for range 2 {
		l.Flush(t.Context())
	}
	New(table).Flush(t.Context())
	again := New(table) // another process, or the same after a restart
	again.Seen(ada)
	again.Flush(t.Context())
	all, err := table.Audit(t.Context(), 0, nil, 5000)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	addresses := 0
	for _, e := range all {
		switch e.Action {
		case access.FailedLogins:
			sums[e.Address] += e.Count
		case access.NewAddress:
			addresses++
		}
	}
	if sums["192.0.2.9"] != 100 || sums[others] != 11 || len(sums) != maxFailed+1 || addresses != 1 {
		t.Errorf("%d and %d wrong keys, of %d addresses, %d new ones", sums["192.0.2.9"], sums[others], len(sums), addresses)
	}
	var none *Log
	none.Seen(ada)
	none.Failed("x")
	none.Flush(t.Context())
}
