// Package eventually lets tests wait for what nothing announces: what other processes, or goroutines of a library, are about
// to bring about.
package eventually
