// Package push tells the one client of a process of new messages as they come, by notifications that an
// idle session wakes for. A push is a hint, never the only copy: the log is the queue, so nothing is
// stored here, a client that takes its time holds up nobody, and when it is back it hears how many
// messages came instead of each.
package push
