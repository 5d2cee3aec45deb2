// Package backup copies a SQLite database that is in use, and puts a copy in its place again. A copy is of one moment,
// and those who write meanwhile do not wait for it. It is read from end to end before it gets its name, so that what
// has the name is whole; nothing that is there already is overwritten unless that was asked for. Restoring is for a
// database that nobody has open: what it held is kept beside it, and the new one has a bus_id of its own, so that
// clients which know more than it does start over.
package backup
