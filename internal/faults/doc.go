// Package faults breaks things around the built program and looks at what is left. It has tests only; they run the
// program in processes of its own, as its users do, and promise:
//
// A message that was acknowledged is there after kill -9, after a loss of power, on a full disk and on one that cannot be
// written, with its id, its seq and its content, and once. Ids and seqs have no holes. Who resumes by after_id has
// seen each message once, in order, whatever died in between. A server that cannot write says so, goes on reading, and
// writes again without a restart as soon as it can.
//
// Our own clients see each message once, in order, and publish each once, while the server is killed and the line is cut.
//
// The same holds for several servers on one PostgreSQL database when one of them is killed, when the database is, and when the
// network between them is cut, told or untold: the others go on, and one that was parted goes on by itself.
//
// A subscriber that stops reading costs the others nothing. No bytes that a client can send, and no number of clients
// that come and go, leave anything behind in the server. SIGTERM ends it in time, with everybody told.
//
// TestSoak mixes nearly all of it, for as long as one likes, and follows every message from its acknowledgement to every
// reader; nor do the servers grow meanwhile.
//
// What is random follows from a seed, which a failing test prints and the flag -seed takes. The tests that need a file
// system of their own mount one, for which they have to be root on Linux.
package faults
