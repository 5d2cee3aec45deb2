// Package remote asks a hub's REST door, as any client would. What the hub refuses comes back with the hub's own words
// and code. A hub that restarts is asked again for a few seconds, where asking twice does no harm: nothing is ever
// stored twice because an answer was lost.
package remote
