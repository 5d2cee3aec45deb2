package postgres

import (
	"errors"
	"testing"
	"time"

	"gorm.io/gorm"

	"crosstalk/internal/pgtest"
	"crosstalk/models"
	"crosstalk/models/store/ledger"
)

// post appends one message and says how often it was planned.
func post(db *DB, content string) (planned int, err error) {
	err = db.Append(ledger.Ask{Channels: []string{"room"}}, func(h ledger.Head) *ledger.Batch {
		planned++
		id := h.LastID + 1
		return &ledger.Batch{
			At:       models.TimeOf(time.Now()),
			Messages: []models.Message{{ID: id, Channel: "room", Sender: "alice", Kind: models.KindAgent, Type: models.TypeMessage, Content: content}},
			Tails:    []ledger.Tail{{Channel: "room", Count: 1, LastID: id}},
		}
	})
	return planned, err
}

// change runs a statement past everything.
func change(t *testing.T, db *DB, statement string) {
	t.Helper()
	if _, err := db.reads.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

const count = "SELECT count(*) FROM crosstalk.messages"

func TestACommitWhoseAnswerWasLostIsLookedUp(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fate          fate
		shut          bool
		planned, here int
		unknown       bool
	}{
		"it was committed":              {isUnanswered, false, 1, 2, false},
		"it never arrived":              {isCut, false, 2, 2, false},
		"the network has gone silent":   {goesNoWhere, false, 2, 2, false},
		"nobody can be asked":           {isUnanswered, true, 1, 2, true},
		"nobody can be asked, and lost": {isCut, true, 1, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := pgtest.Start(t)
			p, through := between(t, direct, "fateful")
			db, straight := open(t, through), open(t, direct)
			db.config.wait(200 * time.Millisecond)
			db.patience = 500 * time.Millisecond
			if _, err := post(db, "first"); err != nil {
				t.Fatal(err)
			}
			db.mu.Lock()
			db.drop() // the next one waits no longer than we told it to
			db.mu.Unlock()
			p.next(tc.fate, tc.shut)
			planned, err := post(db, "fateful")
			if planned != tc.planned || errors.Is(err, ledger.ErrUnknown) != tc.unknown || !tc.unknown && err != nil {
				t.Errorf("planned %d times, not %d: %v", planned, tc.planned, err)
			}
			if got := read[int](t, straight, count); got != tc.here {
				t.Errorf("%d messages are there, not %d", got, tc.here)
			}
			// Afterwards all is as before, and each message once.
			p.next(arrives, false)
			if _, err := post(db, "last"); err != nil {
				t.Error(err)
			}
			if got := read[int](t, straight, "SELECT last_id FROM crosstalk.bus"); got != tc.here+1 {
				t.Errorf("the log ends at %d", got)
			}
			if got := read[int](t, straight, "SELECT last_seq FROM crosstalk.channels WHERE name = 'room'"); got != tc.here+1 {
				t.Errorf("the channel ends at %d", got)
			}
		})
	}
}

func TestWhatComesToNothingIsRunAnew(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"40001", "40P01"} {
		db := open(t, pgtest.Start(t))
		change(t, db, "CREATE SEQUENCE crosstalk.attempts")
		change(t, db, `CREATE FUNCTION crosstalk.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('crosstalk.attempts') % 3 > 0 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '`+code+`'; END IF; RETURN NULL; END $$`)
		change(t, db, "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON crosstalk.messages DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crosstalk.fail()")
		change(t, db, "CREATE TRIGGER fail AFTER INSERT ON crosstalk.nodes FOR EACH ROW EXECUTE FUNCTION crosstalk.fail()")
		if planned, err := post(db, "x"); err != nil || planned != 3 {
			t.Errorf("%s: planned %d times: %v", code, planned, err)
		}
		runs := 0
		err := db.Transact(t.Context(), func(tx *gorm.DB) error {
			runs++
			return tx.Exec("INSERT INTO nodes (id, seen_at) VALUES (?, 1)", "x").Error
		})
		if err != nil || runs != 3 {
			t.Errorf("%s: run %d times: %v", code, runs, err)
		}
		if got := read[int](t, db, count); got != 1 {
			t.Errorf("%s: %d messages", code, got)
		}
	}
}

