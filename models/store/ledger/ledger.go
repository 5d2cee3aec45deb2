package ledger

import (
	"errors"

	"crosstalk/models"
)

// ErrUnknown says that the answer to a commit was lost, and that it cannot be found out whether it took place.
var ErrUnknown = errors.New("it is not known whether the transaction was committed")

// Ask is what must be known of the log before something is added to it.
type Ask struct {
	Channels []string // that may get messages
	Keys     []Key    // that the messages carry
}

// Key is an idempotency key.
type Key struct{ Principal, Sender, Key string }

// First is the message that first carried a key.
type First struct {
	ID, Seq int64
	Digest  string // of what was sent
	At      models.Time
}

// Head is where the log ends. In the transaction that read it, there it stays.
type Head struct {
	LastID int64
	LastAt models.Time
	Firsts map[Key]First     // of the keys asked for, those that are known
	Paused map[string]string // channels that take no messages, and why
}

// Batch is what is added: messages with the ids that come next, and what is counted along the way.
type Batch struct {
	At       models.Time
	Messages []models.Message // at least one; their Seq is the database's to give
	Tails    []Tail           // of the channels that the messages go to, each once
	Replies  []Reply          // each parent once
	Keys     []Keyed
	Senders  []Sender // that are to be noted as active, each once in a channel
	Active   Active
}

// Tail is the end of a channel.
type Tail struct {
	Channel string
	Count   int64 // of the messages that the batch adds
	LastID  int64
	LastSeq int64 // given by the database
}

// Reply counts the answers to a message.
type Reply struct{ Parent, Count int64 }

// Keyed is a message of the batch that carries an idempotency key.
type Keyed struct {
	Key
	Digest string
	At     int // its place in Messages
}

// Sender was active in a channel.
type Sender struct {
	Channel, Sender string
	At              models.Time
}

// Active says whose names a channel shows: the latest, so many, that were there since.
type Active struct {
	Channels []string // whose names are to be listed anew
	Since    models.Time
	Most     int
}

// LastID is the id of the newest message.
func (b *Batch) LastID() int64 { return b.Messages[len(b.Messages)-1].ID }

// Number gives the messages their sequence numbers, once those of the tails are known.
func (b *Batch) Number() {
	next := make(map[string]int64, len(b.Tails))
	for _, t := range b.Tails {
		next[t.Channel] = t.LastSeq - t.Count
	}
	for i := range b.Messages {
		m := &b.Messages[i]
		next[m.Channel]++
		m.Seq = next[m.Channel]
	}
}

// Entry is a message as the search index knows it.
type Entry struct {
	ID    int64
	Words string // with blanks between; the first two name channel and sender
}

// Harvest is what the search index, and what counts along with it, takes from messages.
type Harvest struct {
	After   int64            // the index knew all up to here
	Entries []Entry          // of the messages that come next, at least one
	Bytes   map[string]int64 // of contents, by channel
	Spoken  map[Hour]int64   // messages
}

// Last is the id of the newest message of the harvest.
func (h *Harvest) Last() int64 { return h.Entries[len(h.Entries)-1].ID }

// Hour is an hour, since 1970, of one sender in a channel.
type Hour struct {
	Channel, Sender string
	Hour            int64
}
