package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"crosstalk/models"
)

// Fresh is how long an instance counts as online after it was last seen, and NodeFresh how long a
// process counts as alive: what it held is free then.
const (
	Fresh     = 120 * time.Second
	NodeFresh = 20 * time.Second
)

// Register notes an instance. What it leaves out stays as it was.
func (s *Store) Register(ctx context.Context, r models.Registration) error {
	return s.together(ctx, func(tx *gorm.DB) error {
		return tx.Exec(`INSERT INTO instances (id, description, model, kind, registered_id, last_seen)
			VALUES (?, ?, ?, ?, (SELECT last_id FROM bus), ?)
			ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, last_seen = excluded.last_seen, left_at = 0,
				description = coalesce(nullif(excluded.description, ''), instances.description),
				model = coalesce(nullif(excluded.model, ''), instances.model)`,
			r.ID, r.Description, r.Model, r.Kind, models.TimeOf(time.Now())).Error
	})
}

// Hold ties a registered instance to a live connection of this process, unless another one holds it.
func (s *Store) Hold(ctx context.Context, id, session string) (held bool, err error) {
	now := models.TimeOf(time.Now())
	err = s.together(ctx, func(tx *gorm.DB) error {
		if err := s.alive(tx, now); err != nil {
			return err
		}
		done := tx.Exec(`UPDATE instances SET holder = ?, holder_node = ?, held_at = CASE WHEN holder = ? THEN held_at ELSE ? END
			WHERE id = ? AND (holder IN ('', ?) OR holder_node NOT IN (SELECT id FROM nodes WHERE seen_at >= ?))`,
			session, s.node, session, now, id, session, now-models.Time(NodeFresh.Milliseconds()))
		held = done.RowsAffected > 0
		return done.Error
	})
	return held, err
}

// Holder says since when a live connection holds an instance; 0: none does.
func (s *Store) Holder(ctx context.Context, id string) (session string, since models.Time, err error) {
	var row struct {
		Holder string
		HeldAt models.Time
	}
	err = s.Reader(ctx).Table("instances").Select("holder", "held_at").
		Where("id = ? AND holder <> '' AND holder_node IN (SELECT id FROM nodes WHERE seen_at >= ?)", id, models.TimeOf(time.Now().Add(-NodeFresh))).
		Scan(&row).Error
	return row.Holder, row.HeldAt, s.reading(err)
}

// alive notes that this process lives.
func (s *Store) alive(tx *gorm.DB, now models.Time) error {
	return tx.Exec("INSERT INTO nodes (id, seen_at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at", s.node, now).Error
}

// Sign is one instance's sign of life.
type Sign struct {
	ID      string
	At      models.Time
	Channel string // that it used, if it did
	Gone    string // the session that has let go of the name, if one has
	Left    bool   // the instance said that it goes
}

// Seen notes signs of life and names let go of, and, if holding, that this process lives. Ids that
// never registered are passed over.
func (s *Store) Seen(ctx context.Context, signs []Sign, holding bool) error {
	return s.Transact(ctx, func(tx *gorm.DB) error {
		now := models.TimeOf(time.Now())
		if holding {
			if err := s.alive(tx, now); err != nil {
				return err
			}
		}
		plain := map[models.Time][]string{}
		for _, sign := range signs {
			if sign.Channel == "" && sign.Gone == "" && !sign.Left {
				plain[sign.At] = append(plain[sign.At], sign.ID)
				continue
			}
			left := models.Time(0)
			if sign.Left {
				left = sign.At
			}
			err := tx.Exec(`UPDATE instances SET last_seen = CASE WHEN last_seen > ? THEN last_seen ELSE ? END, last_channel = coalesce(nullif(?, ''), last_channel),
				left_at = ? WHERE id = ?`, sign.At, sign.At, sign.Channel, left, sign.ID).Error
			if err != nil {
				return err
			}
			if sign.Gone == "" {
				continue
			}
			if err := tx.Exec("UPDATE instances SET holder = '' WHERE id = ? AND holder = ?", sign.ID, sign.Gone).Error; err != nil {
				return err
			}
		}
		for at, ids := range plain {
			slices.Sort(ids) // as the table is: what lies together is written together, 8 us each instead of 14 for 10,000
			for part := range slices.Chunk(ids, chunk) {
				err := tx.Exec("UPDATE instances SET last_seen = CASE WHEN last_seen > ? THEN last_seen ELSE ? END, left_at = 0 WHERE id IN ?", at, at, part).Error
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Instances lists instances, the last seen first: those that have used one of some channels, or all. An empty status
// lists all.
func (s *Store) Instances(ctx context.Context, channels models.Patterns, status models.Status, limit int) ([]models.Instance, error) {
	list := []models.Instance{}
	since := models.TimeOf(time.Now().Add(-Fresh))
	tx := users(s.Reader(ctx), channels).Order("last_seen DESC, id").Limit(limit).Select(`instances.*,
		CASE WHEN holder <> '' AND holder_node IN (SELECT id FROM nodes WHERE seen_at >= ?) THEN held_at END AS held_since`,
		models.TimeOf(time.Now().Add(-NodeFresh)))
	switch status {
	case models.Online:
		tx = tx.Where("last_seen >= ? AND left_at = 0", since)
	case models.Offline:
		tx = tx.Where("(last_seen < ? OR left_at > 0)", since)
	}
	if err := tx.Find(&list).Error; err != nil {
		return nil, s.reading(err)
	}
	for i := range list {
		list[i].Status = models.Offline
		if list[i].LastSeen >= since && list[i].LeftAt == 0 {
			list[i].Status = models.Online
		}
	}
	return list, nil
}

// users keeps the instances that have used one of some channels.
func users(tx *gorm.DB, channels models.Patterns) *gorm.DB {
	if channels == "" {
		return tx
	}
	fresh := func() *gorm.DB { return tx.Session(&gorm.Session{NewDB: true}) }
	return tx.Where("(id IN (?) OR id IN (?))", only(fresh().Table("positions").Select("instance"), "channel", channels),
		only(fresh().Table("participants").Select("sender"), "channel", channels))
}

// maxOnline bounds OnlineIDs.
const maxOnline = 50_000

// OnlineIDs lists who is online, those seen last if they are too many, of those that have used one of some channels or of all, for presence.
func (s *Store) OnlineIDs(ctx context.Context, channels models.Patterns) ([]string, error) {
	var ids []string
	since := models.TimeOf(time.Now().Add(-Fresh))
	err := users(s.Reader(ctx).Table("instances"), channels).Where("last_seen >= ? AND left_at = 0", since).Order("last_seen DESC").Limit(maxOnline).Pluck("id", &ids).Error
	slices.Sort(ids)
	return ids, s.reading(err)
}
