package imports

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"crosstalk/models"
)

const (
	batchRows  = 64 // messages a statement
	batchBytes = 1 << 20
	greatestID = 1<<53 - 1 // that every JSON reader keeps whole
	page       = 500

	// As the store counts active senders.
	activeFor     = 24 * time.Hour
	activeSenders = 20
)

// channel is what the messages add to one.
type channel struct {
	seq, count, last int64
	firstAt, lastAt  models.Time
	senders          map[string]models.Time
}

func (w *work) takeMessages() error {
	columns := []string{"id", "channel", "sender", "content", "message_type", "in_reply_to", "created_at"}
	err := w.from.each(w.ctx, "messages", columns, func(row []any) error {
		w.report.Messages.Found++
		if err := w.ctx.Err(); err != nil {
			return err
		}
		id, ok := number(row[0])
		if !ok || id <= 0 || id > greatestID {
			w.report.note("message LEFT OUT: its id is none that a message can have", "", "id %.40q", text(row[0]))
			return nil
		}
		if w.report.FirstID == 0 {
			w.report.FirstID = id
		}
		w.report.LastID = id
		return w.mend(func(m *mender) (bool, error) { return w.message(m, id, row) })
	})
	if err != nil {
		return err
	}
	return w.flush()
}

// message adds one, if it is not here already.
func (w *work) message(m *mender, id int64, row []any) (added bool, err error) {
	content, whole := m.content(id, text(row[3]))
	msg := models.Message{
		ID: id, Channel: m.channel(text(row[1])), Sender: m.name("sender", text(row[2])), Kind: models.KindAgent,
		Content: content, Type: m.messageType(id, text(row[4])),
	}
	if id <= w.begun {
		return false, w.compare(&msg)
	}
	msg.InReplyTo = w.parent(m, id, row[5])
	msg.CreatedAt = w.time(m, id, row[6])
	if whole != "" {
		data := models.SharedData{
			Key: wholeKey(id), Content: whole, CreatedBy: msg.Sender, Channel: msg.Channel, Version: 1,
			Description: fmt.Sprintf("The whole text of message %d", id), SizeBytes: int64(len(whole)), CreatedAt: msg.CreatedAt,
		}
		if _, err := w.insertData(&data); err != nil {
			return false, err
		}
	}
	return true, w.add(msg)
}

// parent reads in_reply_to: a reply to what does not come before it is none.
func (w *work) parent(m *mender, id int64, v any) *int64 {
	parent, ok := number(v)
	switch {
	case v == nil, ok && parent == 0, !ok && text(v) == "":
		return nil
	case !ok || parent < 0 || parent >= id:
		m.report.note("message: reply to itself, to a later message or to none is now no reply", "", "message %d, %.40q", id, text(v))
		return nil
	}
	return &parent
}

// time reads created_at: times never go back along the log, nor beyond now.
func (w *work) time(m *mender, id int64, v any) models.Time {
	at, ok := moment(v)
	switch {
	case !ok:
		m.report.note("message: time that cannot be read became that of the message before", "", "message %d, %.40q", id, text(v))
		if at = w.last; at == 0 {
			at = w.now
		}
	case at > w.now:
		m.report.note("message: time in the future became now", "", "message %d, %v", id, at)
		at = w.now
	case at < w.last:
		m.report.note("message: time before that of the message before became the same", "", "message %d, %v", id, at)
	}
	return max(at, w.last)
}

func (w *work) add(m models.Message) error {
	c := w.channels[m.Channel]
	if c == nil {
		c = &channel{firstAt: m.CreatedAt, senders: map[string]models.Time{}}
		if err := w.tx.Table("channels").Select("last_seq").Where("name = ?", m.Channel).Scan(&c.seq).Error; err != nil {
			return err
		}
		w.channels[m.Channel] = c
	}
	c.seq++
	c.count++
	c.last, c.lastAt, c.senders[m.Sender] = m.ID, m.CreatedAt, m.CreatedAt
	m.Seq = c.seq
	if m.InReplyTo != nil {
		w.replies[*m.InReplyTo]++
	}
	if w.report.Oldest == 0 {
		w.report.Oldest = m.CreatedAt
	}
	w.report.Messages.Added++
	w.last = m.CreatedAt
	w.batch = append(w.batch, m)
	if w.bytes += len(m.Content); len(w.batch) == batchRows || w.bytes > batchBytes {
		return w.flush()
	}
	return nil
}

func (w *work) flush() error {
	if len(w.batch) > 0 {
		if err := w.tx.Create(&w.batch).Error; err != nil {
			return fmt.Errorf("insert messages: %w", err)
		}
	}
	w.batch, w.bytes = w.batch[:0], 0
	w.tell(w.report.Messages.Found)
	return nil
}

