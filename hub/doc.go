// Package hub is the room in which the bus happens: it delivers each channel's messages in order,
// without gap or repeat, to every subscriber at its own pace. A message is delivered only after it
// was stored. Publish never waits for a reader, and a slow reader loses nothing: it re-reads the log.
// Who may do what is decided here, once, by the Principal that every call names.
package hub
