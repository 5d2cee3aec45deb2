package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"crosstalk/models"
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
				verify(t, db, db.open(t, Options{}))
			})
		}
	}
}

// verify recounts everything that the store counts as it goes.
func verify(t *testing.T, db database, s *Store) {
	t.Helper()
	if _, err := s.indexUntil(t.Context(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var bus struct{ LastID, LastAt, PrunedID, IndexedID int64 }
	scan(t, s, &bus, "SELECT last_id, last_at, pruned_id, indexed_id FROM bus")
	all, err := s.After(t.Context(), models.Every, 0, bus.LastID+1000, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int64, len(all))
	replies := map[int64]int64{}
	before := int64(0)
	for i, m := range all {
		ids[i] = m.ID
		if want := max(before, bus.PrunedID) + 1; m.ID <= before || m.ID > bus.PrunedID && m.ID != want {
			t.Fatalf("message %d stands where %d should", m.ID, want)
		}
		before = m.ID
		if i > 0 && m.CreatedAt < all[i-1].CreatedAt {
			t.Errorf("message %d is of %v, the one before of %v", m.ID, m.CreatedAt, all[i-1].CreatedAt)
		}
		if m.InReplyTo != nil {
			replies[*m.InReplyTo]++
		}
	}
	for _, m := range all {
		if m.ReplyCount != replies[m.ID] {
			t.Errorf("message %d counts %d replies, there are %d", m.ID, m.ReplyCount, replies[m.ID])
		}
	}
	if bus.LastID != max(before, bus.PrunedID) || bus.IndexedID > bus.LastID || len(all) > 0 && bus.LastAt != int64(all[len(all)-1].CreatedAt) {
		t.Errorf("bus is at %+v after %d messages", bus, len(all))
	}
	if got := db.indexed(t, s); !slices.Equal(got, ids) {
		t.Errorf("the index knows %d messages, there are %d", len(got), len(ids))
	}
	verifyChannels(t, s, all)
	want := map[string]int64{}
	for _, m := range all {
		want[m.Channel] += int64(len(m.Content))
	}
	var held []struct {
		Channel string
		Bytes   int64
	}
	scan(t, s, &held, "SELECT channel, bytes FROM usage")
	for _, h := range held {
		if h.Bytes != want[h.Channel] {
			t.Errorf("channel %s holds %d bytes, counted are %d", h.Channel, want[h.Channel], h.Bytes)
		}
		delete(want, h.Channel)
	}
	if len(want) > 0 {
		t.Errorf("not counted: %v", want)
	}
}

func verifyChannels(t *testing.T, s *Store, all []models.Message) {
	t.Helper()
	var channels []struct {
		Name                                    string
		LastSeq, MessageCount, LastID, PrunedID int64
		LastMessageAt                           models.Time
	}
	scan(t, s, &channels, `SELECT name, last_seq, message_count, coalesce(last_id, 0) AS last_id, pruned_id,
		coalesce(last_message_at, 0) AS last_message_at FROM channels`)
	in := map[string][]models.Message{}
	for _, m := range all {
		in[m.Channel] = append(in[m.Channel], m)
	}
	for _, ch := range channels {
		messages := in[ch.Name]
		delete(in, ch.Name)
		n := int64(len(messages))
		if ch.MessageCount != n {
			t.Errorf("channel %s counts %d messages, there are %d", ch.Name, ch.MessageCount, n)
		}
		for i, m := range messages {
			if want := ch.LastSeq - n + int64(i) + 1; m.Seq != want {
				t.Errorf("message %d in %s has seq %d, not %d", m.ID, ch.Name, m.Seq, want)
			}
		}
		switch {
		case n == 0:
			if ch.LastSeq > 0 && ch.LastID != ch.PrunedID {
				t.Errorf("channel %s is empty, its last id %d, removed up to %d", ch.Name, ch.LastID, ch.PrunedID)
			}
		case ch.LastID != messages[n-1].ID || ch.LastMessageAt != messages[n-1].CreatedAt || ch.PrunedID >= messages[0].ID:
			t.Errorf("channel %s is at %+v, its messages reach from %d to %d", ch.Name, ch, messages[0].ID, messages[n-1].ID)
		}
	}
	for name := range in {
		t.Errorf("there are messages in %s, but no such channel", name)
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

// eventually waits for what other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s still not: %s", what)
		}
		time.Sleep(time.Millisecond)
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
