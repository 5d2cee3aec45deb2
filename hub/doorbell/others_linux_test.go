package doorbell

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRingsForOthersOnly is about what a ring costs the one that rings: who is alone need not.
func TestRingsForOthersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crosstalk.db.bell")
	a := open(t, path)
	a.Ring()
	if info, err := os.Stat(path); err != nil || info.Size() > 0 {
		t.Fatalf("it rang for nobody: %v %v", info, err)
	}
	t.Run("with another", func(t *testing.T) {
		b := open(t, path)
		a.Ring()
		heard(t, b)
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
	})
	a.Ring() // the other has closed it
	if info, err := os.Stat(path); err != nil || info.Size() > 0 {
		t.Fatalf("it rang for one that has gone: %v %v", info, err)
	}
}
