package inspect

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"crosstalk/models"
)

// Sizes say how large a database is. Bytes of content are known as far as the search index is.
type Sizes struct {
	BusID         string        `json:"bus_id"`
	Messages      int64         `json:"messages"`
	ContentBytes  int64         `json:"content_bytes"`
	LastID        int64         `json:"last_id"`
	IndexLag      int64         `json:"index_lag"` // messages that the index does not know yet
	DataItems     int64         `json:"data_items"`
	DataBytes     int64         `json:"data_bytes"`
	DatabaseBytes int64         `json:"database_bytes"`
	IndexStale    *int64        `json:"index_stale,omitempty"` // removed messages whose words are still in it; SQLite's
	FreeBytes     *int64        `json:"free_bytes,omitempty"`  // of SQLite's file, in which nothing is
	WALBytes      *int64        `json:"wal_bytes,omitempty"`   // SQLite's
	Channels      []ChannelSize `json:"channels"`
}

// ChannelSize says how large a channel is.
type ChannelSize struct {
	Name     string       `json:"name"`
	Messages int64        `json:"messages"`
	Bytes    int64        `json:"content_bytes"`
	Oldest   *models.Time `json:"oldest"`
	Newest   *models.Time `json:"newest"`

	KeepDays     *int64 `json:"keep_days,omitempty"` // nil: what the hub keeps; 0: any number
	KeepMessages *int64 `json:"keep_messages,omitempty"`
}

// Measure says how large things are, the largest channel first.
func (s *Source) Measure(ctx context.Context) (m Sizes, err error) {
	err = s.tx.QueryRowContext(ctx, "SELECT bus_id, last_id FROM bus").Scan(&m.BusID, &m.LastID)
	if err != nil {
		return m, err
	}
	if err := s.tx.QueryRowContext(ctx, "SELECT count(*) FROM messages WHERE id > (SELECT indexed_id FROM bus)").Scan(&m.IndexLag); err != nil {
		return m, err
	}
	err = s.tx.QueryRowContext(ctx, "SELECT count(*), CAST(coalesce(sum(size_bytes), 0) AS BIGINT) FROM shared_data").Scan(&m.DataItems, &m.DataBytes)
	if err != nil {
		return m, err
	}
	m.Channels = []ChannelSize{}
	const query = `SELECT c.name, c.message_count, coalesce(u.bytes, 0) AS bytes,
		(SELECT created_at FROM messages AS m WHERE m.channel = c.name ORDER BY id LIMIT 1),
		CASE WHEN c.message_count > 0 THEN c.last_message_at END, c.keep_days, c.keep_messages
		FROM channels AS c LEFT JOIN usage AS u ON u.channel = c.name ORDER BY bytes DESC, c.name`
	err = s.each(ctx, query, func(scan func(...any) error) error {
		var c ChannelSize
		var oldest, newest *int64
		err := scan(&c.Name, &c.Messages, &c.Bytes, &oldest, &newest, &c.KeepDays, &c.KeepMessages)
		c.Oldest, c.Newest = moment(oldest), moment(newest)
		m.Channels = append(m.Channels, c)
		m.Messages += c.Messages
		m.ContentBytes += c.Bytes
		return err
	})
	if err != nil {
		return m, err
	}
	if s.file != "" {
		err = s.measureFile(ctx, &m)
	} else {
		err = s.tx.QueryRowContext(ctx, `SELECT CAST(coalesce(sum(pg_total_relation_size(c.oid)), 0) AS BIGINT) FROM pg_class AS c
			JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'crosstalk' AND c.relkind = 'r'`).Scan(&m.DatabaseBytes)
	}
	if err != nil {
		return m, err
	}
	return m, s.still()
}

func moment(at *int64) *models.Time {
	if at == nil {
		return nil
	}
	t := models.Time(*at)
	return &t
}

func (s *Source) measureFile(ctx context.Context, m *Sizes) error {
	var free, page, stale, wal int64
	err := s.tx.QueryRowContext(ctx, "SELECT freelist_count, page_size, stale FROM pragma_freelist_count, pragma_page_size, bus").Scan(&free, &page, &stale)
	if err != nil {
		return err
	}
	info, err := os.Stat(s.file)
	if err != nil {
		return err
	}
	switch log, err := os.Stat(s.file + "-wal"); {
	case err == nil:
		wal = log.Size()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	free *= page
	m.DatabaseBytes, m.FreeBytes, m.WALBytes, m.IndexStale = info.Size(), &free, &wal, &stale
	return nil
}
