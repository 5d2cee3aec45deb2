// Package names knows whose names are whose. A name that a credential of its own was the first to use is
// that one's: whoever else speaks, reads or waits in it, or in one that looks like it, is refused in every
// process that shares the store, here at once and elsewhere within about a second. To ask costs no read.
package names
