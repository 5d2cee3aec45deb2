package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestConfigTellsWhereEachValueCameFrom(t *testing.T) {
	getenv := env("HOME", "/home/alice", "CLEANUP_DAYS", "90", "MCP_API_KEY", "sesame", "CROSSTALK_ALLOWED_HOST", "a,b")
	got := does(t, getenv, "", "config", "--log-level", "warn", "--port", "80").well(t)
	for _, want := range []string{
		"--cleanup-days 90 CLEANUP_DAYS", "--key xxxxx MCP_API_KEY", "--allowed-host a,b CROSSTALK_ALLOWED_HOST", "--log-level warn flag",
		"--port 80 flag", "--db /home/alice/.crosstalk/crosstalk.db default", "--limit-requests 500 default", "--pprof - default", "--compat false default",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	got = does(t, getenv, "", "config", "--json").well(t)
	if !strings.Contains(got, `{"setting":"--cleanup-days","value":"90","from":"CLEANUP_DAYS"}`+"\n") || !strings.Contains(got, `{"setting":"--addr","value":"localhost:8787","from":"default"}`) {
		t.Errorf("got %s", got)
	}
	var c commands
	k, _, err := newParser(&c, env(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range k.Model.Children {
		if node.Name == "serve" {
			allShown(t, node, got)
		}
	}
}

func allShown(t *testing.T, serve *kong.Node, got string) {
	t.Helper()
	if n := strings.Count(got, "\n"); n != len(serve.Flags) {
		t.Errorf("%d settings are shown, serve has %d", n, len(serve.Flags))
	}
	for _, f := range serve.Flags {
		if !strings.Contains(got, `"--`+f.Name+`"`) {
			t.Errorf("--%s is not shown", f.Name)
		}
	}
}

func TestConfigShowsNoSecret(t *testing.T) {
	for _, db := range []string{
		"postgres://u:hunter2@h/db?sslmode=require", "postgres://h/db?user=u&password=hunter2", "postgresql://h/db?sslpassword=hunter2&x=1",
		"host=h password=hunter2", "postgres:hunter2", "://hunter2", "mysql://u:hunter2@h/db", "postgres://u:hunter2%@h/db", "postgres://h/db?p%61ssword=hunter2",
	} {
		for _, args := range [][]string{{"config"}, {"config", "--json"}} {
			got := does(t, env("HOME", "/x", "DATABASE_URL", db, "DATABASE_LISTEN_URL", db, "MCP_API_KEY", "hunter2hunter2hunter2"), "", args...)
			if all := got.out + got.errs; strings.Contains(all, "hunter2") || got.err != nil && strings.Contains(got.err.Error(), "hunter2") || !strings.Contains(all, "xxxxx") {
				t.Errorf("%s: %v\n%s", db, got.err, all)
			}
		}
	}
	for value, want := range map[string]string{
		"postgres://u:p@h:5432/db?sslmode=require": "postgres://u:xxxxx@h:5432/db?sslmode=require",
		"https://bus.example.com":                  "https://bus.example.com",
	} {
		if got := shown("server-url", value); got != want {
			t.Errorf("%s is shown as %s", value, got)
		}
	}
}

// TestEveryWrongSettingHasASentence holds for what is shown, and for the start.
func TestEveryWrongSettingHasASentence(t *testing.T) {
	getenv := env("PORT", "http", "CLEANUP_DAYS", "-1", "CROSSTALK_PPROF", "0.0.0.0:1", "CROSSTALK_RUN_AS", "root", "CROSSTALK_WAIT_CEILING", "-1",
		"CROSSTALK_MUTUAL_GRACE", "0", "CROSSTALK_LIMIT_WAITS", "-1", "CROSSTALK_LIMIT_MIB", "-1", "CROSSTALK_LIMIT_REQUESTS", "NaN", "DATABASE_URL", "mysql://x", "CROSSTALK_LISTEN_URL", "x",
		"CROSSTALK_DATABASE_CONNECTIONS", "1", "SERVER_URL", "ftp://x", "CROSSTALK_KEY", "a b", "CROSSTALK_TRUSTED_PROXY", "10.0.0.0/99,::1,x", "CROSSTALK_ALLOWED_HOST", "a/b",
		"CROSSTALK_ALLOWED_ORIGIN", "x", "CROSSTALK_KEEP_MESSAGES", "7", "CROSSTALK_LIMIT_CHANNELS", "many", "CROSSTALK_LIMIT_CHANNEL_MIB", "99999999999999999999",
		"CROSSTALK_COMPAT", "perhaps", "CROSSTALK_LOG_LEVEL", "loud", "CROSSTALK_LIMIT_PUBLISHES", "two")
	for _, command := range []string{"config", "serve"} {
		got := does(t, getenv, "", command)
		if got.code != 2 {
			t.Fatalf("%s: exit code %d, %v", command, got.code, got.err)
		}
		said := strings.Split(got.err.Error(), "\n")
		if len(said) != 24 {
			t.Errorf("%s has %d sentences for 24 faults:\n%v", command, len(said), got.err)
		}
		for _, want := range []string{
			"port to listen on", "--cleanup-days", "--pprof", "--run-as", "--wait-ceiling", "--mutual-grace", "CROSSTALK_LIMIT_WAITS", "CROSSTALK_LIMIT_MIB", "CROSSTALK_LIMIT_REQUESTS",
			"database URL", "listen URL", "--database-connections", "server URL", "the key contains", "10.0.0.0/99", `"x"`, "allowed host", "allowed origin", "--keep-messages",
			`--limit-channels must be a whole number, not "many" (from CROSSTALK_LIMIT_CHANNELS)`, "--limit-channel-mib must be a whole number", `--compat must be true or false, not "perhaps"`,
			`--log-level must be one of debug, info, warn, error, not "loud" (from CROSSTALK_LOG_LEVEL)`, `--limit-publishes must be a number, not "two"`,
		} {
			if !strings.Contains(got.err.Error(), want) {
				t.Errorf("%s says nothing of %s:\n%v", command, want, got.err)
			}
		}
		if all := strings.Join(strings.Fields(got.out), " "); command == "config" && (!strings.Contains(all, "--limit-channels many CROSSTALK_LIMIT_CHANNELS") || !strings.Contains(all, "--log-level loud ")) {
			t.Errorf("what could not be understood is not shown:\n%s", got.out)
		}
	}
	if got := does(t, getenv, "", "stats"); got.code != 2 || !strings.Contains(got.err.Error(), "database URL") {
		t.Errorf("stats: %d, %v", got.code, got.err)
	}
	if got := does(t, env("CROSSTALK_PUSH", "perhaps", "CROSSTALK_LOG_LEVEL", "loud"), "", "mcp"); got.code != 2 || strings.Count(got.err.Error(), "\n") != 1 {
		t.Errorf("another command than serve: %d, %v", got.code, got.err)
	}
}
