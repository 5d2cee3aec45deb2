package inspect_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"crosstalk/internal/eventually"
	"crosstalk/internal/pgtest"
	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/inspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// each runs a test on either database.
func each(t *testing.T, test func(t *testing.T, opt store.Options)) {
	t.Run("SQLite", func(t *testing.T) { test(t, store.Options{Path: filepath.Join(t.TempDir(), "bus.db")}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, store.Options{URL: pgtest.Start(t)}) })
}

// filled opens a database with messages, replies, keys and positions in it, all of them in the index.
func filled(t *testing.T, opt store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range 30 {
		a := store.Append{
			Draft: models.Draft{
				Channel: fmt.Sprint("room-", i%3), Sender: "alice", Kind: models.KindAgent, Content: fmt.Sprint("wörd ", i), Type: models.TypeMessage,
				InReplyTo: int64(i / 2), IdempotencyKey: fmt.Sprint(i),
			},
			Principal: models.SharedPrincipal,
		}
		if _, err := s.Append(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	at := int64(7)
	if err := s.Use(t.Context(), "alice", "room-0", &at); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ShareData(t.Context(), models.DataDraft{Key: "k", Content: "wör", Sender: "alice"}, ""); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "all is in the index", func() bool {
		var indexed int64
		if err := s.Reader(t.Context()).Table("bus").Select("indexed_id").Scan(&indexed).Error; err != nil {
			t.Fatal(err)
		}
		return indexed == 30
	})
	return s
}

// verify lists what is found: the check and state of each.
func verify(t *testing.T, opt store.Options) (states []string, all string) {
	t.Helper()
	from, err := inspect.Open(t.Context(), opt.Path, opt.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	err = from.Verify(t.Context(), func(int64, int64) {}, func(f inspect.Finding) error {
		states = append(states, f.Check+" "+f.State)
		all += f.Check + " " + f.State + " " + f.Text + "\n"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Compact(states), all
}

func TestASoundDatabaseIsFoundSound(t *testing.T) {
	each(t, func(t *testing.T, opt store.Options) {
		filled(t, opt)
		if states, all := verify(t, opt); slices.ContainsFunc(states, func(s string) bool { return !strings.HasSuffix(s, " ok") }) || !strings.Contains(all, "30 messages up to 30, in order\n") {
			t.Errorf("found:\n%s", all)
		}
	})
}

// TestEveryFaultIsFound breaks one thing after the other.
func TestEveryFaultIsFound(t *testing.T) {
	each(t, func(t *testing.T, opt store.Options) {
		s := filled(t, opt)
		for _, tc := range []struct{ breaks, mends, want string }{
			{"UPDATE bus SET last_id = 31", "UPDATE bus SET last_id = 30", "ids fail the log says that its last id is 31, it is 30"},
			{"UPDATE bus SET indexed_id = 31", "UPDATE bus SET indexed_id = 30", "ids fail the index says"},
			{"UPDATE messages SET created_at = created_at + 100000 WHERE id = 5", "UPDATE messages SET created_at = created_at - 100000 WHERE id = 5", "ids fail message 6 has an earlier time"},
			{"UPDATE messages SET in_reply_to = 20 WHERE id = 9", "UPDATE messages SET in_reply_to = 4 WHERE id = 9", "ids fail message 9 answers 20"},
			{"UPDATE messages SET seq = 40 WHERE id = 7", "UPDATE messages SET seq = 3 WHERE id = 7", "seq fail message 7 in room-0 has seq 40, not 3"},
			{"UPDATE channels SET message_count = message_count + 1 WHERE name = 'room-1'", "UPDATE channels SET message_count = message_count - 1 WHERE name = 'room-1'", "channels fail channel room-1 says message_count is 11, it is 10"},
			{"UPDATE channels SET last_seq = 12 WHERE name = 'room-1'", "UPDATE channels SET last_seq = 10 WHERE name = 'room-1'", "channels fail channel room-1 says last_seq is 12"},
			{"UPDATE channels SET last_id = 30 WHERE name = 'room-1'", "UPDATE channels SET last_id = 29 WHERE name = 'room-1'", "channels fail channel room-1 says last_id is 30"},
			{"UPDATE channels SET pruned_id = 2 WHERE name = 'room-1'", "UPDATE channels SET pruned_id = 0 WHERE name = 'room-1'", "channels fail channel room-1 says that all up to 2 were removed"},
			{"UPDATE usage SET bytes = bytes + 1 WHERE channel = 'room-2'", "UPDATE usage SET bytes = bytes - 1 WHERE channel = 'room-2'", "channels fail channel room-2 says bytes is"},
			{"UPDATE channels SET name = 'lost' WHERE name = 'room-2'", "UPDATE channels SET name = 'room-2' WHERE name = 'lost'", "channels fail there are messages in room-2, but no such channel"},
			{"UPDATE messages SET reply_count = 9 WHERE id = 3", "UPDATE messages SET reply_count = 2 WHERE id = 3", "replies fail message 3 says it has 9 replies, it has 2"},
			{"UPDATE bus SET indexed_id = 20", "UPDATE bus SET indexed_id = 30", "index fail 10 messages are in the search index before its head"},
			{"UPDATE positions SET read_id = 99, shown_id = 99", "UPDATE positions SET read_id = 7, shown_id = 7", "positions fail 1 read positions lie beyond the newest message"},
			{"UPDATE positions SET read_id = 9", "UPDATE positions SET read_id = 7", "positions fail 1 read positions lie beyond what was shown"},
			{"UPDATE idempotency SET seq = 99 WHERE message_id = 4", "UPDATE idempotency SET seq = 2 WHERE message_id = 4", "positions fail 1 idempotency keys"},
			{"UPDATE bus SET bus_id = ''", "UPDATE bus SET bus_id = 'x'", "ids fail the database has no bus_id"},
			{"UPDATE bus SET pruned_id = 5", "UPDATE bus SET pruned_id = 0", "channels fail the log says that retention removed up to 5, of the channels none lost more than up to 0"},
			{"UPDATE channels SET last_seq = 4 WHERE name = 'general'", "UPDATE channels SET last_seq = 0 WHERE name = 'general'", "channels fail channel general says that its last message is 0"},
			{"UPDATE messages SET seq = seq + 1 WHERE channel = 'room-1'", "UPDATE messages SET seq = seq - 1 WHERE channel = 'room-1'", "channels fail channel room-1 begins with seq 2, although nothing was removed from it"},
			{"INSERT INTO usage VALUES ('nowhere', 5)", "DELETE FROM usage WHERE channel = 'nowhere'", "channels fail 1 sums of bytes are of no channel"},
			{"INSERT INTO participants VALUES ('nowhere', 'x', 5)", "DELETE FROM participants WHERE channel = 'nowhere'", "channels fail 1 participants are in no channel"},
			{"UPDATE shared_data SET size_bytes = 5", "UPDATE shared_data SET size_bytes = 4", "data fail 1 shared texts have not as many bytes as is said of them"},
			{"UPDATE positions SET read_id = -1", "UPDATE positions SET read_id = 7", "positions fail 1 read positions are no ids"},
			{"UPDATE idempotency SET message_id = 99 WHERE message_id = 4", "UPDATE idempotency SET message_id = 4 WHERE message_id = 99", "positions fail 1 idempotency keys name a message beyond the newest"},
			{"DELETE FROM messages WHERE id = 30", "", "index fail 1 messages in the search index are not in the log"},
		} {
			change(t, s, tc.breaks)
			if _, all := verify(t, opt); !strings.Contains(all, tc.want) {
				t.Errorf("%s\nis found as\n%swant %q", tc.breaks, all, tc.want)
			}
			if tc.mends != "" {
				change(t, s, tc.mends)
			}
		}
		change(t, s, "DELETE FROM bus")
		if states, all := verify(t, opt); len(states) != 1 || !strings.Contains(all, "ids fail the row that orders the log is missing") {
			t.Errorf("without its row the log is found as\n%s", all)
		}
	})
}

func change(t *testing.T, s *store.Store, query string) {
	t.Helper()
	if err := s.Transact(context.Background(), func(tx *gorm.DB) error { return tx.Exec(query).Error }); err != nil {
		t.Fatal(query, err)
	}
}
