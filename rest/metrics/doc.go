// Package metrics tells Prometheus what a hub does. What is counted stands in memory, and a scrape reads it there: it asks no
// database, waits for nobody, and costs the same at any number of messages, channels and clients. What only the database
// knows is looked up every ten seconds by Run, and a scrape shows what was found last. Labels have a few values each, all
// known beforehand: no channel, no instance, no key is named.
package metrics
