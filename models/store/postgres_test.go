package store

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"crosstalk/internal/eventually"
	"crosstalk/internal/pgtest"
	"crosstalk/models"
)

func TestPostgreSQL(t *testing.T) {
	contract(t, func(t testing.TB) database { return server(pgtest.Start(t)) })
}

// TestPostgreSQLThroughAPooler holds all promises again without anything that a session would have to remember.
func TestPostgreSQLThroughAPooler(t *testing.T) {
	contract(t, func(t testing.TB) database { return server(withParameter(pgtest.Start(t), "pgbouncer", "true")) })
}

// TestEightNodesWriteFiftyChannels has all write to all, with replies and keys, while other things change, too.
func TestEightNodesWriteFiftyChannels(t *testing.T) {
	t.Parallel()
	const nodes, senders, each, rooms = 8, 4, 40, 50
	url := pgtest.Start(t)
	db := server(url)
	ctx := context.Background()
	var all sync.WaitGroup
	for n := range nodes {
		s := db.open(t, Options{Keep: time.Hour})
		for sender := range senders {
			all.Go(func() {
				for i := range each {
					// Each goes through the channels in an order of its own.
					ch := fmt.Sprint("room-", (i*(2*n+1)+7*sender)%rooms)
					a := say(ch, fmt.Sprint("agent-", n, sender), fmt.Sprint(i))
					if i > 0 {
						a.InReplyTo = int64(i)
					}
					if i%5 == 0 {
						a.IdempotencyKey = fmt.Sprint(i)
					}
					first := post(t, s, a)
					if a.IdempotencyKey == "" {
						continue
					}
					if again := post(t, s, a); again.ID != first.ID || !again.Duplicate {
						t.Errorf("%+v after %+v", again, first)
					}
				}
			})
		}
		all.Go(func() {
			for i := range each / 8 {
				ch := fmt.Sprint("room-", (i*13+n)%rooms)
				must(t, s.CreateChannel(ctx, ch, fmt.Sprint("of node ", n), true))
				must(t, s.Pause(ctx, "room-"+fmt.Sprint(rooms), "")) // which nobody writes to
				must(t, s.Resume(ctx, "room-"+fmt.Sprint(rooms)))
				must(t, s.Register(ctx, models.Registration{ID: fmt.Sprint("agent-", n), Kind: models.KindAgent}))
				must(t, s.Seen(ctx, []Sign{{ID: "agent-0", At: 1}, {ID: fmt.Sprint("agent-", n), At: 2}}, true))
				if _, err := s.index(ctx); err != nil {
					t.Error(err)
				}
				if _, err := s.prune(ctx, nil, time.Now(), time.Now()); err != nil {
					t.Error(err)
				}
			}
		})
		if n == 0 {
			create(t, s, "room-"+fmt.Sprint(rooms), "")
		}
	}
	all.Wait()
	s := db.open(t, Options{})
	if got := everything(t, s); len(got) != nodes*senders*each {
		t.Errorf("%d messages are there, not %d", len(got), nodes*senders*each)
	}
	verify(t, s)
	var deadlocks int
	err := connect(t, url).QueryRow(ctx, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks)
	if err != nil || deadlocks > 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
}

// TestASilentChannelIsReadByItsIndex has the server believe that every second message is of a channel whose messages all
// are the oldest: walking back through the log would pass over all others.
func TestASilentChannelIsReadByItsIndex(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t)
	s := server(url).open(t, Options{})
	conn := connect(t, url)
	change(t, conn, `INSERT INTO crosstalk.messages (id, seq, channel, sender, kind, verified, message_type, created_at, content, in_reply_to)
		SELECT i, i, CASE WHEN i <= 5000 THEN 'silent' ELSE 'loud' END, 'a', 'agent', false, 'message', 0, 'rare' || i || ' common', CASE WHEN i BETWEEN 2 AND 5000 THEN 1 END
		FROM generate_series(1, 10000) AS i`)
	change(t, conn, "INSERT INTO crosstalk.message_words SELECT id, array_to_tsvector(string_to_array(content, ' ')) FROM crosstalk.messages")
	change(t, conn, "UPDATE crosstalk.bus SET last_id = 10000, indexed_id = 10000")
	change(t, conn, "ANALYZE crosstalk.messages, crosstalk.message_words")
	for name, tx := range map[string]*gorm.DB{
		"the newest":  s.Reader(t.Context()).Where("channel = ? AND "+s.words.InChannel()+" <= ?", "silent", 10000).Order(s.words.InChannel() + " DESC").Limit(21),
		"the replies": s.Reader(t.Context()).Where("in_reply_to = ?", 1).Order(s.words.InChannel()).Limit(50),
	} {
		if text := planOf(t, s, tx); !strings.Contains(text, "messages_by_") || strings.Contains(text, "Sort") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	for text, want := range map[string][]int64{"rare123": {123}, "common": sequence(9998, 10000), "rare9 common": {9}} {
		s.young = 0
		found, err := s.Search(t.Context(), models.Search{Text: text, Limit: 3})
		slices.Reverse(found)
		if err != nil || !slices.Equal(idsOf(found), want) {
			t.Errorf("%q: %v, %v", text, idsOf(found), err)
		}
	}
}

