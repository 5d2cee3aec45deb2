// Package wire carries the Model Context Protocol between clients and the bridge: over stdio, over streamable HTTP for all
// revisions of the protocol from 2024-11-05 to 2026-07-28, and over the older HTTP with Server-Sent Events.
//
// What belongs to a request, its progress above all, travels on the stream of that request and before its answer, and
// nothing is lost on the way. The bridge learns of each answer whether it was written, before the client's next request
// over the same connection is served. A request that its client cancels, or whose client goes away, ends at once and is
// not answered. A client can lose its session, open one for each call or have none: it is served all the same.
package wire
