// Package turns lets processes that write to one file do so in turn, the one that waits longest first. It is good
// manners and no lock: who waits for long, for a process that is stopped perhaps, goes ahead.
package turns
