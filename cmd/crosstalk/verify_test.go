package main

import (
	"strings"
	"testing"

	"crosstalk/internal/pgtest"
)

func TestVerifyAndStatsLookAtEitherDatabase(t *testing.T) {
	for name, getenv := range map[string]func(string) string{
		"SQLite": env("CROSSTALK_DB", dbIn(t)), "PostgreSQL": env("DATABASE_URL", pgtest.Start(t)),
	} {
		t.Run(name, func(t *testing.T) {
			does(t, getenv, "", "send", "a", "hello").well(t)
			if got := does(t, getenv, "", "verify").well(t); !strings.Contains(got, "ok   ids        1 messages up to 1, in order\n") || !strings.Contains(got, " is as it should be") {
				t.Errorf("got:\n%s", got)
			}
			if got := does(t, getenv, "", "verify", "--json").well(t); !strings.Contains(got, `{"check":"positions","state":"ok","text":"none is beyond the log"}`) {
				t.Errorf("got:\n%s", got)
			}
			if got := does(t, getenv, "", "stats").well(t); !strings.Contains(got, "#a        1         ") || !strings.Contains(got, "\nmessages     1, ") || !strings.Contains(got, " messages behind\n") {
				t.Errorf("got:\n%s", got)
			}
			if got := does(t, getenv, "", "stats", "--json").well(t); !strings.Contains(got, `"database_bytes":`) || strings.Contains(got, "wal_bytes") != (name == "SQLite") {
				t.Errorf("got:\n%s", got)
			}
		})
	}
	missing := dbIn(t)
	if got := does(t, env("CROSSTALK_DB", missing), "", "stats"); got.code != 1 || !strings.Contains(got.err.Error(), missing) {
		t.Errorf("%d, %v", got.code, got.err)
	}
	if got := does(t, env("CROSSTALK_DB", missing), "", "verify"); got.code != 1 || !strings.Contains(got.err.Error(), missing) {
		t.Errorf("%d, %v", got.code, got.err)
	}
}
