package store

import (
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"

	"crosstalk/models"
)

// scanned bounds how many messages one page looks at when it hides some of them.
const scanned = 2000

// reader reads without interruption: an interrupted statement leaves this driver's connection in
// doubt, and every statement here is bounded.
func (s *Store) reader(ctx context.Context) *gorm.DB {
	return s.read.WithContext(context.WithoutCancel(ctx))
}

// Page reads a page of one channel. A channel that does not exist reads as empty.
func (s *Store) Page(ctx context.Context, q models.Query) (models.Page, error) {
	p := models.Page{Messages: []models.Message{}, Recovered: true, BusID: s.busID}
	head, pruned, err := s.mark(ctx, q.Channel)
	if err != nil {
		return p, err
	}
	p.NextAfterID = head
	if q.After != nil {
		p.Recovered = *q.After <= head && *q.After >= pruned
		err = s.onwards(ctx, q, head, &p)
	} else {
		err = s.newest(ctx, q, head, &p)
	}
	if err != nil {
		return p, s.reading(err)
	}
	if q.MaxBytes > 0 {
		p.Fit(q.MaxBytes, q.After != nil)
	}
	if n := len(p.Messages); n > 0 {
		p.LastID = &p.Messages[n-1].ID
	}
	return p, nil
}

// mark returns the head of the bus and the greatest id that retention took from the channel.
func (s *Store) mark(ctx context.Context, ch string) (head, pruned int64, err error) {
	const query = "SELECT last_id, coalesce((SELECT pruned_id FROM channels WHERE name = ?), 0) FROM bus"
	err = s.db.Read.QueryRowContext(context.WithoutCancel(ctx), query, ch).Scan(&head, &pruned)
	return head, pruned, s.reading(err)
}

// onwards reads the oldest after q.After. Own messages are hidden here and not in the query, which
// could have to pass over any number of them.
func (s *Store) onwards(ctx context.Context, q models.Query, head int64, p *models.Page) error {
	after := min(*q.After, head)
	top := head
	if q.Before != nil {
		top = min(top, *q.Before-1)
	}
	for looked := 0; looked < scanned; {
		rows, err := s.After(ctx, q.Channel, after, top, q.Limit+1)
		if err != nil {
			return err
		}
		for i := range rows {
			if rows[i].Sender == q.Instance {
				after = rows[i].ID
				continue
			}
			if len(p.Messages) == q.Limit {
				p.More, p.NextAfterID = true, after
				return nil
			}
			p.Messages = append(p.Messages, rows[i])
			after = rows[i].ID
		}
		if len(rows) <= q.Limit {
			return nil
		}
		looked += len(rows)
	}
	p.More, p.NextAfterID = true, after
	return nil
}

// newest reads the newest of the channel, or the newest before q.Before.
func (s *Store) newest(ctx context.Context, q models.Query, head int64, p *models.Page) error {
	top := head
	if q.Before != nil {
		top = min(top, *q.Before-1)
	}
	err := s.reader(ctx).Where("channel = ? AND id <= ?", q.Channel, top).Order("id DESC").Limit(q.Limit + 1).Find(&p.Messages).Error
	if err != nil {
		return err
	}
	if len(p.Messages) > q.Limit {
		p.More = true
		p.Messages = p.Messages[:q.Limit]
	}
	slices.Reverse(p.Messages)
	return nil
}

// After reads messages with after < id <= top in order: those of one channel, or with models.Every all.
func (s *Store) After(ctx context.Context, ch string, after, top int64, limit int) ([]models.Message, error) {
	tx := s.reader(ctx).Where("id > ? AND id <= ?", after, top)
	if ch != models.Every {
		tx = tx.Where("channel = ?", ch)
	}
	var rows []models.Message
	err := tx.Order("id").Limit(limit).Find(&rows).Error
	return rows, s.reading(err)
}

// Pruned returns the greatest id that retention took from a channel, or with models.Every from the bus.
func (s *Store) Pruned(ctx context.Context, ch string) (int64, error) {
	if ch != models.Every {
		_, pruned, err := s.mark(ctx, ch)
		return pruned, err
	}
	var pruned int64
	err := s.db.Read.QueryRowContext(context.WithoutCancel(ctx), "SELECT pruned_id FROM bus").Scan(&pruned)
	return pruned, s.reading(err)
}

// Message reads one message of a channel.
func (s *Store) Message(ctx context.Context, ch string, id int64) (models.Message, error) {
	var m models.Message
	err := s.reader(ctx).Where("id = ? AND channel = ?", id, ch).Take(&m).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return m, models.Errorf(models.NotFound, "message %d is not in channel %q: it never was, or retention has removed it", id, ch)
	}
	return m, s.reading(err)
}

// Thread reads a message and the oldest replies to it.
func (s *Store) Thread(ctx context.Context, ch string, id int64, limit int) (models.Thread, error) {
	parent, err := s.Message(ctx, ch, id)
	if err != nil {
		return models.Thread{}, err
	}
	t := models.Thread{Parent: parent, Replies: []models.Message{}}
	err = s.reader(ctx).Where("in_reply_to = ?", id).Order("id").Limit(limit).Find(&t.Replies).Error
	return t, s.reading(err)
}
