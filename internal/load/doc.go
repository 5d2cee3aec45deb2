// Package load drives a hub as its users do, and tells what they would have felt.
//
// Publishers send over REST, each the next message when the last was answered, or at a rate; listeners follow over
// WebSocket, and waiters by long polls. Every message says who sent it, as which of its messages and when, so that each
// listener and waiter sees for itself what was lost, came twice or in another order. Only messages of the run count.
//
// It writes and reads the wire itself, because on a machine that it shares with the hub what it costs is taken from
// the hub: a listener spends about two microseconds on a message.
package load
