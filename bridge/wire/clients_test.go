package wire

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// ways are the transports by which a client can reach a bus.
func ways(t *testing.T, try func(t *testing.T, b *bus, kind, url string)) {
	for _, kind := range []string{"stdio", "http", "sse"} {
		t.Run(kind, func(t *testing.T) {
			b := newBus(t)
			url := serve(t, Options{Bridge: b.bridge})
			path := map[string]string{"http": "/mcp", "sse": "/sse"}[kind]
			try(t, b, kind, url+path)
		})
	}
}

func TestTheOfficialClientsAreServedAndWoken(t *testing.T) {
	dir := others(t)
	for _, generation := range []string{"v1", "v2"} {
		t.Run(generation, func(t *testing.T) {
			ways(t, func(t *testing.T, b *bus, kind, url string) {
				protocol := mcp.ProtocolVersion20251125
				if generation == "v2" && kind != "sse" {
					protocol = mcp.ProtocolVersion20260728
				}
				officialClient(t, b, []string{dir, generation, kind, url}, protocol)
			})
		})
	}
}

func TestLivePushKeepsNewClientsToTheProtocolThatHasIt(t *testing.T) {
	officialClient(t, newBus(t), []string{others(t), "v2", "stdio", ""}, mcp.ProtocolVersion20251125, "WIRE_TEST_PUSH=1")
}

// officialClient runs a client against b to its end. env is for the server, if the client starts it.
func officialClient(t *testing.T, b *bus, args []string, protocol string, env ...string) {
	dir, kind := args[0], args[2]
	if kind == "stdio" {
		args[3] = os.Args[0]
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "node"), append([]string{"testdata/client.cjs"}, args...)...)
	cmd.Env = append(append(os.Environ(), "WIRE_TEST_STDIO="+b.path), env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := feed(t, out)
	next := func(what string, pieces ...string) {
		t.Helper()
		line, ok := <-lines
		name, text, _ := strings.Cut(line, " ")
		var got any
		if err := json.Unmarshal([]byte(text), &got); !ok || name != what || err != nil {
			t.Fatalf("instead of %s came %q\n%s", what, line, &errs)
		}
		s, _ := got.(string)
		wants(t, s, pieces...)
	}
	next("server", "crosstalk")
	next("protocol", protocol)
	next("tools")
	next("register", `Registered as "ts"`)
	next("send", "sent to #lobby as \"ts\"")
	next("progress", "waiting in #lobby")
	said := time.Now()
	b.say(t, "wake up")
	next("wait", "1 new message(s) in #lobby", "wake up")
	t.Logf("%s: woken after %s", kind, time.Since(said))
	next("cancelled", "enough")
	next("check", "Last message ID: 2")
	next("end")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &errs)
	}
}

func TestTheClientOfMCPGoIsServedAndWoken(t *testing.T) {
	for _, version := range []string{mcp.ProtocolVersion20260728, mcp.ProtocolVersion20251125, mcp.ProtocolVersion20241105} {
		t.Run(version, func(t *testing.T) {
			ways(t, func(t *testing.T, b *bus, kind, url string) {
				agreed := version
				if kind == "sse" && version == mcp.ProtocolVersion20260728 { // which it does not carry
					agreed = mcp.ProtocolVersion20251125
				}
				goClient(t, b, dial(t, b, kind, url, version), version, agreed)
			})
		})
	}
}

func dial(t *testing.T, b *bus, kind, url, version string) transport.Interface {
	switch kind {
	case "stdio":
		return transport.NewStdio(os.Args[0], append(os.Environ(), "WIRE_TEST_STDIO="+b.path))
	case "sse":
		c, err := transport.NewSSE(url)
		if err != nil {
			t.Fatal(err)
		}
		return c
	default:
		var options []transport.StreamableHTTPCOption
		if version != mcp.ProtocolVersion20260728 { // which has no GET
			//lint:ignore SA1019 clients of the older revisions have it
			options = append(options, transport.WithContinuousListening(), transport.WithHTTPLogger(logTo(t)))
		}
		c, err := transport.NewStreamableHTTP(url, options...)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func goClient(t *testing.T, b *bus, over transport.Interface, version, agreed string) {
	c := client.NewClient(over, client.WithProtocolVersion(version))
	progress := make(chan string, 100)
	c.OnNotification(func(n mcp.JSONRPCNotification) {
		if n.Method == string(mcp.MethodNotificationProgress) {
			progress <- n.Params.AdditionalFields["progressToken"].(string)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = version
	hello.Params.ClientInfo = mcp.Implementation{Name: "t", Version: "1"}
	r, err := c.Initialize(ctx, hello)
	if err != nil {
		t.Fatal(err)
	}
	if r.ProtocolVersion != agreed {
		t.Errorf("agreed on %s, not on %s", r.ProtocolVersion, agreed)
	}
	call := func(name string, args map[string]any) string {
		t.Helper()
		var q mcp.CallToolRequest
		q.Params.Name, q.Params.Arguments, q.Params.Meta = name, args, &mcp.Meta{ProgressToken: name}
		r, err := c.CallTool(ctx, q)
		if err != nil || len(r.Content) != 1 {
			t.Fatalf("%s: %v, %v", name, r, err)
		}
		return r.Content[0].(mcp.TextContent).Text
	}
	wants(t, call("register", map[string]any{"instance_id": "go"}), `Registered as "go"`)
	wants(t, call("send_message", map[string]any{"channel": "lobby", "sender": "go", "content": "hi"}), "sent to #lobby")
	woken := make(chan string, 1)
	go func() { woken <- call("wait_for_reply", map[string]any{"channel": "lobby", "instance_id": "go"}) }()
	if token := hear(t, progress); token != "wait_for_reply" {
		t.Errorf("progress came for %s", token)
	}
	b.say(t, "wake up")
	wants(t, hear(t, woken), "1 new message(s) in #lobby", "wake up")
}
