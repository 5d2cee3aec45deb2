package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
)

// Position is how far an instance has read a channel that it uses. What lies in (ReadID, ShownID]
// was shown once, without a hole, and is not known to have been read.
type Position struct {
	Instance string
	Channel  string
	ReadID   *int64 // nil: it has never read here
	ShownID  int64
	ShownBy  string
}

// Mark says that an answer over a connection showed all of a channel in (From, To].
type Mark struct {
	Channel  string
	From, To int64
	First    bool // there was no position: it begins at From
}

// Positions returns what is known of an instance's reading: of one channel, or with models.Every of
// all that it uses.
func (s *Store) Positions(ctx context.Context, instance, ch string) ([]Position, error) {
	tx := s.Reader(ctx).Where("instance = ?", instance)
	if ch != models.Every {
		tx = tx.Where("channel = ?", ch)
	}
	var list []Position
	err := tx.Order("channel").Find(&list).Error
	return list, s.reading(err)
}

// Registered returns the head of the bus when the instance first registered; one that never did
// registers now.
func (s *Store) Registered(ctx context.Context, instance string) (int64, error) {
	var at int64
	err := s.Reader(ctx).Raw("SELECT registered_id FROM instances WHERE id = ?", instance).Row().Scan(&at)
	if !errors.Is(err, sql.ErrNoRows) {
		return at, s.reading(err)
	}
	if err := s.Register(ctx, models.Registration{ID: instance, Kind: models.KindAgent}); err != nil {
		return 0, err
	}
	return s.Registered(ctx, instance)
}

// Use notes that an instance uses a channel. If at is given and it has no position there, it gets that.
func (s *Store) Use(ctx context.Context, instance, ch string, at *int64) error {
	return s.together(ctx, func(tx *gorm.DB) error {
		return tx.Exec(`INSERT INTO positions (instance, channel, read_id, shown_id) VALUES (?, ?, ?, coalesce(?, 0))
			ON CONFLICT (instance, channel) DO UPDATE SET read_id = excluded.read_id, shown_id = excluded.shown_id
			WHERE positions.read_id IS NULL AND excluded.read_id IS NOT NULL`, instance, ch, at, at).Error
	})
}

// Acted turns what was shown over a connection into read.
func (s *Store) Acted(ctx context.Context, instance, conn string) error {
	return s.together(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE positions SET read_id = shown_id, shown_by = '' WHERE instance = ? AND shown_by = ? AND shown_id > read_id",
			instance, conn).Error
	})
}

// Stands turns what was shown up to an id into read, in one channel or with models.Every in all: the
// instance says that it stands there.
func (s *Store) Stands(ctx context.Context, instance, ch string, at int64) error {
	return s.together(ctx, func(tx *gorm.DB) error {
		mine := tx.Table("positions").Where("instance = ? AND read_id < shown_id AND read_id < ?", instance, at)
		if ch != models.Every {
			mine = mine.Where("channel = ?", ch)
		}
		return mine.Update("read_id", gorm.Expr("CASE WHEN shown_id < ? THEN shown_id ELSE ? END", at, at)).Error
	})
}

