package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// The smallest picture and sound that there are.
const (
	dot     = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	silence = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
)

// suite has the tools, prompts and resources that the conformance suite calls for.
type suite struct{ *server.MCPServer }

// newSuite makes a server that the conformance suite can examine to the last scenario.
func newSuite() *server.MCPServer {
	s := suite{server.NewMCPServer("suite", "1.0.0",
		server.WithToolCapabilities(true), server.WithPromptCapabilities(true), server.WithResourceCapabilities(true, true),
		server.WithCompletions(), server.WithLogging(), server.WithElicitation())}
	s.EnableSampling()
	s.contents()
	s.notifications()
	s.questions()
	s.rounds()
	s.resources()
	s.prompts()
	return s.MCPServer
}

type handler = func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error)

func (s suite) tool(name string, h handler, more ...mcp.ToolOption) {
	s.AddTool(mcp.NewTool(name, append(more, mcp.WithDescription("for the conformance suite"))...), h)
}

func picture() mcp.Content { return mcp.NewImageContent(dot, "image/png") }

func embedded(uri, kind, text string) mcp.Content {
	return mcp.NewEmbeddedResource(mcp.TextResourceContents{URI: uri, MIMEType: kind, Text: text})
}

func (s suite) contents() {
	for name, content := range map[string][]mcp.Content{
		"test_simple_text":       {mcp.NewTextContent("This is a simple text response for testing.")},
		"test_image_content":     {picture()},
		"test_audio_content":     {mcp.NewAudioContent(silence, "audio/wav")},
		"test_embedded_resource": {embedded("test://embedded-resource", "text/plain", "embedded")},
		"test_multiple_content_types": {mcp.NewTextContent("Multiple content types test:"), picture(),
			embedded("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`)},
	} {
		s.tool(name, func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: content}, nil
		})
	}
	s.tool("test_error_handling", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultError("This tool intentionally returns an error for testing"), nil
	})
}

// notifications end right before the answer, with no pause for them to be written in.
func (s suite) notifications() {
	s.tool("test_tool_with_progress", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for _, n := range []int{0, 50, 100} {
			err := s.SendNotificationToClient(ctx, string(mcp.MethodNotificationProgress), map[string]any{
				"progressToken": r.Params.Meta.ProgressToken, "progress": n, "total": 100,
			})
			if err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("done"), nil
	})
	logs := func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for _, text := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
			if err := s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "suite", text)); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("done"), nil
	}
	s.tool("test_tool_with_logging", logs)
	s.tool("test_logging_tool", logs)
	s.tool("test_trigger_tool_change", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.tool("test_changed", logs)
		return mcp.NewToolResultText("done"), nil
	})
	s.tool("test_trigger_prompt_change", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.prompt("test_changed", nil, mcp.NewTextContent("changed"))
		return mcp.NewToolResultText("done"), nil
	})
}

// questions ask a client of the older revisions while its call is under way.
func (s suite) questions() {
	s.tool("test_sampling", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		//lint:ignore SA1019 clients of the older revisions have it
		result, err := s.RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: sample(r.GetString("prompt", ""), 100)})
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultText(fmt.Sprintf("LLM response: %v", result.Content)), nil
	}, mcp.WithString("prompt", mcp.Required()))
	ask := func(ctx context.Context, message string, fields map[string]any) (*mcp.CallToolResult, error) {
		result, err := s.RequestElicitation(ctx, mcp.ElicitationRequest{Params: form(message, fields)})
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultText(fmt.Sprintf("Elicitation completed: action=%s, content=%v", result.Action, result.Content)), nil
	}
	s.tool("test_elicitation", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return ask(ctx, r.GetString("message", ""), parsed(`{"username": {"type": "string", "description": "User's response"},
			"email": {"type": "string", "description": "User's email address"}}`))
	}, mcp.WithString("message", mcp.Required()))
	for name, fields := range map[string]string{
		"test_elicitation_sep1034_defaults": `{
			"name": {"type": "string", "default": "John Doe"}, "age": {"type": "integer", "default": 30},
			"score": {"type": "number", "default": 95.5}, "verified": {"type": "boolean", "default": true},
			"status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"}}`,
		"test_elicitation_sep1330_enums": `{
			"untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
			"titledSingle": {"type": "string", "oneOf": [{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}]},
			"legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
			"untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
			"titledMulti": {"type": "array", "items": {"anyOf": [{"const": "value1", "title": "A"}, {"const": "value2", "title": "B"}]}}}`,
	} {
		s.tool(name, func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return ask(ctx, "Please answer", parsed(fields))
		})
	}
}

func parsed(fields string) (m map[string]any) {
	if err := json.Unmarshal([]byte(fields), &m); err != nil {
		panic(err)
	}
	return m
}

func form(message string, fields map[string]any) mcp.ElicitationParams {
	return mcp.ElicitationParams{Message: message, RequestedSchema: map[string]any{"type": "object", "properties": fields}}
}

func sample(text string, most int) mcp.CreateMessageParams {
	return mcp.CreateMessageParams{MaxTokens: most, Messages: []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(text)}}}
}

