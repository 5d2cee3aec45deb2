// Package usage tells what another process of this machine uses, and which one listens on a port.
//
// Where that cannot be seen, as on systems other than Linux, it says so instead of guessing.
package usage
