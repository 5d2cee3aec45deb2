package store

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"crosstalk/models"
)

// CreateChannel makes a channel if there is none of that name, and describes it if description is not empty; otherwise
// than it is only if it may change.
func (s *Store) CreateChannel(ctx context.Context, name, description string, change bool) error {
	return s.Transact(ctx, func(tx *gorm.DB) error {
		if !change && description != "" {
			var was string
			if err := tx.Table("channels").Select("description").Where("name = ?", name).Scan(&was).Error; err != nil {
				return err
			}
			if was != "" && was != description {
				return models.Errorf(models.Forbidden, "channel %q is described already: to change that needs a key of scope admin. Leave the description out to use the channel as it is", name)
			}
		}
		return tx.Exec(`INSERT INTO channels (name, description, created_at) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET description = coalesce(nullif(excluded.description, ''), channels.description)`,
			name, description, models.TimeOf(time.Now())).Error
	})
}

// Pause has a channel refuse messages, with a reason, until Resume. What was sent before has been stored or will be
// refused once Pause has returned.
func (s *Store) Pause(ctx context.Context, name, reason string) error {
	now := models.TimeOf(time.Now())
	return s.setPaused(ctx, name, &now, reason)
}

// Resume ends a pause. A channel that is not paused stays as it is.
func (s *Store) Resume(ctx context.Context, name string) error {
	return s.setPaused(ctx, name, nil, "")
}

func (s *Store) setPaused(ctx context.Context, name string, at *models.Time, reason string) error {
	return s.Transact(ctx, func(tx *gorm.DB) error {
		if err := lockLog(tx); err != nil {
			return err
		}
		done := tx.Exec("UPDATE channels SET paused_at = ?, pause_reason = ? WHERE name = ?", at, reason, name)
		if done.Error == nil && done.RowsAffected == 0 {
			return noChannel(name)
		}
		return done.Error
	})
}

// Retain says what a channel keeps. What it keeps no longer is removed soon, by the process that tends the database.
func (s *Store) Retain(ctx context.Context, name string, r models.Retention) error {
	err := s.Transact(ctx, func(tx *gorm.DB) error {
		if err := lockLog(tx); err != nil {
			return err
		}
		done := tx.Exec("UPDATE channels SET keep_days = ?, keep_messages = ? WHERE name = ?", r.Days, r.Messages, name)
		if done.Error == nil && done.RowsAffected == 0 {
			return noChannel(name)
		}
		return done.Error
	})
	if err == nil {
		s.retain.Store(true)
		s.wrote.Store(true)
	}
	return err
}

func noChannel(name string) error {
	return models.Errorf(models.NotFound, "there is no channel %q: list the channels to see their names", name)
}

// Usage is what the database holds, as far as the search index knows it, which is at most a second behind.
type Usage struct {
	Bytes    int64            // of messages and shared data
	Channels int64            // how many there are
	Full     map[string]int64 // channels that hold at least as many bytes as was asked
}

// Usage counts what the database holds.
func (s *Store) Usage(ctx context.Context, full int64) (Usage, error) {
	u := Usage{Full: map[string]int64{}}
	err := s.Read(ctx, func(tx *gorm.DB) error {
		var rows []struct {
			Channel string
			Bytes   int64
		}
		err := tx.Raw(`SELECT channel, CAST(sum(bytes) AS BIGINT) AS bytes FROM (SELECT channel, bytes FROM usage
			UNION ALL SELECT channel, size_bytes FROM shared_data) AS held GROUP BY channel`).Scan(&rows).Error
		for _, row := range rows {
			if u.Bytes += row.Bytes; row.Bytes >= full && row.Channel != "" {
				u.Full[row.Channel] = row.Bytes
			}
		}
		if err != nil {
			return err
		}
		return tx.Table("channels").Count(&u.Channels).Error
	})
	return u, err
}

