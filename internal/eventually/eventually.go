package eventually

import (
	"testing"
	"time"
)

const patience = 20 * time.Second

// True looks again and again until ok says that it is so, and fails the test where that takes too long.
func True(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}