func TestWhatIsWrongIsNotRunAnew(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.Start(t))
	change(t, db, "ALTER TABLE crosstalk.messages ADD CHECK (content <> 'wrong')")
	if planned, err := post(db, "wrong"); err == nil || planned != 1 {
		t.Errorf("planned %d times: %v", planned, err)
	}
	if planned, err := post(db, "right"); err != nil || planned != 1 {
		t.Errorf("planned %d times: %v", planned, err)
	}
	runs := 0
	err := db.Transact(t.Context(), func(tx *gorm.DB) error {
		runs++
		return models.Errorf(models.Invalid, "no")
	})
	if models.CodeOf(err) != models.Invalid || runs != 1 {
		t.Errorf("run %d times: %v", runs, err)
	}
	// A statement's error that fn keeps to itself does not become a commit.
	err = db.Transact(t.Context(), func(tx *gorm.DB) error {
		tx.Exec("INSERT INTO nodes (id, seen_at) VALUES ('x', 1)")
		tx.Exec("SELECT 1 / 0")
		return nil
	})
	if err == nil || read[int](t, db, "SELECT count(*) FROM crosstalk.nodes") != 0 {
		t.Errorf("committed: %v", err)
	}
}

func TestLostConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t)
	db, other := open(t, url), open(t, url)
	for round := range 3 {
		if _, err := post(db, "x"); err != nil {
			t.Error(err)
		}
		if err := db.Transact(t.Context(), func(tx *gorm.DB) error { return tx.Exec("UPDATE bus SET last_at = last_at").Error }); err != nil {
			t.Error(err)
		}
		var last int
		if err := db.Reader(t.Context()).Raw("SELECT last_id FROM bus").Scan(&last).Error; err != nil || last != round+1 {
			t.Errorf("the log ends at %d: %v", last, err)
		}
		change(t, other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	}
}

func TestOneProcessTendsAtATime(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t)
	db, other := open(t, url), open(t, url)
	other.node = "other"
	done, err := db.Tend(t.Context())
	if err != nil || done == nil {
		t.Fatalf("nobody tends, and yet: %v", err)
	}
	if theirs, err := other.Tend(t.Context()); err != nil || theirs != nil {
		t.Errorf("two tend: %v", err)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	if done, err = other.Tend(t.Context()); err != nil || done == nil {
		t.Fatalf("nobody tends any more, and yet: %v", err)
	}
	// One that has died is waited for only so long.
	change(t, db, "UPDATE crosstalk.tending SET until = until - interval '"+lease+"'")
	if done, err = db.Tend(t.Context()); err != nil || done == nil {
		t.Errorf("a dead one is waited for: %v", err)
	}
}

func TestAURLSaysHow(t *testing.T) {
	t.Parallel()
	for url, pooled := range map[string]bool{
		"postgres://h/d": false, "postgres://h/d?pgbouncer=false": false, "postgres://h/d?pgbouncer=true": true,
		"postgres://h/d?default_query_exec_mode=exec": true, "postgres://h/d?default_query_exec_mode=simple_protocol": true,
	} {
		c, err := parse(url)
		if err != nil || c.pooled != pooled || (c.RuntimeParams["statement_timeout"] == "") != pooled || (len(c.begin()) > 1) != pooled {
			t.Errorf("%s: pooled %v, %v, %v", url, c.pooled, c.RuntimeParams, err)
		}
	}
	if c, err := parse("postgres://h/d?statement_timeout=7&application_name=x"); err != nil || c.RuntimeParams["statement_timeout"] != "7" || c.RuntimeParams["application_name"] != "x" {
		t.Errorf("%v, %v", c.RuntimeParams, err)
	}
	if _, err := parse("postgres://h/d?pgbouncer=perhaps"); err == nil {
		t.Error("perhaps is an answer")
	}
}

func TestEveryTableIsOurs(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`SELECT last_id FROM bus`:                               `SELECT last_id FROM crosstalk.bus`,
		`SELECT * FROM "shared_data" WHERE key = $1`:            `SELECT * FROM crosstalk."shared_data" WHERE key = $1`,
		`INSERT INTO "waits" ("wait") VALUES ($1)`:              `INSERT INTO crosstalk."waits" ("wait") VALUES ($1)`,
		"UPDATE channels SET last_id = 1":                       "UPDATE crosstalk.channels SET last_id = 1",
		"DELETE FROM waits WHERE id IN (SELECT id FROM\nwaits)": "DELETE FROM crosstalk.waits WHERE id IN (SELECT id FROM\ncrosstalk.waits)",
		"SELECT 1 FROM participants JOIN instances ON true":     "SELECT 1 FROM crosstalk.participants JOIN crosstalk.instances ON true",
		"ON CONFLICT (id) DO UPDATE SET nodes = 1":              "ON CONFLICT (id) DO UPDATE SET nodes = 1",
		"SELECT 1 FROM busy JOIN crosstalk.bus ON true":         "SELECT 1 FROM busy JOIN crosstalk.bus ON true",
	} {
		if got := qualify(query); got != want {
			t.Errorf("%q became %q", query, got)
		}
	}
}
