package faults

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	_ "github.com/glebarez/go-sqlite"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// ask gets a page of JSON and returns its status.
func ask(t *testing.T, s *server, path string, into any) int {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	res, err := c.Get("http://" + s.at() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("GET %s: %s: %v", path, res.Status, err)
	}
	return res.StatusCode
}

// overREST reads all messages of the publishers' channels.
func overREST(t *testing.T, s *server) (all []row) {
	t.Helper()
	for _, channel := range channels {
		for after, more := int64(0), true; more; {
			var page struct {
				Messages []row
				Next     int64 `json:"next_after_id"`
				More     bool
			}
			if status := ask(t, s, fmt.Sprintf("/api/messages/%s?after_id=%d&limit=200", channel, after), &page); status != http.StatusOK {
				t.Fatalf("reading %s: status %d", channel, status)
			}
			all = append(all, page.Messages...)
			after, more = page.Next, page.More
		}
	}
	slices.SortFunc(all, func(a, b row) int { return int(a.ID - b.ID) })
	return all
}

// openFile opens the database without the program.
func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// inFile reads all messages from the database itself, and checks what is counted there.
func inFile(t *testing.T, path string) (all []row) {
	t.Helper()
	db := openFile(t, path)
	defer func() { _ = db.Close() }()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity_check: %s %v", verdict, err)
	}
	return inDatabase(t, db)
}

// inPostgres does so for a PostgreSQL database.
func inPostgres(t *testing.T, url string) (all []row) {
	t.Helper()
	db, err := sql.Open("pgx", url+"&search_path=crosstalk")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	return inDatabase(t, db)
}

func inDatabase(t *testing.T, db *sql.DB) (all []row) {
	t.Helper()
	rows, err := db.Query("SELECT id, seq, channel, sender, content, in_reply_to, reply_count FROM messages ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var m row
		if err := rows.Scan(&m.ID, &m.Seq, &m.Channel, &m.Sender, &m.Content, &m.Parent, &m.Replies); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for what, query := range map[string]string{
		"the head is not the last message":     "SELECT count(*) FROM bus WHERE last_id <> (SELECT coalesce(max(id), 0) FROM messages)",
		"channels count wrongly":               "SELECT count(*) FROM channels c LEFT JOIN (SELECT channel, count(*) n, max(id) last, max(seq) seq FROM messages GROUP BY channel) m ON m.channel = c.name WHERE (c.message_count, coalesce(c.last_id, 0), c.last_seq) <> (coalesce(n, 0), coalesce(last, 0), coalesce(seq, 0))",
		"keys belong to no message":            "SELECT count(*) FROM idempotency k LEFT JOIN messages m ON m.id = k.message_id AND m.seq = k.seq AND m.sender = k.sender WHERE m.id IS NULL",
		"messages have lost their key":         "SELECT count(*) FROM messages m LEFT JOIN idempotency k ON k.message_id = m.id WHERE k.message_id IS NULL",
		"the search index is ahead of the log": "SELECT count(*) FROM bus WHERE indexed_id > last_id",
	} {
		var n int
		if err := db.QueryRow(query).Scan(&n); err != nil || n > 0 {
			t.Errorf("%s: %d %v", what, n, err)
		}
	}
	return all
}

// whole checks that what is stored is a log without holes, of messages that were sent, each once, and that every
// acknowledgement is true.
func whole(t *testing.T, l *load, stored []row, acks []ack) {
	t.Helper()
	for _, problem := range problems(l.seed, stored, acks) {
		t.Error(problem)
	}
	if len(acks) == 0 {
		t.Error("nothing was acknowledged, so nothing is proved")
	}
}

// only checks that nothing else is stored than what was acknowledged.
func only(t *testing.T, stored []row, acks []ack) {
	t.Helper()
	if len(stored) != len(acks) {
		t.Errorf("%d messages are stored, %d were acknowledged", len(stored), len(acks))
	}
}

// problems returns at most ten.
func problems(seed uint64, stored []row, acks []ack) (found []string) {
	say := func(format string, args ...any) {
		if len(found) < 10 {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	type name struct{ publisher, n int }
	once, seqs, replies := map[name]int64{}, map[string]int64{}, map[int64]int64{}
	for i, m := range stored {
		if m.ID != int64(i)+1 {
			say("message %d stands at place %d", m.ID, i+1)
		}
		if seqs[m.Channel]++; m.Seq != seqs[m.Channel] {
			say("message %d of %s has seq %d, not %d", m.ID, m.Channel, m.Seq, seqs[m.Channel])
		}
		var k name
		if _, err := fmt.Sscanf(m.Content, "%d/%d ", &k.publisher, &k.n); err != nil {
			say("message %d is none that was sent: %.60q", m.ID, m.Content)
			continue
		}
		if first := once[k]; first > 0 {
			say("message %d is stored again as %d", first, m.ID)
		}
		once[k] = m.ID
		channel, content := draft(seed, k.publisher, k.n)
		if m.Channel != channel || m.Content != content || m.Sender != fmt.Sprintf("publisher-%d", k.publisher) {
			say("message %d is not as it was sent: %s %s %.60q", m.ID, m.Channel, m.Sender, m.Content)
		}
		if m.Parent != nil {
			replies[*m.Parent]++
		}
	}
	for _, m := range stored {
		if m.Replies != replies[m.ID] {
			say("message %d has %d replies and counts %d", m.ID, replies[m.ID], m.Replies)
		}
	}
	for _, a := range acks {
		if a.id < 1 || a.id > int64(len(stored)) {
			say("message %d was acknowledged and is not there: the last is %d", a.id, len(stored))
			continue
		}
		m := stored[a.id-1]
		parent := int64(0)
		if m.Parent != nil {
			parent = *m.Parent
		}
		if once[name{a.publisher, a.n}] != a.id || m.Seq != a.seq || m.Channel != a.channel || parent != a.parent {
			say("message %d was acknowledged as %+v and is %d in %s: %.60q", a.id, a, m.Seq, m.Channel, m.Content)
		}
	}
	return found
}
