package together

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book keeps what was done, as a whole or not at all.
type book struct {
	goes  int
	kept  []int
	begin chan struct{} // received from before each go; nil: at once
}

func (b *book) do(_ context.Context, fn func(*[]int) error) error {
	if b.begin != nil {
		<-b.begin
	}
	b.goes++
	draft := slices.Clone(b.kept)
	if err := fn(&draft); err != nil {
		return err
	}
	b.kept = draft
	return nil
}

// crowd has so many callers come while a go is under way, and returns what each heard.
func crowd(t *testing.T, b *book, callers int, part func(i int, draft *[]int) error) (heard []any) {
	t.Helper()
	b.begin = make(chan struct{})
	heard = make([]any, callers)
	synctest.Test(t, func(t *testing.T) {
		b.begin = make(chan struct{})
		g := New(b.do)
		var all sync.WaitGroup
		all.Go(func() { _ = g.Do(t.Context(), func(*[]int) error { return nil }) })
		synctest.Wait() // its go has begun
		for i := range callers {
			all.Go(func() {
				defer func() {
					if p := recover(); p != nil {
						heard[i] = p
					}
				}()
				if err := g.Do(t.Context(), func(draft *[]int) error { return part(i, draft) }); err != nil {
					heard[i] = err
				}
			})
		}
		for waiting := 0; waiting < callers; {
			g.mu.Lock()
			waiting = len(g.waiting)
			g.mu.Unlock()
		}
		close(b.begin)
		all.Wait()
	})
	return heard
}

func TestWhoComesAtTheSameTimeIsDoneTogether(t *testing.T) {
	b := &book{}
	heard := crowd(t, b, 3*most, func(i int, draft *[]int) error { *draft = append(*draft, i); return nil })
	slices.Sort(b.kept)
	for i := range 3 * most {
		if heard[i] != nil || b.kept[i] != i {
			t.Fatalf("%d heard %v, and %d was kept", i, heard[i], b.kept[i])
		}
	}
	if b.goes != 1+3 {
		t.Errorf("it took %d goes", b.goes)
	}
}

func TestAPartThatFailsTakesNoOtherWithIt(t *testing.T) {
	b := &book{}
	heard := crowd(t, b, 10, func(i int, draft *[]int) error {
		*draft = append(*draft, i)
		if i%4 == 0 {
			return fmt.Errorf("%d cannot be", i)
		}
		return nil
	})
	slices.Sort(b.kept)
	if want := []int{1, 2, 3, 5, 6, 7, 9}; !slices.Equal(b.kept, want) {
		t.Errorf("kept %v", b.kept)
	}
	for i, err := range heard {
		if want := fmt.Sprintf("%d cannot be", i); (i%4 == 0) != (err != nil) || err != nil && fmt.Sprint(err) != want {
			t.Errorf("%d heard %v", i, err)
		}
	}
}

func TestAPanicIsHeardByAll(t *testing.T) {
	b := &book{}
	heard := crowd(t, b, 5, func(i int, draft *[]int) error {
		if i == 2 {
			panic("two")
		}
		*draft = append(*draft, i)
		return nil
	})
	panics := 0
	for _, h := range heard {
		if err, ok := h.(error); ok && !errors.Is(err, errBroken) || h == nil {
			t.Errorf("heard %v", h)
		} else if !ok {
			panics++
		}
	}
	if panics != 1 || len(b.kept) != 0 {
		t.Errorf("%d panics, and kept %v", panics, b.kept)
	}
}

func TestALoneCallerWaitsForNobodyAndHearsItsError(t *testing.T) {
	b := &book{}
	g := New(b.do)
	cannot := errors.New("cannot be")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Do(ctx, func(*[]int) error { return cannot }); !errors.Is(err, cannot) || b.goes != 1 {
		t.Errorf("%v after %d goes", err, b.goes)
	}
	if err := g.Do(ctx, func(draft *[]int) error { *draft = append(*draft, 1); return nil }); err != nil || len(b.kept) != 1 {
		t.Errorf("%v, kept %v", err, b.kept)
	}
}
