// Package rpc reads as much of a JSON-RPC message as a transport of the Model Context Protocol must know, and makes the
// errors that a transport answers by itself. What it cannot read it says in words, under the id of the request if that
// is known.
package rpc