// HasChannel tells whether there is a channel.
func (s *Store) HasChannel(ctx context.Context, name string) (bool, error) {
	var n int64
	err := s.Read(ctx, func(tx *gorm.DB) error { return tx.Table("channels").Where("name = ?", name).Count(&n).Error })
	return n > 0, err
}

// mostActive is how many senders Activity tells of.
const mostActive = 100

// Activity counts what senders stored in a channel in each of the last hours, the current one included. Those who
// stored most come first, and only mostActive of them. since is when the first hour began.
func (s *Store) Activity(ctx context.Context, ch string, hours int) (list []models.Activity, since models.Time, err error) {
	const hour = int64(time.Hour / time.Millisecond)
	first := int64(models.TimeOf(time.Now()))/hour - int64(hours) + 1
	var rows []struct {
		Sender   string
		Hour     int64
		Messages int64
	}
	// One statement, so that what the indexer takes over meanwhile is counted once.
	err = s.Reader(ctx).Raw(`WITH counted AS (
			SELECT sender, hour, messages FROM activity WHERE channel = @ch AND hour >= @first
			UNION ALL SELECT sender, created_at / @hour, 1 FROM messages
				WHERE channel = @ch AND id > (SELECT indexed_id FROM bus) AND created_at >= @since),
		most AS (SELECT sender, sum(messages) AS total FROM counted GROUP BY sender ORDER BY total DESC, sender LIMIT @most)
		SELECT counted.sender, hour, CAST(sum(messages) AS BIGINT) AS messages FROM counted JOIN most ON most.sender = counted.sender
		GROUP BY total, counted.sender, hour ORDER BY total DESC, counted.sender`,
		map[string]any{"ch": ch, "first": first, "hour": hour, "since": first * hour, "most": mostActive}).Scan(&rows).Error
	list = []models.Activity{}
	for _, row := range rows {
		if n := len(list); n == 0 || list[n-1].Sender != row.Sender {
			list = append(list, models.Activity{Sender: row.Sender, Counts: make([]int64, hours)})
		}
		if at := row.Hour - first; at >= 0 && at < int64(hours) {
			list[len(list)-1].Counts[at] = row.Messages
		}
	}
	return list, models.Time(first * hour), s.reading(err)
}

// Channels lists channels, some of them or all, latest activity first.
func (s *Store) Channels(ctx context.Context, channels models.Patterns, limit int) ([]models.Channel, error) {
	return s.ChannelsBefore(ctx, channels, nil, limit)
}

// ChannelsBefore goes on with Channels after the one whose newest message is before.
func (s *Store) ChannelsBefore(ctx context.Context, channels models.Patterns, before *int64, limit int) ([]models.Channel, error) {
	list, from := []models.Channel{}, only(s.Reader(ctx), "name", channels)
	if before != nil {
		from = from.Where("(last_id < ? OR last_id IS NULL)", *before)
	}
	err := from.Order(byActivity).Limit(limit).Find(&list).Error
	return list, s.reading(err)
}

// byActivity puts channels without a message behind all others: their last_id is null.
const byActivity = "last_id DESC NULLS LAST, created_at DESC, name"

// FindChannels lists the channels, of some of them or all, whose name or description contains text.
func (s *Store) FindChannels(ctx context.Context, channels models.Patterns, text string, limit int) ([]models.Channel, error) {
	list := []models.Channel{}
	if err := checkText(text); err != nil {
		return nil, err
	}
	name := text
	if n, err := models.ParseChannel(text); err == nil {
		name = n
	}
	err := only(s.Reader(ctx), "name", channels).
		Where("(? OR ?)", s.words.Contains("name", name), s.words.Contains("description", text)).
		Order(byActivity).Limit(limit).Find(&list).Error
	return list, s.reading(err)
}

// longestText is what may be searched for, in bytes: the time that a search takes grows with its
// length, and the database refuses long patterns.
const longestText = 500

func checkText(text string) error {
	if len(text) > longestText {
		return models.Errorf(models.TooLarge, "the text to search for is %d bytes, at most %d are allowed", len(text), longestText)
	}
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return models.Errorf(models.Invalid, "the text to search for is not valid UTF-8, or contains U+0000")
	}
	return nil
}

