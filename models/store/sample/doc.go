// Package sample looks at what of a running store only its database knows: how far the search index is, who is online, how
// large it is. It costs the same however many messages there are.
package sample
