package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// snippets is what mcp-config prints for a client, without the line that names the file.
func snippetOf(t *testing.T, c mcpConfigCommand) string {
	t.Helper()
	text, err := c.text("/opt/cross talk/crosstalk")
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	return text
}

func TestConfigurationsNameThisProgramOrTheHub(t *testing.T) {
	const url = "https://bus.example.com/"
	for _, client := range []string{"claude-code", "claude-desktop", "codex", "gemini", "cursor", "vscode"} {
		if text := snippetOf(t, mcpConfigCommand{Client: client}); !strings.Contains(text, "/opt/cross talk/crosstalk") || !strings.Contains(text, "mcp") {
			t.Errorf("%s: %s", client, text)
		}
		want := "https://bus.example.com/mcp"
		if client == "claude-desktop" { // by way of the relay
			want = url
		}
		if text := snippetOf(t, mcpConfigCommand{Client: client, URL: url}); !strings.Contains(text, want) || !strings.Contains(text, "CROSSTALK_KEY") && !strings.Contains(text, "input:crosstalk-key") {
			t.Errorf("%s: %s", client, text)
		}
	}
}

func TestConfigurationsAreJSON(t *testing.T) {
	for _, client := range []string{"claude-desktop", "gemini", "cursor", "vscode"} {
		for _, url := range []string{"", "https://bus.example.com"} {
			_, body, _ := strings.Cut(snippetOf(t, mcpConfigCommand{Client: client, URL: url}), "\n")
			if !json.Valid([]byte(body)) {
				t.Errorf("%s: %s", client, body)
			}
		}
	}
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []mcpConfigCommand{
		{Client: "chatgpt"}, {Client: "claude-ai"}, {Client: "chatgpt", URL: "http://bus.example.com"},
		{Client: "cursor", Push: true}, {Client: "claude-code", Push: true, URL: "https://bus.example.com"},
	} {
		if text, err := c.text("crosstalk"); err == nil {
			t.Errorf("%+v: %s", c, text)
		}
	}
	if text := snippetOf(t, mcpConfigCommand{Client: "claude-code", Push: true}); !strings.Contains(text, "'/opt/cross talk/crosstalk' mcp --push") {
		t.Error(text)
	}
}