// compare finds out whether a message is here already.
func (w *work) compare(m *models.Message) error {
	for len(w.ours) > 0 && w.ours[0].ID < m.ID {
		w.ours = w.ours[1:]
	}
	if len(w.ours) == 0 && !w.oursEnd {
		w.ours = nil
		err := w.tx.Select("id", "channel", "sender", "content").Where("id >= ?", m.ID).Order("id").Limit(page).Find(&w.ours).Error
		if err != nil {
			return err
		}
		w.oursEnd = len(w.ours) < page
	}
	switch {
	case len(w.ours) > 0 && w.ours[0].ID == m.ID:
		ours := w.ours[0]
		if ours.Channel != m.Channel || ours.Sender != m.Sender || ours.Content != m.Content {
			return models.Errorf(models.Conflict, `message %d here is not message %d of %s: this database has messages of its own under the ids that those would keep.
Nothing was imported. Import into a new database, or, if it was imported before, go on without what came later to %s`, m.ID, m.ID, w.from.name, w.from.name)
		}
		w.report.Messages.Here++
	case m.ID <= w.pruned: // it was here
		w.report.Messages.Here++
	default:
		w.report.note("message LEFT OUT: later ids had been imported when it was written", "", "message %d", m.ID)
	}
	if w.report.Messages.Found%10_000 == 0 {
		w.tell(w.report.Messages.Found)
	}
	return nil
}

// countReplies counts the replies that were added.
func (w *work) countReplies() error {
	by := map[int64][]int64{}
	for parent, n := range w.replies {
		by[n] = append(by[n], parent)
	}
	for _, n := range slices.Sorted(maps.Keys(by)) {
		for parents := range slices.Chunk(by[n], page) {
			if err := w.tx.Exec("UPDATE messages SET reply_count = reply_count + ? WHERE id IN ?", n, parents).Error; err != nil {
				return fmt.Errorf("count replies: %w", err)
			}
		}
	}
	return nil
}

// noteChannels brings the channels to where their messages are.
func (w *work) noteChannels() error {
	pruned := int64(0) // what is before the first message, its hub has removed
	if w.begun == 0 {
		pruned = w.report.FirstID - 1
	}
	for _, name := range slices.Sorted(maps.Keys(w.channels)) {
		c := w.channels[name]
		err := w.tx.Exec(`INSERT INTO channels (name, created_at, last_seq, message_count, last_id, last_message_at, pruned_id)
			VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET last_seq = excluded.last_seq, message_count = channels.message_count + excluded.message_count,
				last_id = excluded.last_id, last_message_at = excluded.last_message_at,
				pruned_id = CASE WHEN excluded.pruned_id > channels.pruned_id THEN excluded.pruned_id ELSE channels.pruned_id END`,
			name, c.firstAt, c.seq, c.count, c.last, c.lastAt, pruned).Error
		if err != nil {
			return fmt.Errorf("advance channel %s: %w", name, err)
		}
		if err := w.noteSenders(name, c); err != nil {
			return fmt.Errorf("note the senders of %s: %w", name, err)
		}
	}
	return nil
}

func (w *work) noteSenders(name string, c *channel) error {
	since := c.lastAt - models.Time(activeFor.Milliseconds())
	for _, sender := range slices.Sorted(maps.Keys(c.senders)) {
		if at := c.senders[sender]; at >= since {
			err := w.tx.Exec(`INSERT INTO participants (channel, sender, last_at) VALUES (?, ?, ?)
				ON CONFLICT (channel, sender) DO UPDATE SET last_at = excluded.last_at`, name, sender, at).Error
			if err != nil {
				return err
			}
		}
	}
	var active []string
	err := w.tx.Table("participants").Where("channel = ? AND last_at >= ?", name, since).
		Order("last_at DESC").Limit(activeSenders).Pluck("sender", &active).Error
	if err != nil {
		return err
	}
	return w.tx.Exec("UPDATE channels SET active_senders = ? WHERE name = ?", strings.Join(active, ", "), name).Error
}

// advance moves the head of the log.
func (w *work) advance() error {
	if w.report.Messages.Added == 0 {
		return nil
	}
	last := int64(0)
	for _, c := range w.channels {
		last = max(last, c.last)
	}
	if w.begun == 0 {
		w.pruned = w.report.FirstID - 1
	}
	w.begun = last // from here on: the head
	return w.tx.Exec("UPDATE bus SET last_id = ?, last_at = ?, pruned_id = ?", last, w.last, w.pruned).Error
}
