package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"crosstalk/models/store/access"
)

func TestAKeyIsShownOnceAndAlone(t *testing.T) {
	alone := regexp.MustCompile(`^` + access.KeyPrefix + `[A-Z2-7]{26}\n$`)
	eachWay(t, func(t *testing.T, getenv func(string) string) {
		first := does(t, getenv, "", "keys", "create", "ci", "--channels", "Team_*, general", "--expires", "90d")
		if !alone.MatchString(first.well(t)) || !strings.Contains(first.errs, "shown this once") {
			t.Errorf("%q, %q", first.out, first.errs)
		}
		second := does(t, getenv, "", "keys", "rotate", "ci")
		if !alone.MatchString(second.well(t)) || second.out == first.out {
			t.Errorf("%q, %q", second.out, second.errs)
		}
		list := does(t, getenv, "", "keys", "list").well(t)
		if want := "ci   write  team-*, general  -     " + time.Now().Add(90*24*time.Hour).UTC().Format(time.DateOnly); !strings.Contains(list, want) {
			t.Errorf("%q, want %q", list, want)
		}
		for _, step := range []struct {
			args, want string
			code       int
		}{
			{"keys create ci", "", 1},
			{"keys create a/b", "", 1},
			{"keys create boss --scope admin --channels x", "", 1},
			{"keys create x --scope root", "", 2},
			{"keys create x --expires soon", "", 2},
			{"keys rotate nobody", "", 1},
			{"keys revoke ci", "ci is revoked: it opens nothing any more\n", 0},
			{"keys revoke ci", "ci is revoked: it opens nothing any more\n", 0},
			{"keys rotate ci", "", 1},
			{"keys delete ci", "ci is deleted, and the names that belonged to it are free\n", 0},
			{"keys delete ci", "", 1},
			{"keys list --json", "", 0},
			{"instances release nobody", "", 1},
		} {
			got := does(t, getenv, "", strings.Fields(step.args)...)
			if got.out != step.want || got.code != step.code {
				t.Errorf("crosstalk %s: %q, exit code %d (%v), want %q, %d", step.args, got.out, got.code, got.err, step.want, step.code)
			}
			if strings.Contains(got.out+got.errs, strings.TrimSpace(second.out)) {
				t.Errorf("crosstalk %s shows the key again", step.args)
			}
		}
	})
}

func TestExpiryIsAnyUsualTime(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for given, want := range map[string]string{
		"": "", "90d": "2030-04-01T12:00:00Z", "12h": "2030-01-02T00:00:00Z", "30m": "2030-01-01T12:30:00Z", "5s": "2030-01-01T12:00:05Z",
		"2030-02-01": "2030-02-01T00:00:00Z", "2030-02-01T03:00:00+02:00": "2030-02-01T01:00:00Z",
		"0d": "wrong", "d": "wrong", "-1d": "wrong", "1w": "wrong", "1.5h": "wrong", "99999999999d": "wrong", "4000000000d": "wrong", "tomorrow": "wrong", "2030-13-01": "wrong",
	} {
		got, err := expiry(given, now)
		if (err != nil) != (want == "wrong") || err == nil && got != want {
			t.Errorf("%q: %q, %v, want %q", given, got, err, want)
		}
	}
}

// A key of some channels need not have to do with #general, which others ask first.
func TestAKeyOfSomeChannelsFollowsThem(t *testing.T) {
	f := build(t)
	tail := env("CROSSTALK_URL", f.url, "CROSSTALK_KEY", f.keys["reader"])
	got := does(t, tail, "", "export", "team-a").well(t)
	if !strings.Contains(got, "welcome") {
		t.Errorf("%q", got)
	}
	if got := does(t, tail, "", "export", "vault"); got.code != 1 || strings.Contains(got.out, treasure) {
		t.Errorf("%+v", got)
	}
}

// Named keys alone are keys enough to listen beyond this machine.
func TestNamedKeysOpenAHubToOthers(t *testing.T) {
	db := dbIn(t)
	key := strings.TrimSpace(does(t, env("CROSSTALK_DB", db), "", "keys", "create", "a").well(t))
	r := start(t, db, env("PORT", "0"))
	if !strings.Contains(r.stderr.String(), `"addr":"[::]:`) {
		t.Errorf("it listens on\n%s", r.stderr)
	}
	c := client(t)
	if got := call(t, c, r.url+"/api/channels", nil, nil); got != 401 {
		t.Errorf("without a key: %d", got)
	}
	if got := call(t, c, r.url+"/api/channels", nil, nil, "Authorization", "Bearer "+key); got != 200 {
		t.Errorf("with it: %d", got)
	}
}
