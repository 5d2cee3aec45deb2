package main

import (
	"encoding/json"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// facts reads a TOML file as far as ours go: table.key to value, without quotes.
func facts(t *testing.T, name string) map[string]string {
	t.Helper()
	all, table := map[string]string{}, ""
	for text := range strings.Lines(document(t, name)) {
		text = strings.TrimSpace(text)
		if key, value, is := strings.Cut(text, "="); is && !strings.HasPrefix(text, "#") {
			all[table+strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"`)
		} else if strings.HasPrefix(text, "[") {
			table = strings.Trim(text, "[]") + "."
		}
	}
	return all
}

// instructions are a Dockerfile's, each after the name of its stage; a stage has those of the one it begins with.
func instructions(t *testing.T) (byStage map[string][]string, last string) {
	t.Helper()
	byStage = map[string][]string{}
	whole := strings.ReplaceAll(document(t, "Dockerfile"), "\\\n", " ")
	from := regexp.MustCompile(`^FROM (?:--\S+ )?(\S+)(?: AS (\S+))?$`)
	for text := range strings.Lines(whole) {
		text = strings.TrimSpace(text)
		if m := from.FindStringSubmatch(text); m != nil {
			last = m[2]
			byStage[last] = slices.Clone(byStage[m[1]])
		} else if text != "" && !strings.HasPrefix(text, "#") {
			byStage[last] = append(byStage[last], text)
		}
	}
	return byStage, last
}

// variablesOf collects NAME=value.
func variablesOf(text string) map[string]string {
	all := map[string]string{}
	for _, m := range regexp.MustCompile(`\b([A-Z][A-Z_]+)=(\S*)`).FindAllStringSubmatch(text, -1) {
		all[m[1]] = m[2]
	}
	return all
}

func TestDeploymentGivesTheHubTimeToEnd(t *testing.T) {
	var railway struct {
		Deploy struct {
			DrainingSeconds int    `json:"drainingSeconds"`
			HealthcheckPath string `json:"healthcheckPath"`
		} `json:"deploy"`
	}
	if err := json.Unmarshal([]byte(document(t, "railway.json")), &railway); err != nil {
		t.Fatal(err)
	}
	operations := document(t, "docs/operations.md")
	seconds := map[string]string{
		"fly.toml": strings.TrimSuffix(facts(t, "fly.toml")["kill_timeout"], "s"), "railway.json": strconv.Itoa(railway.Deploy.DrainingSeconds),
		"systemd": found(t, `TimeoutStopSec=(\d+)`, operations)[0], "docker": found(t, `--stop-timeout (\d+)`, operations)[0],
	}
	for where, text := range seconds {
		if n, err := strconv.Atoi(text); err != nil || time.Duration(n)*time.Second <= drainTime {
			t.Errorf("%s gives %q seconds, the hub needs %s", where, text, drainTime)
		}
	}
	if !strings.Contains(operations, drainTime.String()) && !strings.Contains(operations, strings.TrimSuffix(drainTime.String(), "s")) {
		t.Errorf("docs/operations.md does not say that the hub needs %s", drainTime)
	}
}

func TestDeploymentAsksForWhatIsThere(t *testing.T) {
	r := start(t, dbIn(t), env("MCP_API_KEY", "sesame"))
	c := client(t)
	for _, name := range []string{"fly.toml", "railway.json", "docs/operations.md"} {
		for _, path := range found(t, "[\"`](/(?:readyz|livez|health)[a-z]*)[\"`]", document(t, name)) {
			if status := call(t, c, r.url+path, nil, nil); status != http.StatusOK {
				t.Errorf("%s asks for %s, which answers %d", name, path, status)
			}
		}
	}
	fly := facts(t, "fly.toml")
	for key, want := range map[string]string{
		"env.PORT": fly["http_service.internal_port"], "http_service.checks.path": "/readyz", "http_service.auto_stop_machines": "off",
		"kill_signal": "SIGTERM", "http_service.concurrency.type": "connections", "http_service.min_machines_running": "1",
	} {
		if fly[key] != want || want == "" {
			t.Errorf("fly.toml: %s is %q, want %q", key, fly[key], want)
		}
	}
}

func TestImageRunsAsNobodyAndKeepsTheDatabaseOnTheVolume(t *testing.T) {
	stages, last := instructions(t)
	image, fly := strings.Join(stages[last], "\n"), facts(t, "fly.toml")
	set := variablesOf(image)
	if !strings.Contains(image, "\nUSER "+set["CROSSTALK_RUN_AS"]) {
		t.Errorf("the image does not run as %q:\n%s", set["CROSSTALK_RUN_AS"], image)
	}
	if _, err := parseOwner(set["CROSSTALK_RUN_AS"]); err != nil {
		t.Error(err)
	}
	rooted := strings.Join(stages[fly["build.build-target"]], "\n")
	if rooted == "" || strings.Contains(rooted, "USER") || !strings.Contains(rooted, "ENTRYPOINT") {
		t.Errorf("fly.toml builds %q, which is:\n%s", fly["build.build-target"], rooted)
	}
	volume := found(t, `(?m)^VOLUME (\S+)$`, image)[0]
	if path.Dir(set["CROSSTALK_DB"]) != volume || fly["mounts.destination"] != volume {
		t.Errorf("the database is %s, the volume %s, and Fly's %s", set["CROSSTALK_DB"], volume, fly["mounts.destination"])
	}
	if port := found(t, `(?m)^EXPOSE (\d+)$`, image)[0]; port != set["PORT"] || !strings.Contains(document(t, "docs/operations.md"), ":"+port+":"+port) {
		t.Errorf("the image exposes %s and listens on %s", port, set["PORT"])
	}
	build := strings.Join(stages["build"], "\n")
	for _, want := range []string{"CGO_ENABLED=0", "-o /out/crosstalk ./cmd/crosstalk", "-X main.version="} {
		if !strings.Contains(build, want) {
			t.Errorf("no %q in:\n%s", want, build)
		}
	}
	if !strings.Contains(image, `ENTRYPOINT ["/crosstalk"]`) {
		t.Errorf("the image does not start what is built:\n%s", image)
	}
	needs := found(t, `(?m)^go (\d+\.\d+)`, document(t, "go.mod"))[0]
	if has := found(t, `golang:(\d+\.\d+)`, document(t, "Dockerfile"))[0]; has != needs {
		t.Errorf("the image is built with Go %s, go.mod asks for %s", has, needs)
	}
}

// TestDeploymentSetsWhatTheHubReads catches a variable that was renamed or misspelt.
func TestDeploymentSetsWhatTheHubReads(t *testing.T) {
	var c commands
	k, _, err := newParser(&c, env(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"HOME", "RAILWAY_RUN_UID", "VERSION", "CROSSTALK_KEY"}
	for _, f := range k.Model.Children[0].Flags {
		known = append(known, variables(f.Value)...)
	}
	stages, last := instructions(t)
	operations := strings.ReplaceAll(document(t, "docs/operations.md"), "SHA256SUMS", "")
	for where, text := range map[string]string{
		"Dockerfile": strings.Join(stages[last], "\n"), "docs/operations.md": operations,
		"fly.toml": strings.Join(found(t, `(?m)^  ([A-Z_]+ = .*)$`, document(t, "fly.toml")), "\n"),
	} {
		for name := range variablesOf(strings.ReplaceAll(text, " = ", "=")) {
			if !slices.Contains(known, name) {
				t.Errorf("%s sets %s, which the hub does not read", where, name)
			}
		}
	}
}

func TestReleaseIsForSixKindsOfMachine(t *testing.T) {
	line := found(t, `(?m)^PLATFORMS = (.*)$`, document(t, "Makefile"))[0]
	want := []string{"darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64", "windows/amd64", "windows/arm64"}
	if got := slices.Sorted(strings.FieldsSeq(line)); !slices.Equal(got, want) {
		t.Errorf("make release builds %v, want %v", got, want)
	}
}
