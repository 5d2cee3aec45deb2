// Package ledger is what one transaction adds to the log, in plain values: the store fills it in, and each database
// writes it in its own way.
package ledger
