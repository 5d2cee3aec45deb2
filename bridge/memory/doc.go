// Package memory holds what the bridge remembers between calls: which names were registered over which
// connection, which sends had their answer lost, and which channels exist. Each is bounded, and what it
// forgets costs a hint, never a message.
package memory
