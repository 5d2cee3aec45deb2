// Package together does what several callers want at the same time in one go, where one go costs about as much as a
// hundred: a transaction that is on disk before anyone hears of it.
//
// Each caller gets the outcome of its own part. A part that fails takes no other with it.
package together
