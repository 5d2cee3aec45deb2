// Package sample looks at what of a running store only its database knows: who is online, how large it is, and
// what of it waits to be cleared away. It costs the same however many messages there are.
package sample
