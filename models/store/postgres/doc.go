// Package postgres keeps the bus in a PostgreSQL database, in a schema of its own; what else is there is not touched.
//
// Every append locks the one row of crosstalk.bus, reads where the log ends, and holds the lock to the commit: ids
// become visible in their order, whichever process appends. A transaction that cannot have been committed is run
// anew where that may help. A commit whose answer was lost is looked up and not repeated.
//
// No statement depends on the state of a session, so that a pooler may stand in between. Nothing waits without end:
// neither for the server, which stops what takes too long, nor for the network.
package postgres
