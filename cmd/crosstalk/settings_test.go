package main

import (
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// settings parses the command line of serve without running it.
func settings(t *testing.T, getenv func(string) string, args ...string) serveCommand {
	t.Helper()
	var c commands
	k, _, err := newParser(&c, getenv, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse(append([]string{"serve"}, args...)); err != nil {
		t.Fatal(err)
	}
	return c.Serve
}

func TestEverySettingIsAFlagAndVariablesFillIt(t *testing.T) {
	defaults := serveCommand{serverSettings: serverSettings{Connections: 5}, CleanupDays: 30, LogLevel: "info", LogFormat: "auto", Waits: waitSettings{WaitCeiling: 25, MutualGrace: 30000}, Limits: limitSettings{
		LimitRequests: 500, LimitPublishes: 200, LimitFailures: 60, LimitConnections: 1000, LimitSubscriptions: 20000, LimitWaits: 1000,
		LimitBodies: 4, LimitMiB: 20480, LimitChannelMiB: 2048, LimitChannels: 20000, LimitOwnChannels: 1000,
	}}
	with := func(change func(*serveCommand)) serveCommand {
		s := defaults
		change(&s)
		return s
	}
	for _, tc := range []struct {
		flag      string // and its value
		variables []string
		want      serveCommand
	}{
		{"--addr=:1,[::1]:2", []string{"CROSSTALK_ADDR"}, with(func(s *serveCommand) { s.Addr = []string{":1", "[::1]:2"} })},
		{"--port=80", []string{"PORT", "CROSSTALK_PORT"}, with(func(s *serveCommand) { s.Port = "80" })},
		{"--server-url=https://x", []string{"SERVER_URL", "CROSSTALK_SERVER_URL"}, with(func(s *serveCommand) { s.ServerURL = "https://x" })},
		{"--pprof=localhost:1", []string{"CROSSTALK_PPROF"}, with(func(s *serveCommand) { s.Pprof = "localhost:1" })},
		{"--key=k", []string{"MCP_API_KEY", "CROSSTALK_KEY"}, with(func(s *serveCommand) { s.Key = "k" })},
		{"--allowed-host=a,b", []string{"CROSSTALK_ALLOWED_HOST"}, with(func(s *serveCommand) { s.AllowedHost = []string{"a", "b"} })},
		{"--allowed-origin=https://a", []string{"CROSSTALK_ALLOWED_ORIGIN"}, with(func(s *serveCommand) { s.AllowedOrigin = []string{"https://a"} })},
		{"--db=x.db", []string{"CROSSTALK_DB"}, with(func(s *serveCommand) { s.DB = "x.db" })},
		{"--database-url=postgres://x", []string{"DATABASE_URL"}, with(func(s *serveCommand) { s.DatabaseURL = "postgres://x" })},
		{"--listen-url=postgres://y", []string{"DATABASE_LISTEN_URL", "CROSSTALK_LISTEN_URL"}, with(func(s *serveCommand) { s.ListenURL = "postgres://y" })},
		{"--skip-import=true", []string{"CROSSTALK_SKIP_IMPORT"}, with(func(s *serveCommand) { s.SkipImport = true })},
		{"--database-connections=9", []string{"CROSSTALK_DATABASE_CONNECTIONS"}, with(func(s *serveCommand) { s.Connections = 9 })},
		{"--cleanup-days=0", []string{"CLEANUP_DAYS", "CROSSTALK_CLEANUP_DAYS"}, with(func(s *serveCommand) { s.CleanupDays = 0 })},
		{"--keep-messages=5000", []string{"CROSSTALK_KEEP_MESSAGES"}, with(func(s *serveCommand) { s.KeepMessages = 5000 })},
		{"--run-as=1:2", []string{"CROSSTALK_RUN_AS"}, with(func(s *serveCommand) { s.RunAs = "1:2" })},
		{"--wait-ceiling=1.5", []string{"WAIT_TRANSPORT_CEILING_MIN", "CROSSTALK_WAIT_CEILING"}, with(func(s *serveCommand) { s.Waits.WaitCeiling = 1.5 })},
		{"--mutual-grace=9", []string{"MUTUAL_WAIT_GRACE_MS", "CROSSTALK_MUTUAL_GRACE"}, with(func(s *serveCommand) { s.Waits.MutualGrace = 9 })},
		{"--no-loop-guard=true", []string{"CROSSTALK_NO_LOOP_GUARD"}, with(func(s *serveCommand) { s.Waits.NoLoopGuard = true })},
		{"--trusted-proxy=10.0.0.0/8,::1", []string{"CROSSTALK_TRUSTED_PROXY"}, with(func(s *serveCommand) { s.Limits.TrustedProxy = []string{"10.0.0.0/8", "::1"} })},
		{"--limit-requests=0", []string{"CROSSTALK_LIMIT_REQUESTS"}, with(func(s *serveCommand) { s.Limits.LimitRequests = 0 })},
		{"--limit-publishes=2.5", []string{"CROSSTALK_LIMIT_PUBLISHES"}, with(func(s *serveCommand) { s.Limits.LimitPublishes = 2.5 })},
		{"--limit-failures=3", []string{"CROSSTALK_LIMIT_FAILURES"}, with(func(s *serveCommand) { s.Limits.LimitFailures = 3 })},
		{"--limit-all-connections=3", []string{"CROSSTALK_LIMIT_ALL_CONNECTIONS"}, with(func(s *serveCommand) { s.Limits.LimitAllConnections = 3 })},
		{"--limit-connections=3", []string{"CROSSTALK_LIMIT_CONNECTIONS"}, with(func(s *serveCommand) { s.Limits.LimitConnections = 3 })},
		{"--limit-subscriptions=3", []string{"CROSSTALK_LIMIT_SUBSCRIPTIONS"}, with(func(s *serveCommand) { s.Limits.LimitSubscriptions = 3 })},
		{"--limit-waits=3", []string{"CROSSTALK_LIMIT_WAITS"}, with(func(s *serveCommand) { s.Limits.LimitWaits = 3 })},
		{"--limit-bodies=3", []string{"CROSSTALK_LIMIT_BODIES"}, with(func(s *serveCommand) { s.Limits.LimitBodies = 3 })},
		{"--limit-mib=3", []string{"CROSSTALK_LIMIT_MIB"}, with(func(s *serveCommand) { s.Limits.LimitMiB = 3 })},
		{"--limit-channel-mib=3", []string{"CROSSTALK_LIMIT_CHANNEL_MIB"}, with(func(s *serveCommand) { s.Limits.LimitChannelMiB = 3 })},
		{"--limit-channels=3", []string{"CROSSTALK_LIMIT_CHANNELS"}, with(func(s *serveCommand) { s.Limits.LimitChannels = 3 })},
		{"--limit-own-channels=3", []string{"CROSSTALK_LIMIT_OWN_CHANNELS"}, with(func(s *serveCommand) { s.Limits.LimitOwnChannels = 3 })},
		{"--log-level=warn", []string{"CROSSTALK_LOG_LEVEL"}, with(func(s *serveCommand) { s.LogLevel = "warn" })},
		{"--log-format=json", []string{"CROSSTALK_LOG_FORMAT"}, with(func(s *serveCommand) { s.LogFormat = "json" })},
	} {
		t.Run(tc.flag, func(t *testing.T) {
			_, value, _ := strings.Cut(tc.flag, "=")
			if diff := cmp.Diff(tc.want, settings(t, env(), tc.flag), cmp.AllowUnexported(serveCommand{})); diff != "" {
				t.Errorf("flag (-want +got):\n%s", diff)
			}
			var pairs []string
			for _, name := range tc.variables {
				// A later name goes before an earlier one, whose value must not matter then.
				pairs = append(pairs, name, value)
				if diff := cmp.Diff(tc.want, settings(t, env(pairs...)), cmp.AllowUnexported(serveCommand{})); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
				pairs[len(pairs)-1] = "1"
			}
			if diff := cmp.Diff(tc.want, settings(t, env(pairs...), tc.flag), cmp.AllowUnexported(serveCommand{})); diff != "" {
				t.Errorf("flag before variables (-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff(defaults, settings(t, env("PORT", "", "CLEANUP_DAYS", "")), cmp.AllowUnexported(serveCommand{})); diff != "" {
		t.Errorf("empty variables are absent (-want +got):\n%s", diff)
	}
}

func TestEverySettingNamesItsVariable(t *testing.T) {
	fields := slices.AppendSeq(slices.Collect(reflect.TypeFor[serveCommand]().Fields()), reflect.TypeFor[waitSettings]().Fields())
	fields = slices.AppendSeq(fields, reflect.TypeFor[limitSettings]().Fields())
	for _, f := range slices.AppendSeq(fields, reflect.TypeFor[mcpCommand]().Fields()) {
		if _, group := f.Tag.Lookup("embed"); group {
			continue
		}
		if f.Tag.Get("from") == "" || f.Tag.Get("help") == "" {
			t.Errorf("%s has no variable or no help", f.Name)
		}
		if f.Tag.Get("env") != "" {
			t.Errorf("%s has kong's env tag, which reads the process", f.Name)
		}
	}
}
