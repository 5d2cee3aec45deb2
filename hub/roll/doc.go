// Package roll keeps who is online, and tells any number of watchers who comes and goes, each at its own pace. A watcher is a
// place in the roll, not a list of its own: however many watch and however little they read, the names are held once. Of
// what a watcher misses it hears the latest of each name.
//
// Those who have gone are kept for watchers that have not heard it, the last 5,000 at least and 10,000 at most. A watcher that is
// further behind is told that it is.
package roll
