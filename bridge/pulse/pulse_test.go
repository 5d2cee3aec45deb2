package pulse

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	every  = 15 * time.Second
	stride = 250 * time.Millisecond
)

func TestCallsEverybodyEverySoOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(every, stride)
		moments := map[time.Duration]int{}
		began := time.Now()
		for n := range 200 {
			joined, last := time.Now(), time.Now()
			calls := 0
			leave := p.Join(func() {
				now := time.Now()
				if calls == 0 && (now.Sub(joined)-every).Abs() > stride/2 {
					t.Errorf("%d is called first after %s", n, now.Sub(joined))
				}
				if calls > 0 && now.Sub(last) != every {
					t.Errorf("%d is called again after %s", n, now.Sub(last))
				}
				calls++
				last = now
				moments[now.Sub(began)]++
			})
			defer func() {
				leave()
				if calls != 6 && calls != 7 {
					t.Errorf("%d was called %d times", n, calls)
				}
			}()
			time.Sleep(37 * time.Millisecond)
		}
		time.Sleep(100*time.Second - time.Since(began))
		synctest.Wait()
		for at := range moments {
			if at%stride != 0 {
				t.Errorf("somebody was called after %s", at)
			}
		}
		if len(moments) > 7*33 {
			t.Errorf("there were %d moments", len(moments))
		}
	})
}

func TestCallsNobodyWhoHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(every, stride)
		var calls atomic.Int64
		leave := p.Join(func() { calls.Add(1) })
		early := p.Join(func() { t.Error("called after it left") })
		time.Sleep(every - 1)
		early()
		early()
		time.Sleep(stride)
		leave()
		if calls.Load() != 1 {
			t.Errorf("called %d times", calls.Load())
		}
		time.Sleep(10 * every)
		if calls.Load() != 1 {
			t.Error("called after it left")
		}
	})
}

func TestNothingRunsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(every, stride)
		var calls atomic.Int64
		for range 3 { // joins once more each time, after everybody has left
			began := time.Now()
			leave := p.Join(func() { calls.Add(1) })
			time.Sleep(every + stride)
			leave()
			synctest.Wait()
			beats := p.next
			time.Sleep(time.Hour)
			synctest.Wait()
			if p.next != beats {
				t.Errorf("%d beats for nobody", p.next-beats)
			}
			if calls.Load() != 1 {
				t.Errorf("%d calls since %s", calls.Load(), time.Since(began))
			}
			calls.Store(0)
		}
	})
}

func TestAfterALongStopEverybodyIsCalledOnceForAllThatWasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(every, stride)
		first := true
		var calls atomic.Int64
		defer p.Join(func() {
			if first {
				time.Sleep(time.Hour) // stands for a process that was stopped
			}
			first = false
		})()
		time.Sleep(time.Second)
		defer p.Join(func() { calls.Add(1) })()
		time.Sleep(every + time.Hour - 2*time.Second)
		synctest.Wait()
		if calls.Load() != 0 {
			t.Error("called while nothing ran")
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if calls.Load() != 1 {
			t.Errorf("called %d times after the stop", calls.Load())
		}
		time.Sleep(every)
		synctest.Wait()
		if calls.Load() != 2 {
			t.Errorf("called %d times, then", calls.Load())
		}
	})
}

func TestWhoJoinsWhileOthersAreCalledIsCalledToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(every, stride)
		var calls atomic.Int64
		defer p.Join(func() { time.Sleep(time.Second) })()
		time.Sleep(every + stride) // it is being called
		defer p.Join(func() { calls.Add(1) })()
		time.Sleep(every + 2*time.Second)
		synctest.Wait()
		if calls.Load() != 1 {
			t.Errorf("called %d times", calls.Load())
		}
	})
}
