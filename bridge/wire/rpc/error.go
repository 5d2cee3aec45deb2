package rpc

import (
	"encoding/json"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
)

// Error is an error that a client is told of.
type Error struct {
	Code    int
	Message string
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error.
func Errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Answer is e as the answer to the request with that id; nil for one that is not known.
func (e *Error) Answer(id json.RawMessage) mcp.JSONRPCError {
	return mcp.JSONRPCError{
		JSONRPC: mcp.JSONRPC_VERSION, ID: ID(id), Error: mcp.NewJSONRPCErrorDetails(e.Code, e.Message, nil),
	}
}

// ID is an id as the client wrote it, for an answer: no digit of a large number is lost.
func ID(id json.RawMessage) mcp.RequestId {
	if id == nil {
		return mcp.NewRequestId(nil)
	}
	return mcp.NewRequestId(id)
}
