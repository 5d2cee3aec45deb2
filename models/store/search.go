package store

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"

	"crosstalk/models"
)

const (
	recent     = 20_000 // the newest messages, searched for any piece of text
	indexBatch = 256    // messages a transaction: the writer waits no longer than that takes (about 5 ms)
)

// Search finds messages that hold all words of the text, anywhere in the log, or the text itself as
// a piece of one of the newest, and returns the newest of them, newest first.
func (s *Store) Search(ctx context.Context, q models.Search) ([]models.Message, error) {
	var head, indexed int64
	row := s.db.Read.QueryRowContext(context.WithoutCancel(ctx), "SELECT last_id, indexed_id FROM bus")
	if err := row.Scan(&head, &indexed); err != nil {
		return nil, s.reading(err)
	}
	words := models.Words(q.Text)
	found, err := s.byText(ctx, q, head)
	if err == nil && len(words) > 0 {
		var more []models.Message
		if more, err = s.byWords(ctx, q, words); err == nil {
			found = append(found, more...)
			more, err = s.unindexed(ctx, q, words, indexed)
			found = append(found, more...)
		}
	}
	if err != nil {
		return nil, s.reading(err)
	}
	slices.SortFunc(found, func(a, b models.Message) int { return int(b.ID - a.ID) })
	found = slices.CompactFunc(found, func(a, b models.Message) bool { return a.ID == b.ID })
	return found[:min(len(found), q.Limit)], nil
}

// narrow keeps to the channel and sender asked for.
func (s *Store) narrow(ctx context.Context, q models.Search) *gorm.DB {
	tx := s.reader(ctx).Model(&models.Message{})
	if q.Channel != "" {
		tx = tx.Where("channel = ?", q.Channel)
	}
	if q.Sender != "" {
		tx = tx.Where("sender = ?", q.Sender)
	}
	return tx
}

func (s *Store) byText(ctx context.Context, q models.Search, head int64) ([]models.Message, error) {
	found := []models.Message{}
	err := s.narrow(ctx, q).Where(`id > ? AND content LIKE ? ESCAPE '\'`, head-recent, contains(q.Text)).
		Order("id DESC").Limit(q.Limit).Find(&found).Error
	return found, err
}

func (s *Store) byWords(ctx context.Context, q models.Search, words []string) ([]models.Message, error) {
	if q.Channel != "" {
		words = append(words, channelWord(q.Channel))
	}
	if q.Sender != "" {
		words = append(words, senderWord(q.Sender))
	}
	var found []models.Message
	err := s.reader(ctx).Where(`id IN (SELECT rowid FROM message_words WHERE message_words MATCH ? ORDER BY rowid DESC LIMIT ?)`,
		`"`+strings.Join(words, `" "`)+`"`, q.Limit).Find(&found).Error
	return found, err
}

// unindexed searches what the indexer has not reached yet.
func (s *Store) unindexed(ctx context.Context, q models.Search, words []string, indexed int64) ([]models.Message, error) {
	var found []models.Message
	var tail []models.Message
	errDone := errors.New("enough")
	err := s.narrow(ctx, q).Where("id > ?", indexed).FindInBatches(&tail, indexBatch, func(*gorm.DB, int) error {
		for _, m := range tail {
			if has(models.Words(m.Content), words) {
				found = append(found, m)
			}
		}
		if n := len(tail); n > 0 && tail[n-1].ID > indexed+recent {
			return errDone
		}
		return nil
	}).Error
	if errors.Is(err, errDone) {
		err = nil
	}
	return found, err
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
	var indexed int64
	if err := s.reader(ctx).Table("bus").Select("indexed_id").Scan(&indexed).Error; err != nil {
		return false, s.reading(err)
	}
	var batch []models.Message
	err = s.reader(ctx).Select("id", "channel", "sender", "content").Where("id > ?", indexed).Order("id").Limit(indexBatch).Find(&batch).Error
	if err != nil || len(batch) == 0 {
		return false, s.reading(err)
	}
	args := make([]any, 0, 2*len(batch))
	for i := range batch {
		m := &batch[i]
		words := append(models.Words(m.Content), channelWord(m.Channel), senderWord(m.Sender))
		args = append(args, m.ID, strings.Join(words, " "))
	}
	last := batch[len(batch)-1].ID
	err = s.transact(ctx, func(tx *gorm.DB) error {
		// Another process may have been here since.
		moved := tx.Exec("UPDATE bus SET indexed_id = ? WHERE indexed_id = ?", last, indexed)
		if moved.Error != nil || moved.RowsAffected == 0 {
			return moved.Error
		}
		rows := strings.TrimSuffix(strings.Repeat("(?,?),", len(batch)), ",")
		return tx.Exec("INSERT INTO message_words (rowid, words) VALUES "+rows, args...).Error
	})
	return len(batch) == indexBatch, err
}
