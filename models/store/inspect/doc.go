// Package inspect looks at a database and changes nothing: neither what is in it nor, for SQLite, the files beside it.
// Others may go on writing; all that is read is of one moment. Verify reads the whole log once, in order, and recounts
// what the store counts as it goes; what it holds in memory grows with the channels, not with the messages. Measure
// says how large things are without reading messages.
package inspect
