package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// toolError is a refusal: trying again would not help.
type toolError struct{ text string }

func (e toolError) Error() string { return e.text }

// mayPass says whether the next try may go better.
func mayPass(err error) bool {
	_, refused := errors.AsType[toolError](err)
	return !refused
}

// tool calls a tool of the hub's MCP door, as the session of that name, and returns its text.
func (b *bus) tool(ctx context.Context, session, name string, args map[string]any) (string, error) {
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": name, "arguments": args},
	})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(b.dial.URL, "/")+"/mcp", bytes.NewReader(body))
	if err != nil {
		return "", toolError{err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Session-Id", session)
	req.Header.Set("Mcp-Protocol-Version", "2025-06-18")
	if b.dial.Key != "" {
		req.Header.Set("Authorization", "Bearer "+b.dial.Key)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: b.dial.Dial, TLSHandshakeTimeout: 10 * time.Second, DisableKeepAlives: true}
	// A redirect, perhaps to where nothing is encrypted, must not get the key.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := (&http.Client{Transport: transport, CheckRedirect: stay}).Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", err
	}
	return toolText(res, answer)
}

// toolText reads the answer to a call of a tool.
func toolText(res *http.Response, answer []byte) (string, error) {
	var call struct {
		Result struct {
			Content []struct {
				Text string `json:"text"`
			} `json:"content"`
			IsError bool `json:"isError"`
		} `json:"result"`
		Error json.RawMessage `json:"error"` // an object of JSON-RPC, or the text of another refusal
	}
	err := json.Unmarshal(answer, &call)
	switch {
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return "", fmt.Errorf("the hub answers %s: %.200s", res.Status, answer)
	case err != nil || len(call.Error) > 0 || len(call.Result.Content) == 0:
		return "", toolError{fmt.Sprintf("the hub answers %s: %.200s", res.Status, answer)}
	case call.Result.IsError:
		return "", toolError{call.Result.Content[0].Text}
	}
	return call.Result.Content[0].Text, nil
}
