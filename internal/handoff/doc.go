// Package handoff lets one port serve two engines: Fiber, which answers questions, and net/http, which holds
// conversations (WebSocket, server-sent events, MCP). Fiber reads every request, all of it, under its limits of
// size and time. That of a native path is written anew from what Fiber read, and goes to net/http with its
// connection: handlers hijack, flush and set deadlines, and their context ends at once when the client leaves.
// When the client asks again, the connection goes back to Fiber, any number of times. So net/http never reads
// off the wire what Fiber has not read, and no bytes are one request to one engine and another to the other.
package handoff
