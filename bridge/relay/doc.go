// Package relay lends the MCP door of a remote hub to a client that speaks stdio. Every message is
// passed on as it is, so that tools, texts and read positions are the hub's own. What the network or
// a restart of the hub interrupts is asked again: a send carries an idempotency key and is stored
// once, and a wait goes on for the rest of its time.
package relay
