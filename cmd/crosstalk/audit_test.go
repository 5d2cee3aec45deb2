package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestAuditSaysWhoDidWhat(t *testing.T) {
	eachWay(t, func(t *testing.T, getenv func(string) string) {
		does(t, getenv, "", "keys", "create", "ci").well(t)
		does(t, getenv, "", "send", "crew", "hello", "--as", "ada").well(t)
		does(t, getenv, "", "keys", "revoke", "ci").well(t)
		does(t, getenv, "", "instances", "release", "ada")
		var did []string
		for line := range strings.Lines(does(t, getenv, "", "audit", "--json").well(t)) {
			var e eventLine
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.At == 0 || e.ID == 0 || e.Count == 0 {
				t.Errorf("%s: %v", line, err)
			}
			did = append(did, e.Action+" "+e.Subject)
		}
		for _, want := range []string{"create_key ci", "revoke_key ci"} {
			if !slices.Contains(did, want) {
				t.Errorf("%q is not among %q", want, did)
			}
		}
		table := does(t, getenv, "", "audit", "--since", "1h").well(t)
		if !strings.Contains(table, "WHEN") || !strings.Contains(table, "revoke key") || !strings.Contains(table, "shared") {
			t.Errorf("as a table:\n%s", table)
		}
		if got := does(t, getenv, "", "audit", "--since", "2999-01-01", "--json").well(t); got != "" {
			t.Errorf("of the future: %s", got)
		}
		for _, wrong := range []string{"", "soon", "90", "-1d"} {
			if got := does(t, getenv, "", "audit", "--since="+wrong); got.code != 2 {
				t.Errorf("--since %q: exit code %d, %v", wrong, got.code, got.err)
			}
		}
	})
}

func TestAuditIsForAdmins(t *testing.T) {
	r := start(t, dbIn(t), env("MCP_API_KEY", "sesame"))
	admin := env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", "sesame")
	key := strings.TrimSpace(does(t, admin, "", "keys", "create", "ci", "--scope", "write").well(t))
	does(t, env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", key), "", "channels").well(t)
	if got := does(t, env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", key), "", "audit"); got.err == nil || !strings.Contains(got.err.Error(), "scope admin") {
		t.Errorf("%v %s", got.err, got.out)
	}
	if got := does(t, env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", "wrong"), "", "channels"); got.err == nil {
		t.Error("a wrong key")
	}
	said := does(t, admin, "", "audit").well(t)
	for _, want := range []string{"key:ci", "127.0.0.1", "new address", "failed logins"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing of %q:\n%s", want, said)
		}
	}
}
