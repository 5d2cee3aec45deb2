package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// states are the first two columns of what the doctor says.
func states(out string) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^(ok|warn|fail) +(round trip|\S+)`).FindAllStringSubmatch(out, -1) {
		all = append(all, m[1]+" "+m[2])
	}
	return all
}

func TestDoctorFindsWhatToMend(t *testing.T) {
	db := dbIn(t)
	r := start(t, db, env("MCP_API_KEY", "sesame"))
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			_, _ = w.Write([]byte(`{"status":"ok","server":"something \u001b[2Jelse"}`))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer other.Close()
	deaf := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/ws" { // as a proxy that knows no WebSocket
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		req, err := http.NewRequestWithContext(q.Context(), q.Method, r.url+q.URL.RequestURI(), q.Body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = q.Header
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	}))
	defer deaf.Close()
	defer http.DefaultClient.CloseIdleConnections()
	missing := dbIn(t)
	reader := strings.TrimSpace(does(t, env(), "", "keys", "create", "reader", "--scope", "read", "--db", db).well(t))
	narrow := strings.TrimSpace(does(t, env(), "", "keys", "create", "narrow", "--channels", "team-*", "--db", db).well(t))
	for _, tc := range []struct {
		name string
		env  func(string) string
		want []string
		says string
		code int
	}{
		{"a hub", env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", "sesame"),
			[]string{"ok program", "ok address", "ok version", "ok ready", "ok key", "ok round trip"}, "", 0},
		{"no key", env("CROSSTALK_URL", r.url), []string{"ok program", "ok address", "ok version", "ok ready", "fail key"}, "set CROSSTALK_KEY", 1},
		{"a wrong key", env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", "x"), []string{"ok program", "ok address", "ok version", "ok ready", "fail key"}, "or to one of crosstalk keys create", 1},
		{"a key that may only read", env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", reader),
			[]string{"ok program", "ok address", "ok version", "ok ready", "ok key", "warn round trip"}, "this key may not", 0},
		{"a key for other channels", env("CROSSTALK_URL", r.url, "CROSSTALK_KEY", narrow),
			[]string{"ok program", "ok address", "ok version", "ok ready", "ok key", "warn round trip"}, "this key may not", 0},
		{"no hub", env("CROSSTALK_URL", other.URL), []string{"ok program", "ok address", "fail version"}, `no Crosstalk hub but "something \x1b[2Jelse"`, 1},
		{"no WebSocket", env("CROSSTALK_URL", deaf.URL, "CROSSTALK_KEY", "sesame"),
			[]string{"ok program", "ok address", "ok version", "ok ready", "ok key", "fail round trip"}, "must let WebSocket through", 1},
		{"a database in use", env("CROSSTALK_DB", db),
			[]string{"ok program", "ok address", "ok database", "ok ready", "ok round trip", "ok doorbell"}, db, 0},
		{"no database", env("CROSSTALK_DB", missing), []string{"ok program", "warn address"}, missing, 0},
		{"no file", env("CROSSTALK_DB", t.TempDir()), []string{"ok program", "ok address", "fail database"}, "", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := does(t, tc.env, "", "doctor")
			if diff := cmp.Diff(tc.want, states(got.out)); diff != "" || got.code != tc.code || !strings.Contains(got.out, tc.says) {
				t.Errorf("exit code %d, want %d, and %q in:\n%s%s(-want +got)\n%s", got.code, tc.code, tc.says, got.out, got.errs, diff)
			}
		})
	}
	if got := does(t, env("CROSSTALK_DB", db), "", "doctor", "--json", "--read-only").well(t); strings.Count(got, `"state":"ok"`) != 4 || strings.Contains(got, "round trip") {
		t.Errorf("got %s", got)
	}
}
