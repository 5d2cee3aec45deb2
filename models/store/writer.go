package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"crosstalk/models"
	"crosstalk/models/meter"
	"crosstalk/models/store/ledger"
)

// The writer's bounds. A queue that is full makes senders wait; a batch that is full is committed.
const (
	maxQueue      = 4096
	maxBatch      = 256
	maxBatchBytes = 4 << 20
)

// Append is a checked draft with what only the hub knows of its sender.
type Append struct {
	models.Draft
	Principal string
	Verified  bool
}

// pending is an append on its way through the writer.
type pending struct {
	Append
	since int64 // meter.Now

	// Set by the writer before done.
	receipt models.Receipt
	err     error

	done chan struct{} // size 1
}

// Append stores a message and returns once it is on disk. After ctx has ended an append that waits
// for its turn is given up; one whose turn has come is answered truthfully.
func (s *Store) Append(ctx context.Context, a Append) (receipt models.Receipt, err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return models.Receipt{}, models.Errorf(models.Unavailable, "the server is shutting down: try again in a moment")
	}
	s.appends.Add(1)
	s.mu.Unlock()
	defer s.appends.Done()

	p := s.pendings.Get().(*pending)
	p.Append, p.since = a, meter.Now()
	err = s.queue.Put(ctx, p)
	if err == nil {
		<-p.done
		receipt, err = p.receipt, p.err
	}
	*p = pending{done: p.done}
	s.pendings.Put(p)
	return receipt, err
}

// writeLoop commits what waits, as much at a time as waits: under load, batches form by themselves.
func (s *Store) writeLoop(ctx context.Context) {
	for batch := s.queue.Next(ctx, nil); len(batch) > 0; batch = s.queue.Next(ctx, batch) {
		s.turn.Add(1)
		begun := meter.Now()
		messages, err := s.commit(batch)
		s.count(batch, len(messages), begun, err)
		if err == nil && len(messages) > 0 {
			s.fresh.add(messages)
			s.committed(messages)
		}
		s.queue.Answering()
		answered := meter.Now()
		for _, p := range batch {
			if err != nil {
				p.receipt, p.err = models.Receipt{}, err
			}
			if p.err == nil {
				s.meter.Ack.Add(time.Duration(answered - p.since))
			}
			p.done <- struct{}{}
		}
		clear(batch)
		s.turn.Add(1)
	}
}

// count notes what became of a batch, before it is told of.
func (s *Store) count(batch []*pending, messages int, begun int64, err error) {
	switch {
	case err != nil:
		s.meter.Failed.Add(1)
	case messages > 0:
		s.meter.Oldest.Store(batch[0].since)
		s.meter.Committed.Add(int64(messages))
		s.meter.Batch.Add(messages)
		s.meter.Commit.Add(time.Duration(meter.Now() - begun))
	}
}

// commit writes a batch in one transaction. An error is that of the whole batch; what is wrong with
// one append stands in it.
func (s *Store) commit(batch []*pending) ([]models.Message, error) {
	var b *appender
	err := s.db.Append(ask(batch), func(head ledger.Head) *ledger.Batch {
		if b != nil {
			s.seen.forget() // the transaction before came to nothing
		}
		b = &appender{seen: &s.seen, now: models.TimeOf(time.Now()), head: head}
		return b.plan(batch)
	})
	if err != nil {
		s.seen.forget()
		return nil, s.writing(err)
	}
	s.wrote.Store(true)
	b.answer()
	if len(b.Messages) > 0 {
		_ = s.writing(nil)
	}
	return b.Messages, nil
}

// fresh holds what this process has just stored for the indexer, which then need not read it back.
type fresh struct {
	mu sync.Mutex

	// Guarded by mu.
	messages []*models.Message // one after the other
	size     int               // of their contents
}

// What fresh holds at most: so many messages, so many bytes of contents. What came first goes first; the indexer finds
// that in the database.
const (
	freshMessages = 20_000
	freshBytes    = 4 << 20
)

// add takes in a batch, which nobody changes any more.
func (f *fresh) add(batch []models.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.messages); n > 0 && f.messages[n-1].ID+1 != batch[0].ID {
		f.drop(n) // another process wrote in between
	}
	for i := range batch {
		f.messages = append(f.messages, &batch[i])
		f.size += len(batch[i].Content)
	}
	for len(f.messages) > freshMessages || f.size > freshBytes {
		f.drop(1)
	}
}

// drop is called with mu held.
func (f *fresh) drop(n int) {
	for i, m := range f.messages[:n] {
		f.size -= len(m.Content)
		f.messages[i] = nil
	}
	f.messages = f.messages[n:]
}

// next returns the messages that come after one, at most so many, and forgets those before. It returns none if they
// are not all here.
func (f *fresh) next(after int64, most int) []*models.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.messages) == 0 || f.messages[0].ID > after+1 {
		return nil
	}
	f.drop(int(min(after+1-f.messages[0].ID, int64(len(f.messages)))))
	return slices.Clone(f.messages[:min(most, len(f.messages))])
}
