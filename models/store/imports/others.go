package imports

import (
	"fmt"

	"gorm.io/gorm/clause"

	"crosstalk/models"
)

// counted counts what became of a row that goes where no other stands.
func (c *Count) counted(rows int64, err error) (added bool, _ error) {
	if err == nil && rows > 0 {
		c.Added++
	} else if err == nil {
		c.Here++
	}
	return rows > 0, err
}

// takeChannels takes names and descriptions. One that is described here keeps that; of general, which always is, the
// first import takes the description that it had.
func (w *work) takeChannels() error {
	return w.from.each(w.ctx, "channels", []string{"name", "description", "created_at"}, func(row []any) error {
		w.report.Channels.Found++
		return w.mend(func(m *mender) (bool, error) {
			name := m.channel(text(row[0]))
			description := m.description("channel", "channel "+name, text(row[1]))
			created, ok := moment(row[2])
			if !ok || created > w.now {
				created = w.now
			}
			done := w.tx.Exec(`INSERT INTO channels (name, description, created_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING`, name, description, created)
			if done.Error != nil || done.RowsAffected > 0 {
				return w.report.Channels.counted(done.RowsAffected, done.Error)
			}
			if w.channels[name] != nil { // its messages have made it, or were added to it
				seeded := name == models.General && w.report.Messages.Here == 0
				done = w.tx.Exec(`UPDATE channels SET created_at = ?, description = CASE WHEN ? <> '' AND (description = '' OR ?) THEN ? ELSE description END
					WHERE name = ?`, created, description, seeded, description, name)
			}
			return w.report.Channels.counted(done.RowsAffected, done.Error)
		})
	})
}

// takeInstances takes who was registered. Nobody of them is here now, and what comes from here on is for them.
func (w *work) takeInstances() error {
	return w.from.each(w.ctx, "instances", []string{"instance_id", "description", "last_seen"}, func(row []any) error {
		w.report.Instances.Found++
		return w.mend(func(m *mender) (bool, error) {
			id := m.name("instance", text(row[0]))
			seen, ok := moment(row[2])
			if !ok || seen > w.now {
				seen = w.now
			}
			done := w.tx.Exec(`INSERT INTO instances (id, description, kind, registered_id, last_seen, left_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
				id, m.description("instance", "instance "+id, text(row[1])), models.KindAgent, w.begun, seen, seen)
			return w.report.Instances.counted(done.RowsAffected, done.Error)
		})
	})
}

func (w *work) takeData() error {
	columns := []string{"key", "content", "created_by", "description", "created_at"}
	return w.from.each(w.ctx, "shared_data", columns, func(row []any) error {
		w.report.Data.Found++
		return w.mend(func(m *mender) (bool, error) {
			given := text(row[0])
			data := models.SharedData{Key: m.key(given), Version: 1, CreatedBy: m.name("shared data", text(row[2]))}
			where := fmt.Sprintf("key %.40q", given)
			data.Content = m.data(where, m.text("shared data", where, text(row[1])))
			data.Description = m.description("shared data", where, text(row[3]))
			data.SizeBytes = int64(len(data.Content))
			var ok bool
			if data.CreatedAt, ok = moment(row[4]); !ok || data.CreatedAt > w.now {
				data.CreatedAt = w.now
			}
			rows, err := w.insertData(&data)
			// Another key may have been mended to this one.
			for n, key := 2, data.Key; err == nil && rows == 0 && (key != given || w.keys[key]); n++ {
				var same int64
				err = w.tx.Model(&data).Where("key = ? AND content = ?", data.Key, data.Content).Count(&same).Error
				if err != nil || same > 0 {
					break
				}
				data.Key = fmt.Sprintf("%s-%d", cutRunes(key, models.MaxName-8), n)
				rows, err = w.insertData(&data)
			}
			return w.report.Data.counted(rows, err)
		})
	})
}

// insertData stores data under a key that is free.
func (w *work) insertData(data *models.SharedData) (rows int64, err error) {
	done := w.tx.Clauses(clause.OnConflict{DoNothing: true}).Create(data)
	if done.RowsAffected > 0 {
		w.keys[data.Key] = true
	}
	return done.RowsAffected, done.Error
}

// takePositions takes how far each instance has read. Where it stands here already, it stays.
func (w *work) takePositions() error {
	return w.from.each(w.ctx, "read_cursors", []string{"channel", "instance_id", "last_read_id"}, func(row []any) error {
		w.report.Positions.Found++
		at, ok := number(row[2])
		if !ok || at < 0 {
			w.report.note("read position LEFT OUT: it is no id", "", "of %.40q in %.40q", text(row[1]), text(row[0]))
			return nil
		}
		return w.mend(func(m *mender) (bool, error) {
			if at > w.begun {
				m.report.note("read position: beyond the newest message, now there", "", "of %.40q in %.40q", text(row[1]), text(row[0]))
				at = w.begun
			}
			done := w.tx.Exec("INSERT INTO positions (instance, channel, read_id, shown_id) VALUES (?, ?, ?, ?) ON CONFLICT (instance, channel) DO NOTHING",
				m.name("read position", text(row[1])), m.channel(text(row[0])), at, at)
			return w.report.Positions.counted(done.RowsAffected, done.Error)
		})
	})
}
