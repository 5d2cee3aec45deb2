package sqlite

import (
	"path/filepath"
	"testing"
)

func BenchmarkTurn(b *testing.B) {
	turn := NewTurn(filepath.Join(b.TempDir(), "bus.db"))
	b.ReportAllocs()
	for b.Loop() {
		turn.Take()()
	}
}
