package inspect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"crosstalk/models/store/sqlite"
)

// Finding is what came of one check.
type Finding struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warn or fail
	Text  string `json:"text"`
}

// shown is how many faults of a check are named; the others are counted.
const shown = 10

// verifier recounts.
type verifier struct {
	*Source
	ctx      context.Context
	tell     func(done, all int64)
	bus      bus
	messages int64
	channels map[string]*channel
	order    check
}

// bus is what the row says that orders the log.
type bus struct {
	id                                  string
	lastID, lastAt, prunedID, indexedID int64
}

// channel is what was read of one.
type channel struct {
	count, first, last, begin, seq, at, bytes int64 // begin is the seq of the first, seq that of the last
}

// check gathers the faults of one check.
type check struct {
	faults []string
	n      int
}

func (c *check) fault(format string, args ...any) {
	if c.n++; c.n <= shown {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

// Verify holds the database against what the store promises, and reports each check to say as it ends. tell hears how
// many messages were read, of how many.
func (s *Source) Verify(ctx context.Context, tell func(done, all int64), say func(Finding) error) error {
	v := &verifier{Source: s, ctx: ctx, tell: tell, channels: map[string]*channel{}}
	err := s.tx.QueryRowContext(ctx, "SELECT bus_id, last_id, last_at, pruned_id, indexed_id FROM bus").Scan(&v.bus.id, &v.bus.lastID, &v.bus.lastAt, &v.bus.prunedID, &v.bus.indexedID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return say(Finding{"ids", "fail", "the row that orders the log is missing: nothing can be held against it, and nothing be stored"})
	case err != nil:
		return err
	}
	for _, step := range []struct {
		name string
		run  func(*check) (good string, err error)
	}{
		{"file", v.checkFile}, {"ids", v.checkIDs}, {"seq", v.checkSeqs}, {"channels", v.checkChannels},
		{"replies", v.checkReplies}, {"data", v.checkData}, {"index", v.checkIndex}, {"positions", v.checkPositions},
	} {
		var c check
		good, err := step.run(&c)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		for _, text := range c.faults {
			if err := say(Finding{step.name, "fail", text}); err != nil {
				return err
			}
		}
		if more := c.n - len(c.faults); more > 0 {
			err = say(Finding{step.name, "fail", fmt.Sprintf("and %d more", more)})
		} else if c.n == 0 && good != "" {
			err = say(Finding{step.name, "ok", good})
		}
		if err != nil {
			return err
		}
	}
	return s.still()
}

func (v *verifier) checkFile(c *check) (string, error) {
	if v.file == "" {
		return "", nil
	}
	if err := sqlite.Whole(v.ctx, v.tx); err != nil {
		if v.ctx.Err() != nil {
			return "", err
		}
		c.fault("%v", err)
	}
	return "SQLite finds nothing damaged", nil
}

// checkIDs reads the log, once for all checks that need each message.
func (v *verifier) checkIDs(c *check) (string, error) {
	var last, at, missing int64
	var all sql.NullInt64
	if err := v.tx.QueryRowContext(v.ctx, "SELECT CAST(sum(message_count) AS BIGINT) FROM channels").Scan(&all); err != nil {
		return "", err
	}
	err := v.each(v.ctx, "SELECT id, seq, channel, in_reply_to, created_at, octet_length(content) FROM messages ORDER BY id", func(scan func(...any) error) error {
		var id, seq, created, bytes int64
		var parent sql.NullInt64
		var name string
		if err := scan(&id, &seq, &name, &parent, &created, &bytes); err != nil {
			return err
		}
		v.messages++
		if v.messages%10_000 == 0 {
			v.tell(v.messages, max(all.Int64, v.messages))
		}
		if before := max(last, v.bus.prunedID); id > before { // up to there retention may have removed any
			missing += id - before - 1
		}
		if created < at {
			c.fault("message %d has an earlier time than the one before", id)
		}
		if parent.Valid && parent.Int64 >= id {
			c.fault("message %d answers %d, which does not come before it", id, parent.Int64)
		}
		last, at = id, created
		v.read(id, seq, name, created, bytes)
		return nil
	})
	if err != nil {
		return "", err
	}
	if v.bus.id == "" {
		c.fault("the database has no bus_id, by which clients tell it from others")
	}
	if want := max(last, v.bus.prunedID); v.bus.lastID != want {
		c.fault("the log says that its last id is %d, it is %d", v.bus.lastID, want)
	}
	if v.bus.lastAt < at {
		c.fault("the log says that its last time is %d, the newest message has %d", v.bus.lastAt, at)
	}
	if v.bus.indexedID > v.bus.lastID {
		c.fault("the index says that it knows message %d, the last is %d", v.bus.indexedID, v.bus.lastID)
	}
	good := fmt.Sprintf("%d messages up to %d, in order", v.messages, v.bus.lastID)
	if missing > 0 {
		good += fmt.Sprintf("; %d ids have no message, as an import leaves them", missing)
	}
	return good, nil
}

// read takes in one message. The sequence numbers of a channel have no holes, whoever wrote them.
func (v *verifier) read(id, seq int64, name string, at, bytes int64) {
	ch := v.channels[name]
	if ch == nil {
		ch = &channel{first: id, begin: seq, seq: seq - 1}
		v.channels[name] = ch
	}
	if seq != ch.seq+1 {
		v.order.fault("message %d in %s has seq %d, not %d", id, name, seq, ch.seq+1)
	}
	ch.count++
	ch.last, ch.seq, ch.at = id, seq, at
	if id <= v.bus.indexedID {
		ch.bytes += bytes
	}
}

func (v *verifier) checkSeqs(c *check) (string, error) {
	*c = v.order
	return fmt.Sprintf("without a hole in each of %d channels that have messages", len(v.channels)), nil
}

func (v *verifier) checkChannels(c *check) (string, error) {
	n, most := 0, int64(0)
	left := maps.Clone(v.channels)
	const query = `SELECT c.name, c.last_seq, c.message_count, coalesce(c.last_id, 0), coalesce(c.last_message_at, 0), c.pruned_id, coalesce(u.bytes, 0)
		FROM channels AS c LEFT JOIN usage AS u ON u.channel = c.name ORDER BY c.name`
	err := v.each(v.ctx, query, func(scan func(...any) error) error {
		var name string
		var seq, count, last, at, pruned, bytes int64
		if err := scan(&name, &seq, &count, &last, &at, &pruned, &bytes); err != nil {
			return err
		}
		n++
		most = max(most, pruned)
		is := left[name]
		delete(left, name)
		if is == nil {
			if is = (&channel{seq: seq, last: last, at: at, first: pruned + 1, begin: 1}); seq > 0 && (last != pruned || pruned == 0) {
				c.fault("channel %s says that its last message is %d, it has none and lost those up to %d to retention", name, last, pruned)
			}
		}
		for _, f := range []struct {
			what      string
			says, has int64
		}{
			{"message_count", count, is.count}, {"last_seq", seq, is.seq}, {"last_id", last, is.last},
			{"last_message_at", at, is.at}, {"bytes", bytes, is.bytes},
		} {
			if f.says != f.has {
				c.fault("channel %s says %s is %d, it is %d", name, f.what, f.says, f.has)
			}
		}
		if pruned == 0 && is.begin != 1 {
			c.fault("channel %s begins with seq %d, although nothing was removed from it", name, is.begin)
		}
		if is.first <= pruned {
			c.fault("channel %s says that all up to %d were removed, %d is there", name, pruned, is.first)
		}
		return nil
	})
	for _, name := range slices.Sorted(maps.Keys(left)) {
		c.fault("there are messages in %s, but no such channel", name)
	}
	if err == nil && most != v.bus.prunedID {
		c.fault("the log says that retention removed up to %d, of the channels none lost more than up to %d", v.bus.prunedID, most)
	}
	return fmt.Sprintf("%d, and their counts are right", n), errors.Join(err, v.counts(c, map[string]string{
		"sums of bytes are of no channel": "SELECT count(*) FROM usage WHERE channel NOT IN (SELECT name FROM channels)",
		"participants are in no channel":  "SELECT count(*) FROM participants WHERE channel NOT IN (SELECT name FROM channels)",
	}))
}

func (v *verifier) checkReplies(c *check) (string, error) {
	const query = `SELECT id, reply_count, n FROM (SELECT id, reply_count,
		(SELECT count(*) FROM messages AS r WHERE r.in_reply_to = m.id) AS n FROM messages AS m) AS counted WHERE reply_count <> n ORDER BY id`
	return "counted right", v.each(v.ctx, query, func(scan func(...any) error) error {
		var id, says, has int64
		err := scan(&id, &says, &has)
		c.fault("message %d says it has %d replies, it has %d", id, says, has)
		return err
	})
}

func (v *verifier) checkData(c *check) (string, error) {
	return "shared data is as long as is said of it", v.counts(c, map[string]string{
		"shared texts have not as many bytes as is said of them": "SELECT count(*) FROM shared_data WHERE size_bytes <> octet_length(content)",
	})
}

func (v *verifier) checkIndex(c *check) (string, error) {
	stale := "0" // entries that SQLite's index may have, until it is made anew, whose messages retention has removed
	if v.file != "" {
		stale = "(SELECT stale FROM bus)"
	}
	return fmt.Sprintf("complete up to %d, %d behind", v.bus.indexedID, v.bus.lastID-v.bus.indexedID), v.counts(c, map[string]string{
		"messages are missing from the search index":       "SELECT count(*) FROM messages AS m WHERE m.id <= (SELECT indexed_id FROM bus) AND NOT EXISTS (SELECT 1 FROM " + v.index + " AS w WHERE w.id = m.id)",
		"messages in the search index are not in the log":  "SELECT CASE WHEN count(*) > " + stale + " THEN count(*) ELSE 0 END FROM " + v.index + " AS w WHERE NOT EXISTS (SELECT 1 FROM messages AS m WHERE m.id = w.id)",
		"messages are in the search index before its head": "SELECT count(*) FROM " + v.index + " AS w WHERE w.id > (SELECT indexed_id FROM bus)",
	})
}

// counts makes a fault of each count that is not 0.
func (v *verifier) counts(c *check, queries map[string]string) error {
	for _, what := range slices.Sorted(maps.Keys(queries)) {
		var n int64
		if err := v.tx.QueryRowContext(v.ctx, queries[what]).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			c.fault("%d %s", n, what)
		}
	}
	return nil
}

func (v *verifier) checkPositions(c *check) (string, error) {
	return "none is beyond the log", v.counts(c, map[string]string{
		"read positions lie beyond the newest message":      "SELECT count(*) FROM positions WHERE read_id > (SELECT last_id FROM bus) OR shown_id > (SELECT last_id FROM bus)",
		"read positions lie beyond what was shown":          "SELECT count(*) FROM positions WHERE read_id > shown_id",
		"read positions are no ids":                         "SELECT count(*) FROM positions WHERE read_id < 0 OR shown_id < 0",
		"instances registered beyond the newest message":    "SELECT count(*) FROM instances WHERE registered_id > (SELECT last_id FROM bus)",
		"idempotency keys name another message than stored": "SELECT count(*) FROM idempotency AS i JOIN messages AS m ON m.id = i.message_id WHERE m.seq <> i.seq",
		"idempotency keys name a message beyond the newest": "SELECT count(*) FROM idempotency WHERE message_id > (SELECT last_id FROM bus)",
	})
}
