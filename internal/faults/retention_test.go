package faults

import (
	"path/filepath"
	"testing"
	"time"
)

// TestKillDuringRetention kills the server while it indexes, removes messages and makes its search index anew.
func TestKillDuringRetention(t *testing.T) {
	random, _ := chance(t)
	db := filepath.Join(t.TempDir(), "bus.db")
	s := newServer(t, crosstalk(t), db, "--keep-messages", "1000")
	s.start(t)
	s.kill()
	file := openFile(t, db)
	for _, statement := range []string{
		`INSERT INTO messages (id, seq, channel, sender, kind, verified, message_type, created_at, content)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24000)
			SELECT i, (i + 1) / 2, 'room-' || (i % 2), 'alice', 'agent', 0, 'message', unixepoch() * 1000, 'words of message ' || i FROM n`,
		`INSERT INTO channels (name, created_at, last_seq, message_count, last_id, last_message_at)
			SELECT channel, 0, count(*), count(*), max(id), max(created_at) FROM messages GROUP BY channel`,
		"UPDATE bus SET last_id = 24000, last_at = (SELECT max(created_at) FROM messages)",
	} {
		if _, err := file.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		s.launch(t)
		<-time.After(time.Duration(500+random.IntN(500)) * time.Millisecond) // it begins after 500
		s.kill()
	}
	s.launch(t)
	eventually(t, 30*time.Second, "what is too old is gone, and the index made anew", func() bool {
		var left, stale int
		if err := file.QueryRow("SELECT count(*), (SELECT stale FROM bus) FROM messages").Scan(&left, &stale); err != nil {
			t.Fatal(err)
		}
		return left == 1000 && stale <= 11000
	})
	if err := run(crosstalk(t), "verify", "--db", db); err != nil {
		t.Error(err)
	}
	s.lacksTrace(t)
}