// Unread adds to each channel how many messages came since the instance registered, if it ever did.
func (s *Store) Unread(ctx context.Context, list []models.Channel, instance string) error {
	var since int64
	found := s.Reader(ctx).Table("instances").Select("registered_id").Where("id = ?", instance).Scan(&since)
	if found.Error != nil || found.RowsAffected == 0 {
		return s.reading(found.Error)
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	var rows []struct {
		Name   string
		Unread int64
	}
	// Sequence numbers have no holes but those that retention leaves at the beginning.
	place := s.words.InChannel()
	err := s.Reader(ctx).Raw(`SELECT name, last_seq - coalesce((SELECT seq FROM messages WHERE channel = channels.name AND `+place+` <= ?
		ORDER BY `+place+` DESC LIMIT 1), last_seq - message_count) AS unread FROM channels WHERE name IN ?`, since, names).Scan(&rows).Error
	if err != nil {
		return s.reading(err)
	}
	unread := make(map[string]int64, len(rows))
	for _, row := range rows {
		unread[row.Name] = row.Unread
	}
	for i := range list {
		n := unread[list[i].Name]
		list[i].Unread = &n
	}
	return nil
}

// ShareData stores a text under its key, over an older version if there is one that belongs to one of some channels. The
// answer is without content.
func (s *Store) ShareData(ctx context.Context, d models.DataDraft, channels models.Patterns) (models.SharedData, error) {
	data := models.SharedData{
		Key: d.Key, Content: d.Content, CreatedBy: d.Sender, Description: d.Description, Channel: d.Channel,
		SizeBytes: int64(len(d.Content)), CreatedAt: models.TimeOf(time.Now()),
	}
	err := s.Transact(ctx, func(tx *gorm.DB) error {
		var was models.SharedData
		if err := tx.Select("version", "channel").Where("key = ?", d.Key).Limit(1).Find(&was).Error; err != nil {
			return err
		}
		if was.Version > 0 && !channels.Match(was.Channel) {
			return models.Errorf(models.Forbidden, "your key may not write under the key %q: choose another", d.Key)
		}
		version := was.Version
		if d.IfVersion != nil && *d.IfVersion != version {
			return models.Errorf(models.Conflict, "key %q is at version %d, not %d: read it again, then decide", d.Key, version, *d.IfVersion)
		}
		data.Version = version + 1
		return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&data).Error
	})
	data.Content = ""
	return data, err
}

// Data reads what is shared under a key, if it belongs to one of some channels.
func (s *Store) Data(ctx context.Context, key string, channels models.Patterns) (models.SharedData, error) {
	var data models.SharedData
	err := s.Reader(ctx).Where("key = ?", key).Take(&data).Error
	if err == nil && !channels.Match(data.Channel) {
		return models.SharedData{}, noData(key)
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return data, noData(key)
	}
	return data, s.reading(err)
}

// ListData lists what is shared, in some channels or all, the newest first, without contents.
func (s *Store) ListData(ctx context.Context, channels models.Patterns, limit int) ([]models.SharedData, error) {
	list := []models.SharedData{}
	err := only(s.Reader(ctx), "channel", channels).Omit("Content").Order("created_at DESC, key").Limit(limit).Find(&list).Error
	return list, s.reading(err)
}

// DeleteData removes what is shared under a key, if it belongs to one of some channels.
func (s *Store) DeleteData(ctx context.Context, key string, channels models.Patterns) error {
	return s.Transact(ctx, func(tx *gorm.DB) error {
		gone := only(tx.Where("key = ?", key), "channel", channels).Delete(&models.SharedData{})
		if gone.Error == nil && gone.RowsAffected == 0 {
			return noData(key)
		}
		return gone.Error
	})
}

func noData(key string) error {
	return models.Errorf(models.NotFound, "No shared data found under key %q: list what there is to see the keys", key)
}
