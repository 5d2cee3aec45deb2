package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"crosstalk/models"
	"crosstalk/models/store/ledger"
)

const (
	Scanned      = 20_000 // newest messages, searched for any piece of text, and for words that the index lacks
	mostFound    = 10     // by default
	indexBatch   = 1024   // messages a transaction: the writer waits no longer than that takes (about 10 ms)
	indexedBytes = 1 << 20

	// nearby is how far from the newest message a search does without the index: it would be for a common word, through
	// whose messages PostgreSQL goes one by one, 30 ms in a log of a million.
	nearby = 256
)

// Search finds messages that hold all words of the text, anywhere in the log, or the text itself as
// a piece of one of the newest, and returns the newest of them, newest first. Words that the index
// does not know yet are found in the newest messages only.
func (s *Store) Search(ctx context.Context, q models.Search) ([]models.Message, error) {
	if err := checkText(q.Text); err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = mostFound
	}
	head, indexed, err := s.Progress(ctx)
	if err != nil {
		return nil, err
	}
	found, err := list(s.among(ctx, q, head-s.young, head, s.words.Contains("content", q.Text)).Limit(q.Limit))
	if words := models.Words(q.Text); err == nil && len(words) > 0 {
		from := max(indexed, head-s.young)
		var more []models.Message
		if last := len(found) - 1; last+1 == q.Limit && head-found[last].ID <= nearby {
			from = found[last].ID // what is older is not asked for
		} else {
			more, err = s.anywhere(ctx, q, words)
			found = append(found, more...)
		}
		if err == nil {
			more, err = s.unindexed(ctx, q, words, from, head)
			found = append(found, more...)
		}
	}
	if err != nil {
		return nil, s.reading(err)
	}
	slices.SortFunc(found, func(a, b models.Message) int { return cmp.Compare(b.ID, a.ID) })
	found = slices.CompactFunc(found, func(a, b models.Message) bool { return a.ID == b.ID })
	return found[:min(len(found), q.Limit)], nil
}

// among are the messages with after < id <= top that a search may find, those of its channels and its sender, the
// newest first. What they are asked for is wrapped, so that the database cannot guess how many that are, by statistics
// that may be older than the messages: it takes it that one of three is, and always walks back through the ids, which
// ends at after. Else PostgreSQL went by the index of channels, or read the whole table when it had no statistics:
// 18 ms, and 41 with 300,000 messages, instead of 7.
func (s *Store) among(ctx context.Context, q models.Search, after, top int64, also ...clause.Expression) *gorm.DB {
	var asked []clause.Expression
	if q.Channel != "" {
		asked = append(asked, gorm.Expr("channel = ?", q.Channel))
	}
	if q.Sender != "" {
		asked = append(asked, gorm.Expr("sender = ?", q.Sender))
	}
	if within, some := inside("channel", q.Only); some {
		asked = append(asked, within)
	}
	tx := s.Reader(ctx).Where("id > ? AND id <= ?", after, top).Order("id DESC")
	if asked = append(asked, also...); len(asked) == 0 {
		return tx
	}
	return tx.Where("CASE WHEN ? THEN 1 ELSE 0 END > 0", clause.And(asked...))
}

// A search in some channels only asks for the newest messages of all that have the words, and keeps what is in these
// channels: 9 ms for a rare word. Where that is not enough it asks for each channel, the latest active first: 120 ms.
const (
	mostLooked   = 1000
	mostSearched = 200
)

// anywhere searches the index. It knows channels by their names, not by patterns.
func (s *Store) anywhere(ctx context.Context, q models.Search, words []string) (found []models.Message, err error) {
	if q.Only == "" {
		return s.byWords(ctx, q, words)
	}
	ids, enough, err := s.newestInside(ctx, q, words)
	if err != nil || enough && len(ids) == 0 {
		return nil, err
	}
	if enough {
		return list(s.Reader(ctx).Where("id IN ?", ids))
	}
	channels, err := s.Channels(ctx, q.Only, mostSearched)
	for i := 0; i < len(channels) && err == nil; i++ {
		var more []models.Message
		q.Channel = channels[i].Name
		more, err = s.byWords(ctx, q, words)
		found = append(found, more...)
	}
	return found, err
}

// newestInside lists those of the newest messages with all the words that are in the channels asked for, no more than
// asked for, and says whether these are all that there are to find.
func (s *Store) newestInside(ctx context.Context, q models.Search, words []string) (ids []int64, enough bool, err error) {
	tx, err := s.withWords(ctx, q, words, mostLooked)
	if err != nil {
		return nil, false, err
	}
	var newest []models.Message // their ids and channels alone
	if err := tx.Select("id", "channel").Order("id DESC").Find(&newest).Error; err != nil {
		return nil, false, err
	}
	for _, m := range newest {
		if q.Only.Match(m.Channel) && len(ids) < q.Limit {
			ids = append(ids, m.ID)
		}
	}
	return ids, len(ids) == q.Limit || len(newest) < mostLooked, nil
}

func (s *Store) byWords(ctx context.Context, q models.Search, words []string) ([]models.Message, error) {
	tx, err := s.withWords(ctx, q, words, q.Limit)
	if err != nil {
		return nil, err
	}
	return list(tx)
}

