package wire

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// others returns the folder of the clients that others wrote, and of the Node that runs them.
func others(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "../../scripts/mcp-clients").Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("the clients that this test runs are not there: %s", failed.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// examine runs the conformance suite for a revision. What fails and does not stand in the baseline fails the test, and so
// does what passes though it stands there.
func examine(t *testing.T, url, revision, baseline string) {
	t.Helper()
	dir := others(t)
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "node"),
		filepath.Join(dir, "node_modules/@modelcontextprotocol/conformance/dist/index.js"),
		"server", "--url", url, "--requirements", revision, "--expected-failures", baseline, "-o", t.TempDir())
	out, err := cmd.CombinedOutput()
	_, summary, found := bytes.Cut(out, []byte("=== SUMMARY ==="))
	if err != nil || !found {
		t.Fatalf("%s: %v\n%s%s", revision, err, summary, out)
	}
	t.Logf("%s:%s", revision, summary)
}

func TestConformsToTheProtocol(t *testing.T) {
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			url := serve(t, Options{Bridge: newDesk(newSuite())})
			examine(t, url+"/mcp", revision, "testdata/baseline.yml")
		})
	}
}

func TestTheBusConformsToTheProtocol(t *testing.T) {
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			url := serve(t, Options{Bridge: newBus(t).bridge})
			examine(t, url+"/mcp", revision, "testdata/baseline-"+revision+".yml")
		})
	}
}
