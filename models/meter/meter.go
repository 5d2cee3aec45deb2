package meter

import (
	"sync/atomic"
)

// Store counts what a store does.
type Store struct {
	Committed atomic.Int64 // messages
	Failed    atomic.Int64 // batches that were not committed
	Batch     Sizes        // messages of a transaction
	Commit    Times        // from taking up a batch to its being on disk
	Ack       Times        // from an append's being handed in to its answer; of those that are stored

	// Oldest is when the first append of the batch was handed in that OnCommit is being told of.
	Oldest atomic.Int64
}

// Hub counts what a hub does.
type Hub struct {
	Subscribers atomic.Int64 // at the moment
	Waits       atomic.Int64 // at the moment
	RingBytes   atomic.Int64 // at the moment
	RingMisses  atomic.Int64 // reads of the log for what the rings had no more
	Rung, Heard atomic.Int64 // the bell
	Lag         Times        // from another process's storing a message to its being read here
}
