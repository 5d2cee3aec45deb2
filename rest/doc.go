// Package rest is the door for whoever polls: scripts, GPT Actions, anything that speaks HTTP and JSON.
//
// A request passes the gate before anything else of it is looked at, also where nothing answers. What
// it brings is copied and parsed once; past that its strings are its own. Every answer is JSON, errors
// and refusals included: {"error": what to do, "code": one of models' codes}. A number may come as a
// string, null and empty mean absent, and an odd limit is clamped, never an error.
//
// Fiber answers questions. GET /api/stream holds a conversation and is a net/http handler.
package rest
