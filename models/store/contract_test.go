package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"crosstalk/models"
	"crosstalk/models/store/inspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is one empty database to hold against the contract.
type database struct {
	// open opens it, as often as asked, until the test ends.
	open func(t testing.TB, opt Options) *Store
	// hold keeps every Store from tending it, block from writing, until let go.
	hold  func(t testing.TB) (release func())
	block func(t testing.TB) (release func())
	// indexed lists the ids that the search index knows.
	indexed func(t testing.TB, s *Store) []int64
}

// contract holds what every database must promise.
func contract(t *testing.T, create func(t testing.TB) database) {
	for _, promises := range []map[string]func(*testing.T, database){
		appendPromises(), writerPromises(), readPromises(), searchPromises(), tendPromises(), retentionPromises(),
		channelPromises(), instancePromises(), dataPromises(), storePromises(), inboxPromises(), pausePromises(),
	} {
		for name, keeps := range promises {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				db := create(t)
				keeps(t, db)
				verify(t, db.open(t, Options{}))
			})
		}
	}
}

// verify recounts everything that the store counts as it goes. No id is left out: nothing was imported.
func verify(t *testing.T, s *Store) {
	t.Helper()
	if _, err := s.indexUntil(t.Context(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	from, err := inspect.Open(t.Context(), s.opt.Path, s.opt.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	err = from.Verify(t.Context(), func(int64, int64) {}, func(f inspect.Finding) error {
		if f.Check == "positions" {
			return nil // promises about them make some up, of logs without messages
		}
		if f.State != "ok" || strings.Contains(f.Text, "have no message") || f.Check == "index" && !strings.Contains(f.Text, " 0 behind") {
			t.Errorf("%s: %s", f.Check, f.Text)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// scan reads rows, exec changes some, both past the Store.
func scan(t testing.TB, s *Store, into any, query string, args ...any) {
	t.Helper()
	if err := s.Reader(t.Context()).Raw(query, args...).Scan(into).Error; err != nil {
		t.Fatal(err)
	}
}

func exec(t testing.TB, s *Store, query string, args ...any) {
	t.Helper()
	err := s.Transact(t.Context(), func(tx *gorm.DB) error { return tx.Exec(query, args...).Error })
	if err != nil {
		t.Fatal(err)
	}
}

// say makes an append.
func say(ch, sender, content string) Append {
	return Append{
		Draft:     models.Draft{Channel: ch, Sender: sender, Kind: models.KindAgent, Content: content, Type: models.TypeMessage},
		Principal: models.SharedPrincipal,
	}
}

// with changes a copy.
func (a Append) with(change func(*Append)) Append {
	change(&a)
	return a
}

// post appends and wants no error.
func post(t testing.TB, s *Store, a Append) models.Receipt {
	t.Helper()
	r, err := s.Append(t.Context(), a)
	if err != nil {
		t.Error(err)
	}
	return r
}

// batch commits appends together, as the writer does with what waits. Nothing else may be appended meanwhile.
func batch(t testing.TB, s *Store, appends ...Append) []*pending {
	t.Helper()
	list := make([]*pending, len(appends))
	for i, a := range appends {
		list[i] = &pending{Append: a}
	}
	if _, err := s.commit(list); err != nil {
		t.Fatal(err)
	}
	return list
}

// wantCode wants an error of a kind.
func wantCode(t testing.TB, err error, want models.Code) {
	t.Helper()
	if models.CodeOf(err) != want {
		t.Errorf("error %v is %q, not %q", err, models.CodeOf(err), want)
	}
}

// contents lists what messages say, and their ids.
func contents(messages []models.Message) (list []string) {
	for _, m := range messages {
		list = append(list, m.Content)
	}
	return list
}

func idsOf(messages []models.Message) (list []int64) {
	for _, m := range messages {
		list = append(list, m.ID)
	}
	return list
}

// sequence is from, from+1, ... to.
func sequence(from, to int64) (list []int64) {
	for ; from <= to; from++ {
		list = append(list, from)
	}
	return list
}

func ptr[T any](v T) *T { return &v }

// everything reads the whole log.
func everything(t testing.TB, s *Store) []models.Message {
	t.Helper()
	head, err := s.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.After(context.Background(), models.Every, 0, head, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// numbered makes n appends to a channel that say 1, 2, 3 ...
func numbered(ch string, n int) (list []Append) {
	for i := range n {
		list = append(list, say(ch, "alice", fmt.Sprint(i+1)))
	}
	return list
}
