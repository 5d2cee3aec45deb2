// Package pulse calls many every so often, for little. Those whose time is near are called at one moment, one after the other
// by one goroutine, so what is called must wait for nobody. Nobody is called after he has left. While nobody is there,
// nothing runs.
package pulse
