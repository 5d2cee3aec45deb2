package store

import (
	"context"
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
	defaultNewest  = 20
	defaultOnwards = 200
	scanned        = 2000 // messages that one page looks at where it hides some of them
)

// Read has fn read, and turns what the database says into an Error for the caller.
func (s *Store) Read(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return s.reading(fn(s.Reader(ctx)))
}

// Page reads a page of one channel. A channel that does not exist reads as empty.
func (s *Store) Page(ctx context.Context, q models.Query) (models.Page, error) {
	p := models.Page{Messages: []models.Message{}, Recovered: true, BusID: s.busID}
	head, err := s.Head(ctx)
	if err != nil {
		return p, err
	}
	p.NextAfterID = head
	top := head
	if q.Before != nil {
		top = min(head, max(*q.Before, 1)-1)
	}
	if q.After != nil {
		err = s.onwards(ctx, q, head, top, &p)
	} else {
		err = s.newest(ctx, q, top, &p)
	}
	if err != nil {
		return p, err
	}
	if q.MaxBytes > 0 {
		p.Fit(q.MaxBytes, q.After != nil)
	}
	if n := len(p.Messages); n > 0 {
		p.LastID = &p.Messages[n-1].ID
	}
	return p, nil
}

// onwards reads the oldest after q.After.
func (s *Store) onwards(ctx context.Context, q models.Query, head, top int64, p *models.Page) (err error) {
	begin := max(*q.After, 0)
	if p.NextAfterID, err = s.collect(ctx, q, min(begin, head), top, p); err != nil {
		return err
	}
	if begin >= head { // nothing that retention has taken was after it
		p.Recovered = begin == head
		return nil
	}
	// Asked for after reading: what was removed meanwhile is missed, too.
	pruned, err := s.Pruned(ctx, q.Channel)
	p.Recovered = begin >= pruned
	return err
}

// collect gathers the messages of a page and returns the id up to which it looked. Own messages are
// hidden here and not in the query, which could have to pass over any number of them.
func (s *Store) collect(ctx context.Context, q models.Query, after, top int64, p *models.Page) (int64, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = defaultOnwards
	}
	if after >= top {
		return after, nil
	}
	for looked, hidden := 0, 0; looked < scanned; {
		// Where many are hidden, more are read at a time.
		ask := max(limit+1-len(p.Messages), min(2*hidden, defaultOnwards))
		rows, err := s.After(ctx, q.Channel, after, top, ask)
		if err != nil {
			return 0, err
		}
		for i := range rows {
			switch {
			case q.Instance != "" && rows[i].Sender == q.Instance:
				hidden++
			case len(p.Messages) == limit:
				p.More = true
				return after, nil
			default:
				p.Messages = append(p.Messages, rows[i])
			}
			after = rows[i].ID
		}
		if len(rows) < ask {
			return max(after, top), nil
		}
		looked += len(rows)
	}
	p.More = true
	return after, nil
}

// newest reads the newest of the channel up to an id.
func (s *Store) newest(ctx context.Context, q models.Query, top int64, p *models.Page) error {
	limit := q.Limit
	if limit <= 0 {
		limit = defaultNewest
	}
	place := s.words.InChannel()
	rows, err := list(s.Reader(ctx).Where("channel = ? AND "+place+" <= ?", q.Channel, top).Order(place + " DESC").Limit(limit + 1))
	if p.More = len(rows) > limit; p.More {
		rows = rows[:limit]
	}
	slices.Reverse(rows)
	p.Messages = append(p.Messages, rows...)
	return s.reading(err)
}

// list reads messages. It scans them itself, which takes half of the time that GORM needs.
func list(tx *gorm.DB) (messages []models.Message, err error) {
	rows, err := tx.Table("messages").Select("id", "seq", "channel", "sender", "kind", "verified", "content",
		"message_type", "in_reply_to", "reply_count", "created_at").Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var m models.Message
		err := rows.Scan(&m.ID, &m.Seq, &m.Channel, &m.Sender, &m.Kind, &m.Verified, &m.Content,
			&m.Type, &m.InReplyTo, &m.ReplyCount, &m.CreatedAt)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, rows.Err()
}

// After reads messages with after < id <= top in order: those of one channel, or with models.Every all.
func (s *Store) After(ctx context.Context, ch string, after, top int64, limit int) ([]models.Message, error) {
	place := "id"
	if ch != models.Every {
		place = s.words.InChannel()
	}
	tx := s.Reader(ctx).Where(place+" > ? AND "+place+" <= ?", after, top)
	if ch != models.Every {
		tx = tx.Where("channel = ?", ch)
	}
	rows, err := list(tx.Order(place).Limit(limit))
	return rows, s.reading(err)
}

