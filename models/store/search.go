package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"crosstalk/models"
	"crosstalk/models/store/ledger"
)

const (
	Scanned      = 20_000 // newest messages, searched for any piece of text, and for words that the index lacks
	mostFound    = 10     // by default
	indexBatch   = 1024   // messages a transaction: the writer waits no longer than that takes (about 10 ms)
	indexedBytes = 1 << 20
)

// Search finds messages that hold all words of the text, anywhere in the log, or the text itself as
// a piece of one of the newest, and returns the newest of them, newest first. Words that the index
// does not know yet are found in the newest messages only.
func (s *Store) Search(ctx context.Context, q models.Search) ([]models.Message, error) {
	pattern, err := contains(q.Text)
	if err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = mostFound
	}
	head, indexed, err := s.Progress(ctx)
	if err != nil {
		return nil, err
	}
	like := s.words.Like()
	found, err := list(s.narrow(ctx, q).Where(`id > ? AND content `+like+` ? ESCAPE '\' AND content `+like+` ? ESCAPE '\'`,
		head-s.young, rarestFirst(q.Text), pattern).Order("id DESC").Limit(q.Limit))
	if words := models.Words(q.Text); err == nil && len(words) > 0 {
		var more []models.Message
		if more, err = s.anywhere(ctx, q, words); err == nil {
			found = append(found, more...)
			more, err = s.unindexed(ctx, q, words, max(indexed, head-s.young), head)
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

// rarestFirst makes a pattern that a text can hardly match if it does not contain the piece, and that
// is quick to say so: it begins with the rarest letter of the piece, what stands before may be
// anything. The database looks for the first character of a pattern, then for the rest from there:
// where that is common it takes twice as long (11 ms for 20,000 messages, with the rarest 6).
func rarestFirst(piece string) string {
	const common = "zqxjkvbpygfwmucldrhsnioate " // the further behind, the more frequent
	first, rank := 0, len(common)
	for i, r := range piece {
		if at := strings.IndexRune(common, unicode.ToLower(r)); r < utf8.RuneSelf && at < rank {
			first, rank = i, at
		}
	}
	before, rest := piece[:first], piece[first:]
	return "%" + strings.Repeat("_", utf8.RuneCountInString(before)) + escape(rest) + "%"
}

// narrow keeps to the channel and sender asked for. The channel is wrapped so that its index is not
// used: passing over the newest messages in the order of their ids takes 6 ms, by way of that index 18.
func (s *Store) narrow(ctx context.Context, q models.Search) *gorm.DB {
	tx := only(s.Reader(ctx), "channel", q.Only)
	if q.Channel != "" {
		tx = tx.Where("channel || '' = ?", q.Channel)
	}
	if q.Sender != "" {
		tx = tx.Where("sender = ?", q.Sender)
	}
	return tx
}

// mostSearched is in how many channels a search looks that is for some channels only, the latest active first.
const mostSearched = 200

// anywhere searches the index. It knows channels by their names, not by patterns.
func (s *Store) anywhere(ctx context.Context, q models.Search, words []string) (found []models.Message, err error) {
	if q.Only == "" {
		return s.byWords(ctx, q, words)
	}
	channels, err := s.Channels(ctx, q.Only, mostSearched)
	for i := 0; i < len(channels) && err == nil; i++ {
		var more []models.Message
		q.Channel = channels[i].Name
		more, err = s.byWords(ctx, q, slices.Clone(words))
		found = append(found, more...)
	}
	return found, err
}

func (s *Store) byWords(ctx context.Context, q models.Search, words []string) ([]models.Message, error) {
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
	return list(s.words.WithWords(s.Reader(ctx), words, after, q.Limit))
}

// unindexed searches what the indexer has not reached yet, the newest first.
func (s *Store) unindexed(ctx context.Context, q models.Search, words []string, indexed, top int64) (found []models.Message, err error) {
	for top > indexed && len(found) < q.Limit {
		tail, err := list(s.narrow(ctx, q).Where("id > ? AND id <= ?", indexed, top).Order("id DESC").Limit(indexBatch))
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