// rounds ask a client of 2026-07-28, which sends its call again with the answers.
func (s suite) rounds() {
	round := func(name, state string, build func(*server.InputRequestBuilder, context.Context), keys ...string) {
		s.tool(name, func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if r.Params.RequestState != "" && r.Params.RequestState != state {
				return nil, errors.New("the state is not ours")
			}
			for _, key := range keys {
				if !answered(r.Params.InputResponses, key) {
					b := server.NewInputRequestBuilder(state)
					build(b, ctx)
					return b.ToolResult(), nil
				}
			}
			return mcp.NewToolResultText("state-ok"), nil
		})
	}
	name := func(b *server.InputRequestBuilder, _ context.Context) {
		b.Elicit("user_name", form("What is your name?", parsed(`{"name": {"type": "string"}}`)))
	}
	confirm := func(b *server.InputRequestBuilder, _ context.Context) {
		b.Elicit("confirm", form("Please confirm", parsed(`{"ok": {"type": "boolean"}}`)))
	}
	question := func(b *server.InputRequestBuilder, _ context.Context) {
		b.Sample("capital_question", sample("What is the capital of France?", 100))
	}
	roots := func(b *server.InputRequestBuilder, _ context.Context) { b.Roots("client_roots") }
	round("test_input_required_result_elicitation", "", name, "user_name")
	round("test_streaming_elicitation", "", name, "user_name")
	round("test_input_required_result_sampling", "", question, "capital_question")
	round("test_input_required_result_list_roots", "", roots, "client_roots")
	round("test_input_required_result_request_state", "sealed", confirm, "confirm")
	round("test_input_required_result_tampered_state", "sealed", confirm, "confirm")
	round("test_input_required_result_multiple_inputs", "sealed", func(b *server.InputRequestBuilder, ctx context.Context) {
		name(b, ctx)
		question(b, ctx)
		roots(b, ctx)
	}, "user_name", "capital_question", "client_roots")
	round("test_input_required_result_capabilities", "", func(b *server.InputRequestBuilder, ctx context.Context) {
		can := server.RequestProtocolInfoFromContext(ctx).ClientCapabilities
		if can.Elicitation != nil {
			name(b, ctx)
		}
		if can.Sampling != nil {
			question(b, ctx)
		}
	}, "capital_question")
	s.tool("test_input_required_result_multi_round", func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for _, step := range [][2]string{{"step1", "name"}, {"step2", "color"}} {
			if r.Params.RequestState < step[0] || r.Params.RequestState == step[0] && !answered(r.Params.InputResponses, step[1]) {
				fields := map[string]any{step[1]: map[string]any{"type": "string"}}
				return server.NewInputRequestBuilder(step[0]).Elicit(step[1], form("Which "+step[1]+"?", fields)).ToolResult(), nil
			}
			if r.Params.RequestState == step[0] && step[0] == "step1" {
				r.Params.RequestState = "step1+"
			}
		}
		return mcp.NewToolResultText("done"), nil
	})
}

// answered tells whether the client has answered under key, with something that can be an answer.
func answered(in mcp.InputResponses, key string) bool {
	_, ok := server.InputResponse(in, key)
	if !ok {
		return false
	}
	switch key {
	case "capital_question":
		return server.SamplingResponse(in, key) != nil
	case "client_roots":
		return server.RootsResponse(in, key) != nil
	}
	e := server.ElicitationResponse(in, key)
	return e != nil && e.Action != ""
}

func (s suite) resources() {
	text := func(uri, kind, text string) []mcp.ResourceContents {
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: uri, MIMEType: kind, Text: text}}
	}
	for uri, contents := range map[string][]mcp.ResourceContents{
		"test://static-text":      text("test://static-text", "text/plain", "This is the content of the static text resource."),
		"test://static-binary":    {mcp.BlobResourceContents{URI: "test://static-binary", MIMEType: "image/png", Blob: dot}},
		"test://watched-resource": text("test://watched-resource", "text/plain", "watched"),
	} {
		s.AddResource(mcp.NewResource(uri, uri, mcp.WithResourceDescription("for the conformance suite")),
			func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) { return contents, nil })
	}
	s.AddResourceTemplate(mcp.NewResourceTemplate("test://template/{id}/data", "template"),
		func(_ context.Context, r mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			id, _, _ := strings.Cut(strings.TrimPrefix(r.Params.URI, "test://template/"), "/")
			return text(r.Params.URI, "application/json", fmt.Sprintf(`{"id":%q,"templateTest":true,"data":%q}`, id, "Data for ID: "+id)), nil
		})
}

// prompt adds a prompt that gives contents, or what make has of its arguments.
func (s suite) prompt(name string, build func(map[string]string) []mcp.Content, contents ...mcp.Content) {
	s.AddPrompt(mcp.NewPrompt(name, mcp.WithPromptDescription("for the conformance suite")), func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		result := &mcp.GetPromptResult{}
		if build != nil {
			contents = build(r.Params.Arguments)
		}
		for _, c := range contents {
			result.Messages = append(result.Messages, mcp.NewPromptMessage(mcp.RoleUser, c))
		}
		return result, nil
	})
}

func (s suite) prompts() {
	s.prompt("test_simple_prompt", nil, mcp.NewTextContent("This is a simple prompt for testing."))
	s.prompt("test_prompt_with_image", nil, picture(), mcp.NewTextContent("Please analyze the image above."))
	s.prompt("test_prompt_with_arguments", func(args map[string]string) []mcp.Content {
		return []mcp.Content{mcp.NewTextContent(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", args["arg1"], args["arg2"]))}
	})
	s.prompt("test_prompt_with_embedded_resource", func(args map[string]string) []mcp.Content {
		return []mcp.Content{embedded(args["resourceUri"], "text/plain", "Embedded resource content for testing."),
			mcp.NewTextContent("Please process the embedded resource above.")}
	})
	question := mcp.NewPrompt("test_input_required_result_prompt", mcp.WithPromptDescription("for the conformance suite"))
	s.AddPrompt(question, func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		if !answered(r.Params.InputResponses, "user_context") {
			return server.NewInputRequestBuilder("").Elicit("user_context",
				form("What context should the prompt use?", parsed(`{"context": {"type": "string"}}`))).PromptResult(), nil
		}
		return &mcp.GetPromptResult{Messages: []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent("thanks"))}}, nil
	})
}
