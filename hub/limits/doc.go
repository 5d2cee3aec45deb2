// Package limits keeps one caller from taking what all need. What it bounds it bounds for every caller, who is a
// principal, and for every address: how often, and how much at once. Whoever is refused is told when to come back, and
// nothing of the refused counts. Nothing is bounded before Enforce, on a hub without a key; nor where a limit is 0.
package limits
