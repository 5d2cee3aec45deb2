// Package sqlite opens a SQLite database as the store wants it: in WAL mode with an fsync at every
// commit, one connection that writes, a few that read, on a version of SQLite known to be sound. The
// search index alone is on disk only with the next message: after a loss of power it takes in again
// what it has lost.
// Processes that write to one file take turns. A file in which another program keeps something is left as it is.
package sqlite