// withWords are the newest messages with all the words that the index knows.
func (s *Store) withWords(ctx context.Context, q models.Search, words []string, limit int) (*gorm.DB, error) {
	words = slices.Clone(words)
	if q.Channel != "" {
		words = append(words, channelWord(q.Channel))
	}
	if q.Sender != "" {
		words = append(words, senderWord(q.Sender))
	}
	// What retention has removed may still be in the index. All of it is before this.
	gone := s.Reader(ctx).Raw("SELECT coalesce(min(id), 1) - 1 FROM messages")
	if q.Channel != "" {
		gone = s.Reader(ctx).Raw("SELECT coalesce(max(pruned_id), 0) FROM channels WHERE name = ?", q.Channel)
	}
	var after int64
	if err := gone.Row().Scan(&after); err != nil {
		return nil, err
	}
	return s.words.WithWords(s.Reader(ctx), words, after, limit), nil
}

// unindexed searches what the indexer has not reached yet, the newest first.
func (s *Store) unindexed(ctx context.Context, q models.Search, words []string, indexed, top int64) (found []models.Message, err error) {
	for top > indexed && len(found) < q.Limit {
		tail, err := list(s.among(ctx, q, indexed, top).Limit(indexBatch))
		if err != nil {
			return nil, err
		}
		for i := range tail {
			if has(models.Words(tail[i].Content), words) {
				found = append(found, tail[i])
			}
		}
		if len(tail) < indexBatch {
			break
		}
		top = tail[len(tail)-1].ID - 1
	}
	return found, nil
}

func has(words, all []string) bool {
	for _, w := range all {
		if !slices.Contains(words, w) {
			return false
		}
	}
	return true
}

// A message's channel and sender are words of it too, marked by a sign that no word of a text has,
// so that the index answers for a channel without looking at the others.
func channelWord(ch string) string    { return "§c" + strings.ReplaceAll(ch, "-", "§") }
func senderWord(sender string) string { return "§s" + hex.EncodeToString([]byte(sender)) }

// index takes one batch of messages into the search index and says whether more wait.
func (s *Store) index(ctx context.Context) (more bool, err error) {
	h := ledger.Harvest{Bytes: map[string]int64{}, Spoken: map[ledger.Hour]int64{}}
	if err := s.Reader(ctx).Table("bus").Select("indexed_id").Scan(&h.After).Error; err != nil {
		return false, s.reading(err)
	}
	if more, err = s.harvest(ctx, &h); err != nil || len(h.Entries) == 0 {
		return false, s.reading(err)
	}
	if err := s.words.Index(ctx, &h); err != nil {
		return false, s.writing(err)
	}
	return more, nil
}

// renew makes SQLite's search index anew, if most of it is of messages that are no more, one step at least and until a
// time. It says whether more is to be done.
func (s *Store) renew(ctx context.Context, end time.Time) (more bool, err error) {
	for more = s.file != nil; more && ctx.Err() == nil; {
		if more, err = s.renewStep(ctx); err != nil || time.Now().After(end) {
			break
		}
	}
	return more && err == nil, err
}

func (s *Store) renewStep(ctx context.Context) (more bool, err error) {
	upTo, on, more, err := s.file.Renewal(ctx)
	if err != nil || !on {
		return more, err
	}
	var indexed int64
	if err := s.Reader(ctx).Table("bus").Select("indexed_id").Scan(&indexed).Error; err != nil {
		return false, err
	}
	h := ledger.Harvest{After: upTo, Bytes: map[string]int64{}, Spoken: map[ledger.Hour]int64{}}
	if _, err := s.harvest(ctx, &h); err != nil {
		return false, err
	}
	if unknown := slices.IndexFunc(h.Entries, func(e ledger.Entry) bool { return e.ID > indexed }); unknown >= 0 {
		h.Entries = h.Entries[:unknown]
	}
	return true, s.file.Renew(ctx, upTo, h.Entries)
}

// harvest takes the messages that come next, and says whether there may be more.
func (s *Store) harvest(ctx context.Context, h *ledger.Harvest) (more bool, err error) {
	messages := s.fresh.next(h.After, indexBatch)
	own := len(messages) > 0 // another process may have stored more
	if !own {
		if messages, err = s.behind(ctx, h.After); err != nil {
			return false, err
		}
	}
	size, n := 0, 0
	var words []byte
	for ; n < len(messages) && size < indexedBytes; n++ {
		m := messages[n]
		size += len(m.Content)
		words = append(append(append(words[:0], channelWord(m.Channel)...), ' '), senderWord(m.Sender)...)
		words = models.AppendWords(words, m.Content)
		h.Entries = append(h.Entries, ledger.Entry{ID: m.ID, Words: string(words)})
		h.Bytes[m.Channel] += int64(len(m.Content))
		h.Spoken[ledger.Hour{Channel: m.Channel, Sender: m.Sender, Hour: int64(m.CreatedAt) / time.Hour.Milliseconds()}]++
	}
	return own || size >= indexedBytes || n == indexBatch, nil
}

// behind reads what the indexer needs of messages that it has to find in the database, no more at a time than it takes.
func (s *Store) behind(ctx context.Context, after int64) (found []*models.Message, err error) {
	rows, err := s.Reader(ctx).Table("messages").Select("id", "channel", "sender", "content", "created_at").
		Where("id > ?", after).Order("id").Limit(indexBatch).Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for size := 0; size < indexedBytes && rows.Next(); {
		m := &models.Message{}
		if err := rows.Scan(&m.ID, &m.Channel, &m.Sender, &m.Content, &m.CreatedAt); err != nil {
			return nil, err
		}
		size += len(m.Content)
		found = append(found, m)
	}
	return found, rows.Err()
}
