package postgres

import (
	"github.com/jackc/pgx/v5"

	"crosstalk/models/store/ledger"
)

// writing makes statements of a batch: one for each table, with a column of values in each parameter.
type writing struct {
	*ledger.Batch
	queue pgx.Batch
}

func (w *writing) messages() {
	n := len(w.Messages)
	ids, seqs, parents := make([]int64, n), make([]int64, n), make([]*int64, n)
	channels, senders, kinds := make([]string, n), make([]string, n), make([]string, n)
	contents, types, verified := make([]string, n), make([]string, n), make([]bool, n)
	for i := range w.Messages {
		m := &w.Messages[i]
		ids[i], seqs[i], parents[i] = m.ID, m.Seq, m.InReplyTo
		channels[i], senders[i], kinds[i] = m.Channel, m.Sender, string(m.Kind)
		contents[i], types[i], verified[i] = m.Content, string(m.Type), m.Verified
	}
	w.queue.Queue(`INSERT INTO crosstalk.messages (id, seq, channel, sender, kind, verified, content, message_type, in_reply_to, created_at)
		SELECT *, $10::bigint FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[], $8::text[], $9::bigint[])`,
		ids, seqs, channels, senders, kinds, verified, contents, types, parents, int64(w.At))
}

// channels advances each channel's row by what the batch adds, creating channels on the way.
func (w *writing) channels() {
	n := len(w.Tails)
	names, seqs, counts, ids := make([]string, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, t := range w.Tails {
		names[i], seqs[i], counts[i], ids[i] = t.Channel, t.LastSeq, t.Count, t.LastID
	}
	w.queue.Queue(`INSERT INTO crosstalk.channels (name, last_seq, message_count, last_id, created_at, last_message_at)
		SELECT *, $5::bigint, $5::bigint FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
		ON CONFLICT (name) DO UPDATE SET last_seq = excluded.last_seq, message_count = channels.message_count + excluded.message_count,
			last_id = excluded.last_id, last_message_at = excluded.last_message_at`, names, seqs, counts, ids, int64(w.At))
}

func (w *writing) replies() {
	if len(w.Replies) == 0 {
		return
	}
	parents, counts := make([]int64, len(w.Replies)), make([]int64, len(w.Replies))
	for i, r := range w.Replies {
		parents[i], counts[i] = r.Parent, r.Count
	}
	w.queue.Queue(`UPDATE crosstalk.messages AS parent SET reply_count = parent.reply_count + added.replies
		FROM unnest($1::bigint[], $2::bigint[]) AS added (id, replies) WHERE parent.id = added.id`, parents, counts)
}

// senders keeps each channel's list of active senders.
func (w *writing) senders() {
	n := len(w.Senders)
	if n == 0 {
		return
	}
	channels, senders, times := make([]string, n), make([]string, n), make([]int64, n)
	for i, s := range w.Senders {
		channels[i], senders[i], times[i] = s.Channel, s.Sender, int64(s.At)
	}
	w.queue.Queue(`INSERT INTO crosstalk.participants (channel, sender, last_at) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
		ON CONFLICT (channel, sender) DO UPDATE SET last_at = excluded.last_at`, channels, senders, times)
	w.queue.Queue(`UPDATE crosstalk.channels AS c SET active_senders = coalesce((
			SELECT string_agg(sender, ', ' ORDER BY last_at DESC) FROM (
				SELECT sender, last_at FROM crosstalk.participants AS p WHERE p.channel = c.name AND last_at >= $2 ORDER BY last_at DESC LIMIT $3) AS latest), '')
		WHERE name = ANY($1)`, w.Active.Channels, int64(w.Active.Since), w.Active.Most)
}

func (w *writing) keys() {
	n := len(w.Keys)
	if n == 0 {
		return
	}
	principals, senders, names, digests := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	ids, seqs := make([]int64, n), make([]int64, n)
	for i, k := range w.Keys {
		m := &w.Messages[k.At]
		principals[i], senders[i], names[i], digests[i], ids[i], seqs[i] = k.Principal, k.Sender, k.Key.Key, k.Digest, m.ID, m.Seq
	}
	w.queue.Queue(`INSERT INTO crosstalk.idempotency (principal, sender, key, message_id, seq, digest, created_at)
		SELECT *, $7::bigint FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
		ON CONFLICT (principal, sender, key) DO UPDATE SET message_id = excluded.message_id, seq = excluded.seq,
			digest = excluded.digest, created_at = excluded.created_at`, principals, senders, names, ids, seqs, digests, int64(w.Batch.At))
}
