// Package ws is the WebSocket door of the bus, served at /ws.
//
// A frame is one JSON object. What a client asks for is answered in its order, and a message that
// it publishes is answered after it was stored. Each subscription delivers its messages in order,
// without gap or repeat, after the frame that says where it begins. A bad command is answered with
// an error and never ends the connection; bytes that are no JSON object do.
//
// Nobody waits for a slow client. What it has not read yet stays in the log, of which it holds a
// cursor: at most one batch of frames and a bounded amount of answers wait in memory. Whoever takes
// nothing for ten seconds is closed with 4008 and may come back to resume. A client that sends
// commands without reading the answers is not read any more until it does.
//
// An idle connection costs one goroutine, its reader, and no timer: 9 KB, 7 after a collection (BenchmarkIdleConnection).
package ws
