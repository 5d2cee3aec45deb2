// Package store keeps the bus in a database: one log, totally ordered, and the counts that go with it.
//
// An append returns only after its transaction is on disk. Ids are dense and become visible in id
// order, over all channels and processes, because every append advances one row whose lock it holds
// to the commit: a reader that asks for id > after never skips a message. Nothing is counted by
// scanning. A page costs what it returns, however long the history is.
//
// One goroutine per process writes messages. It takes whatever appends wait, under load also those
// that are about to come (package gather), and commits them together, then reports them to OnCommit
// in commit order, then answers their callers.
package store
