package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// strictly reads a file of JSON that has no other fields than into.
func strictly(t *testing.T, file string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text(t, file)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || d.More() {
		t.Fatalf("%s: %v", file, err)
	}
}

// named finds what stands in backticks and looks like pattern.
func named(text, pattern string) (names []string) {
	for _, m := range regexp.MustCompile("`("+pattern+")`").FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// program is built when the first test asks for it.
var program struct {
	dir  string
	once sync.Once
	err  error
}

func TestMain(m *testing.M) { os.Exit(inFolder(m)) }

func inFolder(m *testing.M) int {
	dir, err := os.MkdirTemp("", "crosstalk-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program.dir = dir
	return m.Run()
}

// machine is a home folder with the program in its PATH.
type machine struct{ env []string }

func newMachine(t *testing.T) *machine {
	t.Helper()
	readAll(t, "../cmd/crosstalk/*.go")
	program.once.Do(func() {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(program.dir, "crosstalk"), "crosstalk/cmd/crosstalk").CombinedOutput(); err != nil {
			program.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return &machine{env: []string{"HOME=" + t.TempDir(), "PATH=" + program.dir + ":/usr/bin:/bin"}}
}

// does runs a command line as Claude Code runs hooks.
func (m *machine) does(t *testing.T, line string, stdin any) (stdout, stderr string, code int) {
	t.Helper()
	input, err := json.Marshal(stdin)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = m.env, bytes.NewReader(input), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

type pluginHook struct {
	Type        string `json:"type"`
	Command     string `json:"command"`
	Timeout     int    `json:"timeout"`
	AsyncRewake bool   `json:"asyncRewake"`
}

// TestPluginCanBeInstalled holds the plugin against what `claude plugin validate --strict` looks at.
func TestPluginCanBeInstalled(t *testing.T) {
	var market struct {
		Name     string            `json:"name"`
		Owner    map[string]string `json:"owner"`
		Metadata map[string]string `json:"metadata"`
		Plugins  []struct {
			Name        string `json:"name"`
			Source      string `json:"source"`
			Description string `json:"description"`
			Category    string `json:"category"`
		} `json:"plugins"`
	}
	strictly(t, "../.claude-plugin/marketplace.json", &market)
	if len(market.Plugins) != 1 || market.Owner["name"] == "" {
		t.Fatalf("%+v", market)
	}
	listed := market.Plugins[0]
	var plugin struct {
		Name        string            `json:"name"`
		Version     string            `json:"version"`
		Description string            `json:"description"`
		Author      map[string]string `json:"author"`
		License     string            `json:"license"`
		Keywords    []string          `json:"keywords"`
	}
	strictly(t, "../"+listed.Source+"/.claude-plugin/plugin.json", &plugin)
	if plugin.Name != listed.Name || plugin.Description != listed.Description || !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(plugin.Version) {
		t.Errorf("the plugin is %+v, listed as %+v", plugin, listed)
	}
	if line := "claude plugin install " + plugin.Name + "@" + market.Name; !strings.Contains(text(t, "claude-code/README.md"), line) {
		t.Errorf("README does not say %s", line)
	}
	skill := regexp.MustCompile(`(?s)^---\nname: ([a-z-]+)\ndescription: ([^\n]+)\n---\n`).FindStringSubmatch(text(t, "claude-code/skills/crosstalk/SKILL.md"))
	if skill == nil || skill[1] != "crosstalk" || len(skill[2]) > 1024 {
		t.Errorf("the skill begins with %q", skill)
	}
}

// TestDocsShowThePluginsHooks compares what is to be set up by hand with what the plugin sets up.
func TestDocsShowThePluginsHooks(t *testing.T) {
	shown := regexp.MustCompile("(?s)```json\n(\\{\n  \"hooks\".*?)```").FindStringSubmatch(text(t, "../docs/clients.md"))
	if shown == nil {
		t.Fatal("docs/clients.md shows none")
	}
	var byHand, plugin struct{ Hooks any }
	if err := json.Unmarshal([]byte(shown[1]), &byHand); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text(t, "claude-code/hooks/hooks.json")), &plugin); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plugin, byHand); diff != "" {
		t.Errorf("hooks (-plugin +docs/clients.md):\n%s", diff)
	}
}

// TestPlugin runs what the plugin runs.
func TestPlugin(t *testing.T) {
	m := newMachine(t)
	t.Run("hooks bring messages", func(t *testing.T) { hooksBringMessages(t, m) })
	t.Run("tools exist", func(t *testing.T) { toolsExist(t, m) })
}

func hooksBringMessages(t *testing.T, m *machine) {
	var file struct {
		Description string `json:"description"`
		Hooks       map[string][]struct {
			Matcher string       `json:"matcher"`
			Hooks   []pluginHook `json:"hooks"`
		} `json:"hooks"`
	}
	strictly(t, "claude-code/hooks/hooks.json", &file)
	m.does(t, "crosstalk send general begin --as al", nil)
	tell := func(event, tool string) (out, errs string, code int) {
		t.Helper()
		for _, group := range file.Hooks[event] {
			if !regexp.MustCompile("^(?:" + group.Matcher + ")$").MatchString(tool) {
				continue
			}
			for _, h := range group.Hooks {
				if h.Type != "command" || h.Timeout < 5 || h.AsyncRewake != strings.Contains(h.Command, " wait ") {
					t.Errorf("%s has %+v", event, h)
				}
				o, e, c := m.does(t, strings.Replace(h.Command, "25m", "2s", 1), map[string]any{
					"session_id": "5a1b", "hook_event_name": event, "stop_hook_active": false, "prompt": "x",
					"tool_name": tool, "tool_input": map[string]string{"instance_id": "bob"},
				})
				out, errs, code = out+o, errs+e, max(code, c)
			}
		}
		return out, errs, code
	}
	quiet := func(event, tool string) {
		t.Helper()
		if out, errs, code := tell(event, tool); out+errs != "" || code != 0 {
			t.Errorf("%s %s: %d %s%s", event, tool, code, out, errs)
		}
	}
	quiet("PostToolUse", "mcp__plugin_crosstalk_crosstalk__send_message")
	quiet("UserPromptSubmit", "")
	quiet("PostToolUse", "mcp__plugin_crosstalk_crosstalk__register")
	quiet("UserPromptSubmit", "")
	m.does(t, "crosstalk send general 'first news' --as al", nil)
	if out, errs, code := tell("UserPromptSubmit", ""); !strings.Contains(out, "first news") || errs != "" || code != 0 {
		t.Errorf("at a prompt: %d %s%s", code, out, errs)
	}
	m.does(t, "crosstalk send general 'second news' --as al", nil)
	if out, errs, code := tell("Stop", ""); strings.Count(out, "second news") != 1 || !strings.Contains(out, `"decision":"block"`) || errs != "" || code != 0 {
		t.Errorf("at the end of a turn: %d %s%s", code, out, errs)
	}
}

func toolsExist(t *testing.T, m *machine) {
	var file struct {
		Servers map[string]struct {
			Command string   `json:"command"`
			Args    []string `json:"args"`
			Timeout int      `json:"timeout"`
		} `json:"mcpServers"`
	}
	strictly(t, "claude-code/.mcp.json", &file)
	server := file.Servers["crosstalk"]
	if server.Timeout < 26*60*1000 {
		t.Errorf("calls may last %d ms, waits last 25 minutes", server.Timeout)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "exec "+server.Command+" "+strings.Join(server.Args, " "))
	cmd.Env = m.env
	cmd.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/list"}
`)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var answer struct {
			Result struct{ Tools []struct{ Name string } }
		}
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		for _, tool := range answer.Result.Tools {
			have = append(have, tool.Name)
		}
	}
	wanted := named(text(t, "claude-code/skills/crosstalk/SKILL.md"), "register|[a-z]+_(?:messages?|for_reply|channels?|data|instances|replies)")
	if len(have) < 10 || len(wanted) < 5 {
		t.Fatalf("%q of %q", wanted, have)
	}
	for _, tool := range wanted {
		if !slices.Contains(have, tool) {
			t.Errorf("the skill speaks of %s, the tools are %q", tool, have)
		}
	}
}

func TestActionsOfTheGPTExist(t *testing.T) {
	var api struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(text(t, "../rest/openapi.json")), &api); err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, methods := range api.Paths {
		for _, operation := range methods {
			var o struct{ OperationID string }
			_ = json.Unmarshal(operation, &o) // parameters are a list
			if o.OperationID != "" {
				have = append(have, o.OperationID)
			}
		}
	}
	instructions := text(t, "gpt-actions/instructions.md")
	if len(instructions) > 8000 {
		t.Errorf("the instructions have %d characters, a GPT takes 8000", len(instructions))
	}
	for _, id := range have {
		if !regexp.MustCompile(`\b` + id + `\b`).MatchString(instructions) {
			t.Errorf("the instructions do not speak of %s", id)
		}
	}
	for _, name := range regexp.MustCompile(`\b[a-z]+[A-Z][A-Za-z]+\b`).FindAllString(instructions, -1) {
		if !slices.Contains(have, name) {
			t.Errorf("the instructions speak of %s, the operations are %q", name, have)
		}
	}
	if !strings.Contains(text(t, "gpt-actions/README.md"), "Fourteen actions") || len(have) != 14 {
		t.Errorf("README says another number than %d", len(have))
	}
}