// TestAPieceIsLookedForInTheNewestOnly has the server know nothing of the messages, or what was so when there were few.
// A plan is what it would do: it is not timed.
func TestAPieceIsLookedForInTheNewestOnly(t *testing.T) {
	t.Parallel()
	const add = `INSERT INTO crosstalk.messages (id, seq, channel, sender, kind, verified, message_type, created_at, content)
		SELECT i, i, 'room-' || i % $3, 'a', 'agent', false, 'message', 0, repeat('some words ', 20) FROM generate_series($1::bigint, $2::bigint) AS i`
	for name, known := range map[string]int{"nothing": -1, "that there are none": 0, "few": 1000, "most": 9000} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.Start(t)
			s := server(url).open(t, Options{})
			conn := connect(t, url)
			change(t, conn, add, 1, known, 1)
			if known >= 0 {
				change(t, conn, "ANALYZE crosstalk.messages")
			}
			change(t, conn, add, max(known, 0)+1, 30_000, 100)
			for _, q := range []models.Search{
				{}, {Channel: "room-0"}, {Channel: "room-7"}, {Channel: "void"}, {Sender: "a"}, {Sender: "nobody"},
				{Channel: "room-7", Sender: "nobody"}, {Only: "room-7"}, {Only: "room-1*,void"}, {Only: "room-*", Sender: "nobody"},
			} {
				for what, tx := range map[string]*gorm.DB{
					"a piece":            s.among(t.Context(), q, 20_000, 30_000, s.words.Contains("content", "transporter")).Limit(10),
					"what is to be read": s.among(t.Context(), q, 28_000, 30_000).Limit(indexBatch),
				} {
					if plan := planOf(t, s, tx); !strings.Contains(plan, "messages_pkey") || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "by_channel") {
						t.Errorf("%s, %+v:\n%s", what, q, plan)
					}
				}
			}
		})
	}
}

// planOf is how the server would read messages.
func planOf(t testing.TB, s *Store, tx *gorm.DB) string {
	t.Helper()
	var plan []string
	statement := tx.Session(&gorm.Session{DryRun: true}).Table("messages").Find(&[]models.Message{}).Statement
	scan(t, s, &plan, "EXPLAIN "+s.Reader(t.Context()).Dialector.Explain(statement.SQL.String(), statement.Vars...))
	return strings.Join(plan, "\n")
}

// TestTheIndexIsSortedAtEase is why a rare word is found fast: what the server has only taken note of it reads for each search.
func TestTheIndexIsSortedAtEase(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t)
	s := server(url).open(t, Options{})
	conn := connect(t, url)
	change(t, conn, "CREATE EXTENSION pgstattuple")
	for i := range 20 {
		if _, err := s.Append(t.Context(), Append{Draft: draft(i, "some words"), Principal: models.SharedPrincipal}); err != nil {
			t.Fatal(err)
		}
	}
	eventually.True(t, "all is in the index proper", func() bool {
		var indexed, noted int
		err := conn.QueryRow(t.Context(), "SELECT indexed_id, pending_tuples FROM crosstalk.bus, pgstatginindex('crosstalk.message_words_by_word')").Scan(&indexed, &noted)
		if err != nil {
			t.Fatal(err)
		}
		return indexed == 20 && noted == 0
	})
}

// connect makes a connection to a database of its own, past every Store.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), withParameter(url, "pgbouncer", ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// change runs statements on it.
func change(t testing.TB, conn *pgx.Conn, statements string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), statements, args...); err != nil {
		t.Fatal(err)
	}
}

// server is a database of a PostgreSQL server.
func server(url string) database {
	return database{
		open: func(t testing.TB, opt Options) *Store {
			opt.URL = url
			return open(t, "", opt)
		},
		hold: func(t testing.TB) func() {
			conn := connect(t, url)
			taken := false
			eventually.True(t, "the lock is taken", func() bool {
				done, err := conn.Exec(context.Background(), "UPDATE crosstalk.tending SET node = 'test', until = 'infinity' WHERE until < now()")
				if err != nil {
					t.Error(err)
				}
				taken = err != nil || done.RowsAffected() == 1
				return taken
			})
			return sync.OnceFunc(func() { change(t, conn, "UPDATE crosstalk.tending SET until = '-infinity' WHERE node = 'test'") })
		},
		block: func(t testing.TB) func() {
			conn := connect(t, url)
			change(t, conn, "BEGIN; SELECT last_id FROM crosstalk.bus FOR UPDATE")
			release := sync.OnceFunc(func() { change(t, conn, "ROLLBACK") })
			t.Cleanup(release)
			return release
		},
		indexed: func(t testing.TB, s *Store) (ids []int64) {
			t.Helper()
			scan(t, s, &ids, "SELECT id FROM message_words ORDER BY id")
			return ids
		},
	}
}

// withParameter adds a parameter to a URL.
func withParameter(raw, name, value string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	q := u.Query()
	if q.Del(name); value != "" {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
