package main

import "testing"

// TestMemoryIsGivenBackAfterARush follows what is allocated, look by look.
func TestMemoryIsGivenBackAfterARush(t *testing.T) {
	const mib = 1 << 20
	var r rush
	for i, look := range []struct {
		more uint64 // allocated since the last look
		want bool
	}{
		{3 * mib, false}, {1000, false}, // it has begun: that is no rush
		{20 * mib, false}, {20 * mib, false}, {5 * mib, false}, {1000, true}, // once, when it is over
		{1000, false}, {1000, false},
		{100 * mib, false}, {100 * mib, false}, {0, true},
		{2 * mib, false}, {2*mib + 1, false},
		{31 * mib, false}, {mib / 2, true}, // small ones add up
	} {
		if got := r.over(r.seen + look.more); got != look.want {
			t.Errorf("look %d, after %d bytes: %t, want %t", i, look.more, got, look.want)
		}
	}
	for i := range 31 { // a hub that does a little all day
		if r.over(r.seen + mib) {
			t.Errorf("given back after %d MiB", i+1)
		}
	}
}
