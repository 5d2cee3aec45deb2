package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

// asMain makes this test binary the program itself, for tests that need a process of its own.
const asMain = "CROSSTALK_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main() // exits
	}
	// These two of fasthttp's sleep up to 10 s before they look whether they may end, and do nothing else then.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// env makes a getenv of pairs.
func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

// output runs a command that ends by itself, as if from a terminal.
func output(t *testing.T, getenv func(string) string, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(t.Context(), args, getenv, nil, &out, &errs)
	if errs.Len() > 0 {
		t.Logf("stderr: %s", errs.String())
	}
	return out.String(), err
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; run the test with -update if it should (-want +got):\n%s", file, diff)
	}
}

func TestHelpSaysWhatThereIs(t *testing.T) {
	t.Setenv("COLUMNS", "") // the one variable that kong reads for itself
	for name, args := range map[string][]string{
		"help.txt": {"--help"}, "help-serve.txt": {"serve", "--help"}, "help-version.txt": {"version", "-h"},
		"help-completion.txt": {"completion", "--help"}, "help-mcp.txt": {"mcp", "--help"}, "help-import-cross-claude.txt": {"import", "cross-claude", "--help"}, "help-mcp-config.txt": {"mcp-config", "--help"},
		"help-keys.txt": {"keys", "--help"}, "help-keys-create.txt": {"keys", "create", "--help"}, "help-send.txt": {"send", "--help"}, "help-tail.txt": {"tail", "--help"}, "help-channels.txt": {"channels", "--help"},
		"help-instances.txt": {"instances", "--help"}, "help-search.txt": {"search", "--help"}, "help-data.txt": {"data", "--help"},
		"help-data-put.txt": {"data", "put", "--help"}, "help-export.txt": {"export", "--help"}, "help-doctor.txt": {"doctor", "--help"},
		"help-hook.txt": {"hook", "--help"}, "help-hook-wait.txt": {"hook", "wait", "--help"},
		"help-backup.txt": {"backup", "--help"}, "help-restore.txt": {"restore", "--help"}, "help-verify.txt": {"verify", "--help"}, "help-stats.txt": {"stats", "--help"}, "help-config.txt": {"config", "--help"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := output(t, env(), args...)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, got)
		})
	}
}

func TestBareCommandShowsHelpAndHowToStart(t *testing.T) {
	got, err := output(t, env())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Usage: crosstalk <command>", "To start a hub on this machine: crosstalk serve"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestBareCommandWithPortServes(t *testing.T) {
	_, err := output(t, env("PORT", "http"))
	if err == nil || !strings.Contains(err.Error(), `port to listen on must be a number from 0 to 65535, not "http"`) {
		t.Errorf("got %v, want serve's own complaint about the port", err)
	}
}

func TestMisuseIsToldInOneSentence(t *testing.T) {
	for _, tc := range []struct {
		args []string
		env  func(string) string
		want string
	}{
		{[]string{"sevre"}, env(), `unexpected argument sevre, did you mean "serve"?`},
		{[]string{"serve", "--colour"}, env(), "unknown flag --colour"},
		{[]string{"serve", "--cleanup-days", "many"}, env(), `--cleanup-days: expected a valid 64 bit int but got "many"`},
		{[]string{"serve"}, env("HOME", "/x", "CLEANUP_DAYS", "many"), `--cleanup-days must be a whole number, not "many" (from CLEANUP_DAYS)`},
		{[]string{"serve"}, env("HOME", "/x", "CROSSTALK_LOG_LEVEL", "loud"), `--log-level must be one of debug, info, warn, error, not "loud" (from CROSSTALK_LOG_LEVEL)`},
		{[]string{"completion"}, env(), `expected "<shell>"`},
		{[]string{"completion", "tcsh"}, env(), `<shell> must be one of "bash","zsh","fish" but got "tcsh"`},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			_, err := output(t, tc.env, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want one line with %q", err, tc.want)
			}
			if got := exitCode(err); got != 2 {
				t.Errorf("exit code %d, want 2", got)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	for err, want := range map[error]int{nil: 0, context.Canceled: 1, misuse("no"): 2, noAnswer{}: 3} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
}
