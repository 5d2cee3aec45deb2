package bridge

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitsReportAtMomentsTheyShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			time.Sleep(37 * time.Millisecond) // waits begin at any time
			d := untilReport()
			if at := time.Now().Add(d); !at.Equal(at.Truncate(stride)) {
				t.Errorf("a wait that begins at %v reports at %v", time.Now(), at)
			}
			if (d - progress).Abs() > stride/2 {
				t.Errorf("it reports after %v, not after about %v", d, progress)
			}
		}
	})
}
