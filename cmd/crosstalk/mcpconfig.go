package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// mcpConfigCommand prints a client's configuration with this program's path in it.
type mcpConfigCommand struct {
	Client string `arg:"" enum:"claude-code,claude-desktop,claude-ai,codex,gemini,cursor,vscode,chatgpt" help:"claude-code, claude-desktop, claude-ai, codex, gemini, cursor, vscode or chatgpt."`
	URL    string `name:"url" placeholder:"URL" from:"CROSSTALK_URL" help:"For the hub there. Without it: for a database of this machine."`
	Push   bool   `help:"With live push; for claude-code on this machine only."`
}

// Help shows how it is used.
func (c *mcpConfigCommand) Help() string {
	return `What is printed holds no key: where one is needed, it names the variable CROSSTALK_KEY, or says where to enter it.

Examples:

    crosstalk mcp-config claude-code
    crosstalk mcp-config codex --url https://bus.example.com`
}

// Run prints the configuration.
func (c *mcpConfigCommand) Run(p *process) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	text, err := c.text(program)
	if err == nil {
		_, err = fmt.Fprint(p.stdout, text)
	}
	return err
}

// door is the hub's address for MCP clients.
func (c *mcpConfigCommand) door() string { return strings.TrimSuffix(c.URL, "/") + "/mcp" }

func (c *mcpConfigCommand) text(program string) (string, error) {
	if c.Push && (c.Client != "claude-code" || c.URL != "") {
		return "", misuse("--push goes with claude-code on this machine only: no other client can be pushed to")
	}
	args := []string{"mcp"}
	if c.Push {
		args = append(args, "--push")
	}
	stdio := map[string]any{"command": program, "args": args}
	switch c.Client {
	case "claude-code":
		return c.claudeCode(program, args)
	case "claude-desktop":
		if c.URL != "" {
			stdio["args"], stdio["env"] = []string{"mcp", "--url", c.URL}, map[string]string{"CROSSTALK_KEY": "the hub's key, or leave this out"}
		}
		return snippet("claude_desktop_config.json", map[string]any{"mcpServers": map[string]any{"crosstalk": stdio}})
	case "codex":
		return c.codex(program), nil
	case "gemini":
		server := stdio
		if c.URL != "" {
			server = map[string]any{"httpUrl": c.door(), "headers": bearer("$CROSSTALK_KEY")}
		}
		server["timeout"] = 1_800_000
		return snippet("~/.gemini/settings.json", map[string]any{"mcpServers": map[string]any{"crosstalk": server}})
	case "cursor":
		server := stdio
		if c.URL != "" {
			server = map[string]any{"url": c.door(), "headers": bearer("${env:CROSSTALK_KEY}")}
		}
		return snippet("~/.cursor/mcp.json", map[string]any{"mcpServers": map[string]any{"crosstalk": server}})
	case "vscode":
		return c.vscode(stdio)
	}
	return c.hosted()
}

func (c *mcpConfigCommand) claudeCode(program string, args []string) (string, error) {
	if c.URL != "" {
		return "claude mcp add --transport http crosstalk " + shellQuote(c.door()) + " --header \"Authorization: Bearer $CROSSTALK_KEY\"\n", nil
	}
	text := "claude mcp add crosstalk -- " + shellQuote(program) + " " + strings.Join(args, " ") + "\n"
	if c.Push {
		text += "claude --dangerously-load-development-channels server:crosstalk\n"
	}
	return text, nil
}

func (c *mcpConfigCommand) codex(program string) string {
	var b strings.Builder
	b.WriteString("# ~/.codex/config.toml\n[mcp_servers.crosstalk]\n")
	if c.URL != "" {
		_, _ = fmt.Fprintf(&b, "url = %q\nbearer_token_env_var = \"CROSSTALK_KEY\"\n", c.door())
	} else {
		_, _ = fmt.Fprintf(&b, "command = %q\nargs = [\"mcp\"]\n", program)
	}
	b.WriteString("tool_timeout_sec = 1800\nstartup_timeout_sec = 20\n")
	return b.String()
}

func (c *mcpConfigCommand) vscode(stdio map[string]any) (string, error) {
	whole := map[string]any{"servers": map[string]any{"crosstalk": stdio}}
	stdio["type"] = "stdio"
	if c.URL != "" {
		whole["servers"] = map[string]any{"crosstalk": map[string]any{
			"type": "http", "url": c.door(), "headers": bearer("${input:crosstalk-key}"),
		}}
		whole["inputs"] = []any{map[string]any{
			"id": "crosstalk-key", "type": "promptString", "description": "Key of the Crosstalk hub", "password": true,
		}}
	}
	return snippet(".vscode/mcp.json", whole)
}

// hosted clients reach a hub by its public address only.
func (c *mcpConfigCommand) hosted() (string, error) {
	if c.URL == "" {
		return "", misuse("%s runs elsewhere and cannot start a program here: name a hub that the internet can reach with --url https://...", c.Client)
	}
	if !strings.HasPrefix(c.URL, "https://") {
		return "", misuse("%s reaches hubs by https only, not %s", c.Client, c.URL)
	}
	where := "claude.ai, Settings, Connectors, Add custom connector"
	if c.Client == "chatgpt" {
		where = "ChatGPT, Settings, Apps & Connectors, Advanced settings, Developer mode; then Create"
	}
	return fmt.Sprintf("%s:\nName: Crosstalk\nURL: %s\n\nThis client signs in by OAuth, which this build does not offer yet: it can use a hub without a key only.\n", where, c.door()), nil
}

func bearer(key string) map[string]string { return map[string]string{"Authorization": "Bearer " + key} }

// snippet is JSON for a file, after a line that names the file.
func snippet(file string, v any) (string, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", err
	}
	return "// " + file + "\n" + string(b) + "\n", nil
}
