// Package health judges how a hub is. It looks at the parts once a second and keeps what it found, so that asking costs
// next to nothing, however often it is done, and never waits for a database.
//
// A hub is ready while messages can be stored and delivered: it needs the database, the writer and the delivery. The
// doorbell and the search index it can do without for a while: without the bell messages of other nodes come up to a
// second late, and what the index lacks is searched for in the newest messages. A hub without these is degraded, and ready:
// to send its clients elsewhere would cost them more. Everything here recovers by itself.
//
// A hub is alive unless a restart would help: if for two minutes it has been at the same write, or at the same look at the log,
// while the database answers. That the database is away is no reason. Time in which the process did not run does not count.
//
// What is said of a part is fit for everybody's eyes. The causes are in the log.
package health
