package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"crosstalk/auth"
)

// BenchmarkCalls measures calls of one client that waits for each answer, over each transport: of a tool that does
// nothing, of send_message and of check_messages.
func BenchmarkCalls(b *testing.B) {
	quiet := slog.New(slog.DiscardHandler)
	bus, err := openBus(b.Context(), filepath.Join(b.TempDir(), "bus.db"), false, quiet)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = bus.close() }()
	const about = `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"%s","arguments":{"channel":"lobby","instance_id":"bob","sender":"bob","content":"hello"}META}}`
	for _, tool := range []string{"echo", "send_message", "check_messages"} {
		o := Options{Bridge: bus.bridge, Log: quiet, Gate: gate(b, auth.Config{})}
		if tool == "echo" {
			o.Bridge = newProbe()
		}
		old := strings.Replace(about, "META", "", 1)
		b.Run(tool+"/stdio", func(b *testing.B) {
			in, send := io.Pipe()
			out, answers := io.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- Stdio(context.Background(), in, answers, o) }()
			lines := bufio.NewReader(out)
			for i := 0; b.Loop(); i++ {
				if _, err := fmt.Fprintf(send, old+"\n", i, tool); err != nil {
					b.Fatal(err)
				}
				if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, `"result"`) {
					b.Fatal(line, err)
				}
			}
			_ = send.Close()
			<-ended
		})
		s := httptest.NewServer(HTTP(o))
		defer s.Close()
		for name, fields := range map[string][]string{
			"http":      {"Mcp-Session-Id: S"},
			"http-2026": {"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: " + tool},
		} {
			message := old
			if name == "http-2026" {
				message = modern(about)
			}
			b.Run(tool+"/"+name, func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					r, err := post(b.Context(), s.URL, fmt.Sprintf(message, i, tool), fields...)
					if err != nil {
						b.Fatal(err)
					}
					if status, _, body := whole(b, r); status != http.StatusOK || !strings.Contains(body, `"result"`) {
						b.Fatal(status, body)
					}
				}
			})
		}
	}
}
