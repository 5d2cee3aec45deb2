// Package doorbell tells the processes on one store that the log moved, and nothing more: the log is
// the truth, and a hub looks at it now and then even if no bell rings. A ring may be heard by the
// ringer too, and many rings as one. Ringing never waits, and a bell that was out of order rings when
// it works again, for what may have been missed.
package doorbell
