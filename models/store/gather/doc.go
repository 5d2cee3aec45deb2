// Package gather forms batches of what many senders want stored, each of whom waits for its answer.
//
//   - A sender on its own is not kept waiting.
//   - Senders who send again as soon as they are answered come into one batch, not into two that take turns: a batch costs
//     much, a message more in it little. Next waits for them, 40 us for each that was there when the last batch was
//     answered, at most 2 ms.
//   - Where they do not come, Next waits ever more rarely: at last for one batch of 64.
//   - A batch has at most as many messages and bytes as New was told, or one message. What came first is in it.
//   - Put waits while the queue is full, as long as its context lets it.
package gather
