package hub

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"crosstalk/internal/pgtest"
	"crosstalk/models"
)

// The commit of whatever the sender named slow has written waits, in the database, for whoever holds an advisory lock.
const delaySlow = `
	CREATE FUNCTION crosstalk.delay() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER delay AFTER INSERT ON crosstalk.messages DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW WHEN (NEW.sender = 'slow') EXECUTE FUNCTION crosstalk.delay();
	CREATE SEQUENCE crosstalk.ids;
	SELECT pg_advisory_lock(42)`

// spectator reads all of channel a in some way, and what it likes of others, until it has seen the end.
type spectator struct {
	name string
	mu   sync.Mutex
	seen []string // what was said in channel a
}

func (s *spectator) see(m models.Message) (end bool) {
	if m.Channel != "a" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, m.Content)
	return m.Content == "end"
}

func (s *spectator) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// spectate has every way to read go on in a goroutine of its own.
func spectate(t *testing.T, h *Hub) (list []*spectator, wait func()) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	var all sync.WaitGroup
	watch := func(name string, next func(s *spectator) (end bool, err error)) {
		s := &spectator{name: name}
		list = append(list, s)
		all.Go(func() {
			for {
				if end, err := next(s); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				} else if end {
					return
				}
			}
		})
	}
	page := func(wait time.Duration) func(*spectator) (bool, error) {
		var after int64
		pause := time.NewTicker(5 * time.Millisecond)
		return func(s *spectator) (end bool, err error) {
			<-pause.C
			p, err := h.Messages(ctx, anyone, models.Query{Channel: "a", After: &after, Limit: 3}, wait)
			for _, m := range p.Messages {
				end = s.see(m) || end
			}
			after = p.NextAfterID
			return end, err
		}
	}
	watch("a poller", page(0))
	watch("a long poller", page(20*time.Second))
	for name, channels := range map[string][]string{
		"a subscriber": {"a"}, "a subscriber of two channels": {"a", "b"}, "a subscriber of all": {models.Every},
	} {
		sub := follow(t, h, Subscription{Channels: channels, After: new(int64)})
		watch(name, func(s *spectator) (end bool, err error) {
			got, err := sub.Next(ctx, nil, 4<<10)
			for _, e := range got {
				end = s.see(e.Message) || end
			}
			if end || err != nil {
				sub.Close()
			}
			return end, err
		})
	}
	return list, func() { all.Wait(); cancel() }
}

// delayed has one transaction wait with its commit, while others write and everybody reads, and returns what each
// reader saw of channel a.
func delayed(t *testing.T, url string, publish func(t *testing.T, n int, ch, sender, content string), pass bool) (seen map[string][]string) {
	watcher := node(t, url, 0)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), delaySlow); err != nil {
		t.Fatal(err)
	}
	waiting := func(least int) func() bool {
		return func() (enough bool) {
			const query = "SELECT count(*) >= $1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
			if err := conn.QueryRow(t.Context(), query, least).Scan(&enough); err != nil {
				t.Fatal(err)
			}
			return enough
		}
	}
	spectators, end := spectate(t, watcher)
	var writers sync.WaitGroup
	writers.Go(func() { publish(t, 0, "a", "slow", "slow") })
	eventually(t, "the slow one waits to be committed", waiting(1))
	for n := range 3 {
		writers.Go(func() {
			for i := range 5 {
				publish(t, n, []string{"a", "b"}[i%2], "fast", fmt.Sprint("fast ", n, " ", i))
			}
		})
	}
	if pass {
		for _, s := range spectators {
			eventually(t, s.name+" goes on", func() bool { return len(s.all()) >= 3 })
		}
	} else {
		eventually(t, "the others wait for the slow one", waiting(3))
	}
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_unlock(42)"); err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	publish(t, 1, "a", "fast", "end")
	end()
	seen = map[string][]string{}
	for _, s := range spectators {
		seen[s.name] = s.all()
	}
	return seen
}

func TestNobodySkipsADelayedCommit(t *testing.T) {
	url := pgtest.Start(t)
	hubs := []*Hub{node(t, url, 0), node(t, url, 0), node(t, url, 0)}
	seen := delayed(t, url, func(t *testing.T, n int, ch, sender, content string) {
		say(t, hubs[n], ch, sender, content)
	}, false)
	log, err := hubs[0].Messages(t.Context(), anyone, models.Query{Channel: "a", After: new(int64)}, 0)
	if err != nil || len(log.Messages) != 11 {
		t.Fatalf("%d messages in the log: %v", len(log.Messages), err)
	}
	var want []string
	for _, m := range log.Messages {
		want = append(want, m.Content)
	}
	for name, got := range seen {
		if !slices.Equal(got, want) {
			t.Errorf("%s saw %q\nthe log says %q", name, got, want)
		}
	}
}

// TestADelayedCommitIsSkippedWhereIDsComeFromASequence shows that the test above can fail: the same readers, and a log
// whose ids are taken when a message is written and seen when it is committed.
func TestADelayedCommitIsSkippedWhereIDsComeFromASequence(t *testing.T) {
	url := pgtest.Start(t)
	seen := delayed(t, url, func(t *testing.T, _ int, ch, sender, content string) {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(ctx) }()
		var id int64
		err = conn.QueryRow(ctx, `INSERT INTO crosstalk.messages (id, seq, channel, sender, kind, verified, message_type, created_at, content)
			SELECT id, id, $1, $2, 'agent', false, 'message', 0, $3 FROM nextval('crosstalk.ids') AS id RETURNING id`, ch, sender, content).Scan(&id)
		if err == nil {
			_, err = conn.Exec(ctx, "UPDATE crosstalk.bus SET last_id = greatest(last_id, $1)", id)
		}
		if err != nil {
			t.Error(err)
		}
	}, true)
	for name, got := range seen {
		if slices.Contains(got, "slow") || !slices.Contains(got, "end") {
			t.Errorf("%s has not skipped the slow message: %q", name, got)
		}
	}
}
