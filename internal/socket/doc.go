// Package socket writes to connections without waiting for their peers, where the system lets it. What a socket does not
// take at once is for the caller to write in a goroutine that may wait.
package socket