// Pruned returns the greatest id that retention took from a channel, or with models.Every from the bus.
func (s *Store) Pruned(ctx context.Context, ch string) (int64, error) {
	var pruned int64
	tx := s.Reader(ctx).Table("bus").Select("pruned_id")
	if ch != models.Every {
		tx = s.Reader(ctx).Table("channels").Select("pruned_id").Where("name = ?", ch)
	}
	err := tx.Scan(&pruned).Error
	return pruned, s.reading(err)
}

// Message reads one message of a channel, or with models.Every of any.
func (s *Store) Message(ctx context.Context, ch string, id int64) (models.Message, error) {
	var m models.Message
	tx := s.Reader(ctx).Where("id = ?", id)
	if ch != models.Every {
		tx = tx.Where("channel = ?", ch)
	}
	err := tx.Take(&m).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound) && ch == models.Every:
		return m, NoMessage(id)
	case errors.Is(err, gorm.ErrRecordNotFound):
		return m, models.Errorf(models.NotFound, "message %d is not in channel %q: it never was, or retention has removed it", id, ch)
	}
	return m, s.reading(err)
}

// NoMessage is the answer to whoever asks for a message that is not there for them.
func NoMessage(id int64) error {
	return models.Errorf(models.NotFound, "message %d is not there: it never was, or retention has removed it", id)
}

// only keeps the rows whose column names one of some channels.
func only(tx *gorm.DB, column string, channels models.Patterns) *gorm.DB {
	if within, some := inside(column, channels); some {
		return tx.Where(within)
	}
	return tx
}

// inside says that a column names one of some channels, unless these are all. A channel's name has no letter that is
// special in a pattern.
func inside(column string, channels models.Patterns) (within clause.Expr, some bool) {
	sql, args := "", []any{}
	for _, p := range channels.List() {
		sql += " OR " + column + " LIKE ?"
		args = append(args, strings.ReplaceAll(p, "*", "%"))
	}
	return gorm.Expr("("+strings.TrimPrefix(sql, " OR ")+")", args...), sql != ""
}

// Thread reads a message and the oldest replies to it, those in some channels only.
func (s *Store) Thread(ctx context.Context, ch string, id int64, channels models.Patterns, limit int) (models.Thread, error) {
	parent, err := s.Message(ctx, ch, id)
	if err != nil {
		return models.Thread{}, err
	}
	t := models.Thread{Parent: parent, Replies: []models.Message{}}
	replies, err := list(only(s.Reader(ctx).Where("in_reply_to = ?", id), "channel", channels).Order(s.words.InChannel()).Limit(limit))
	t.Replies = append(t.Replies, replies...)
	return t, s.reading(err)
}

// Spoken says of a message who sent it, and when.
type Spoken struct {
	Sender    string
	Kind      models.Kind
	CreatedAt models.Time
}

// Tail returns who sent the last messages of a channel, the newest first.
func (s *Store) Tail(ctx context.Context, ch string, limit int) (list []Spoken, err error) {
	err = s.Read(ctx, func(tx *gorm.DB) error {
		return tx.Table("messages").Select("sender", "kind", "created_at").Where("channel = ?", ch).Order(s.words.InChannel() + " DESC").Limit(limit).Scan(&list).Error
	})
	return list, err
}

// Answered returns what an append was answered when it was stored before, under the same idempotency key. Without a
// key, nothing was.
func (s *Store) Answered(ctx context.Context, a Append) (r models.Receipt, found bool, err error) {
	if a.IdempotencyKey == "" {
		return r, false, nil
	}
	p := &pending{Append: a}
	var was []ledger.First
	err = s.Reader(ctx).Table("idempotency").Select("message_id AS id", "seq", "digest", "created_at AS at").
		Where("principal = ? AND sender = ? AND key = ?", a.Principal, a.Sender, a.IdempotencyKey).Limit(1).Scan(&was).Error
	if err != nil || len(was) == 0 {
		return r, false, s.reading(err)
	}
	b := appender{now: models.TimeOf(time.Now()), head: ledger.Head{Firsts: map[ledger.Key]ledger.First{p.key(): was[0]}}}
	found, err = b.find(p)
	return p.receipt, found, err
}
