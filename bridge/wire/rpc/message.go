package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/mark3labs/mcp-go/mcp"
)

// Kind says what a message is.
type Kind int

// The kinds of messages.
const (
	Request      Kind = iota // has an id and is answered
	Notification             // has none and is not
	Response                 // answers a request of ours
)

// Message is one message of a client.
type Message struct {
	Raw     json.RawMessage // all of it
	Kind    Kind
	ID      json.RawMessage // a string or a number, as the client wrote it; nil in a notification
	Method  mcp.MCPMethod   // empty in a response
	Token   json.RawMessage // under which the client wants to hear of progress; nil for none
	Version string          // of the protocol, which requests state since 2026-07-28; before it is empty
	Name    string          // of the tool or prompt that is asked for
	URI     string          // of the resource that is asked for
	Cancels json.RawMessage // the id of the request that notifications/cancelled gives up
	Result  json.RawMessage // of a response
	Error   json.RawMessage // of a response
}

// head is what Parse reads of a message. Params holds no more than it must: arguments can be large.
type head struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  *string         `json:"method"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
	Params  struct {
		Name      string          `json:"name"`
		URI       string          `json:"uri"`
		RequestID json.RawMessage `json:"requestId"`
		Meta      struct {
			Token   json.RawMessage `json:"progressToken"`
			Version string          `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	} `json:"params"`
}

// Parse reads one message. The Message keeps raw. What comes back with an error is good for its ID alone.
func Parse(raw []byte) (Message, *Error) {
	var h head
	switch err := json.Unmarshal(raw, &h); {
	case !utf8.Valid(raw):
		return Message{}, Errorf(mcp.PARSE_ERROR, "the message is not valid UTF-8")
	case err != nil && !isWrongType(err):
		return Message{}, Errorf(mcp.PARSE_ERROR, "the message is not valid JSON: %v", err)
	case bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("[")):
		return Message{}, Errorf(mcp.INVALID_REQUEST, "batches are not served: send each message on its own")
	}
	m := Message{
		Raw: raw, ID: given(h.ID), Token: identifier(h.Params.Meta.Token), Version: h.Params.Meta.Version,
		Name: h.Params.Name, URI: h.Params.URI, Cancels: identifier(h.Params.RequestID), Result: h.Result, Error: h.Error,
	}
	if h.Method != nil {
		m.Method = mcp.MCPMethod(*h.Method)
	}
	if m.ID != nil && identifier(m.ID) == nil {
		return Message{}, Errorf(mcp.INVALID_REQUEST, "the id must be a string or a number")
	}
	switch {
	case h.JSONRPC != mcp.JSONRPC_VERSION:
		return m, Errorf(mcp.INVALID_REQUEST, `the message must be an object with "jsonrpc": "2.0"`)
	case m.Method != "" && m.ID != nil:
		m.Kind = Request
	case m.Method != "":
		m.Kind = Notification
	case h.Method == nil && m.ID != nil && (m.Result != nil || m.Error != nil):
		m.Kind = Response
	default:
		return m, Errorf(mcp.INVALID_REQUEST, "the message has no method")
	}
	return m, nil
}

// isWrongType tells errors that leave the rest of the message read: whether it matters is for its handler to say.
func isWrongType(err error) bool {
	_, ok := errors.AsType[*json.UnmarshalTypeError](err)
	return ok
}

// given takes null for absent.
func given(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

// identifier returns raw if it is a string or a number, and nil for all else.
func identifier(raw json.RawMessage) json.RawMessage {
	if len(raw) > 0 && (raw[0] == '"' || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') {
		return raw
	}
	return nil
}