// Show notes what an answer has shown. What was shown before, too, is read now.
func (s *Store) Show(ctx context.Context, instance, conn string, marks []Mark) error {
	return s.together(ctx, func(tx *gorm.DB) error {
		for _, m := range marks {
			if m.First {
				if err := tx.Exec("INSERT INTO positions (instance, channel) VALUES (?, ?) ON CONFLICT DO NOTHING", instance, m.Channel).Error; err != nil {
					return err
				}
				begin := "UPDATE positions SET read_id = ?, shown_id = ? WHERE instance = ? AND channel = ? AND read_id IS NULL"
				if err := tx.Exec(begin, m.From, m.From, instance, m.Channel).Error; err != nil {
					return err
				}
			}
			// A mark that begins beyond what was shown leaves a hole: nothing moves.
			err := tx.Exec(`UPDATE positions SET
				read_id = CASE WHEN ? > read_id THEN read_id WHEN shown_id > ? THEN ? WHEN shown_id > read_id THEN shown_id ELSE read_id END,
				shown_id = CASE WHEN shown_id > ? THEN shown_id ELSE ? END, shown_by = ?
				WHERE instance = ? AND channel = ? AND ? <= shown_id AND ? > read_id`,
				m.From, m.To, m.To, m.To, m.To, conn, instance, m.Channel, m.From, m.To).Error
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Unseen counts the messages of others in a channel after an id, up to most.
func (s *Store) Unseen(ctx context.Context, ch, instance string, after int64, most int) (int, error) {
	var n int
	err := s.Reader(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM messages WHERE channel = ? AND "+s.words.InChannel()+" > ? AND sender <> ? LIMIT ?) AS few",
		ch, after, instance, most).Row().Scan(&n)
	return n, s.reading(err)
}

// LastChannel returns the channel that an instance used last, as far as that was written.
func (s *Store) LastChannel(ctx context.Context, instance string) (string, error) {
	var ch string
	err := s.Reader(ctx).Table("instances").Select("last_channel").Where("id = ?", instance).Scan(&ch).Error
	return ch, s.reading(err)
}

// Sender returns who sent a message; empty if it is not there.
func (s *Store) Sender(ctx context.Context, id int64) (string, error) {
	var sender string
	err := s.Reader(ctx).Table("messages").Select("sender").Where("id = ?", id).Scan(&sender).Error
	return sender, s.reading(err)
}

// Wait is one open wait's row.
type Wait struct {
	ID        int64
	Wait      string
	Asked     string
	Channel   string
	Instance  string
	Principal string
	Role      models.Role
	Since     models.Time
	Node      string
}

// chunk bounds how much a statement names.
const chunk = 64

// NoteWaits writes which waits of this process have begun, in their order, and which have ended. The
// rows of those that have begun get their ids.
func (s *Store) NoteWaits(ctx context.Context, begun []Wait, ended []string) error {
	return s.Transact(ctx, func(tx *gorm.DB) error {
		if err := s.alive(tx, models.TimeOf(time.Now())); err != nil {
			return err
		}
		for i := range begun {
			begun[i].ID, begun[i].Node = 0, s.node
			if err := tx.Create(&begun[i]).Error; err != nil {
				return err
			}
		}
		for ; len(ended) > 0; ended = ended[min(chunk, len(ended)):] {
			if err := tx.Exec("DELETE FROM waits WHERE wait IN ?", ended[:min(chunk, len(ended))]).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// living keeps rows of processes that live.
func living(tx *gorm.DB) *gorm.DB {
	since := models.TimeOf(time.Now().Add(-NodeFresh))
	return tx.Where("node IN (SELECT id FROM nodes WHERE seen_at >= ?)", since)
}

// Waits lists the open waits on a channel, or with models.Every all, in the order in which they began.
func (s *Store) Waits(ctx context.Context, ch string) ([]Wait, error) {
	tx := living(s.Reader(ctx))
	if ch != models.Every {
		tx = tx.Where("channel = ?", ch)
	}
	var list []Wait
	err := tx.Order("id").Limit(maxWaits).Find(&list).Error
	return list, s.reading(err)
}

// Alone says whether no other process that lives uses the store: all who do so and have waits say that they live.
func (s *Store) Alone(ctx context.Context) (bool, error) {
	var others int64
	err := s.Reader(ctx).Table("nodes").Where("id <> ? AND seen_at >= ?", s.node, models.TimeOf(time.Now().Add(-NodeFresh))).Count(&others).Error
	return others == 0, s.reading(err)
}

// maxWaits bounds a list of waits.
const maxWaits = 1000

// NewWaits lists waits of other processes that began after a row, and the newest row.
func (s *Store) NewWaits(ctx context.Context, after int64) (list []Wait, last int64, err error) {
	if err := s.Reader(ctx).Table("waits").Select("coalesce(max(id), 0)").Scan(&last).Error; err != nil || last <= after {
		return nil, max(last, after), s.reading(err)
	}
	err = s.Reader(ctx).Where("id > ? AND id <= ? AND node <> ?", after, last, s.node).Order("id").Find(&list).Error
	return list, last, s.reading(err)
}

// Mutual decides whether a wait is the one to be told that everybody on its channel waits: it is the
// latest of at least two, nobody was told within the grace, and no instance that lately posted there
// is online and awake. peer is another waiter; empty if there is none.
func (s *Store) Mutual(ctx context.Context, wait, ch string, grace time.Duration) (tell bool, peer string, err error) {
	err = s.Transact(ctx, func(tx *gorm.DB) error {
		now := models.TimeOf(time.Now())
		var all []Wait
		if err := living(tx).Where("channel = ?", ch).Order("id").Limit(maxWaits).Find(&all).Error; err != nil {
			return err
		}
		me, latest := Wait{}, Wait{}
		waiting := map[string]bool{}
		for _, w := range all {
			waiting[w.Instance] = true
			if w.Wait == wait {
				me = w
			}
			if w.Role == models.RoleActive {
				latest = w
			}
		}
		for _, w := range all {
			if w.Instance != me.Instance && w.Role == models.RoleActive {
				peer = w.Instance
			}
		}
		if peer == "" || me.Wait == "" || latest.Wait != wait {
			return nil
		}
		busy, err := s.awake(tx, ch, now, waiting)
		if err != nil || busy {
			return err
		}
		told := tx.Exec(`INSERT INTO mutual_waits (channel, told_at) VALUES (?, ?)
			ON CONFLICT (channel) DO UPDATE SET told_at = excluded.told_at WHERE mutual_waits.told_at <= ?`,
			ch, now, now-models.Time(grace.Milliseconds()))
		tell = told.RowsAffected > 0
		return told.Error
	})
	return tell, peer, err
}

// lately is how long a post makes its sender one of a channel's company.
const lately = 10 * time.Minute

// awake says whether somebody who lately posted in the channel is online and does not wait on it.
func (s *Store) awake(tx *gorm.DB, ch string, now models.Time, waiting map[string]bool) (bool, error) {
	var senders []string
	err := tx.Raw(`SELECT sender FROM participants JOIN instances ON instances.id = participants.sender
		WHERE channel = ? AND last_at >= ? AND last_seen >= ? AND left_at = 0`, ch,
		now-models.Time(lately.Milliseconds()), now-models.Time(Fresh.Milliseconds())).Scan(&senders).Error
	for _, sender := range senders {
		if !waiting[sender] {
			return true, err
		}
	}
	return false, err
}
