package metrics

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// names are those of all metrics, and what Prometheus makes of a histogram's.
func names(t *testing.T) (own, all []string) {
	t.Helper()
	m, _ := open(t)
	m.look(t.Context())
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		all = append(all, f.GetName())
		if f.GetMetric()[0].GetHistogram() != nil {
			all = append(all, f.GetName()+"_bucket", f.GetName()+"_sum", f.GetName()+"_count")
		}
		if strings.HasPrefix(f.GetName(), "crosstalk_") {
			own = append(own, f.GetName())
		}
	}
	return own, all
}

func document(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOperatorsReadOfEveryMetric(t *testing.T) {
	own, all := names(t)
	text := string(document(t, "operations.md"))
	for _, name := range own {
		if !strings.Contains(text, "| `"+name+"`") && !strings.Contains(text, "`, `"+name+"` |") {
			t.Errorf("docs/operations.md has no row for %s", name)
		}
	}
	for _, name := range regexp.MustCompile(`\b(?:crosstalk|process|go)_[a-z_]+[a-z]\b`).FindAllString(text, -1) {
		if !slices.Contains(all, name) {
			t.Errorf("docs/operations.md has %s, the hub has not", name)
		}
	}
}

func TestAlertsAreOfMetricsThatThereAre(t *testing.T) {
	own, all := names(t)
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decode(t, "alerts.yml", &rules)
	inAlerts := map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Expr == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || inAlerts[r.Alert] {
				t.Errorf("a rule lacks something, or is there twice: %+v", r)
			}
			inAlerts[r.Alert] = true
			used := regexp.MustCompile(`\b(?:(?:crosstalk|process|go)_[a-z_]+|up)\b`).FindAllString(r.Expr, -1)
			if len(used) == 0 {
				t.Errorf("%s is about nothing", r.Alert)
			}
			for _, name := range used {
				if !slices.Contains(all, name) && name != "up" {
					t.Errorf("%s is about %s, which there is not", r.Alert, name)
				}
			}
			if strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") || strings.Count(r.Expr, "{") != strings.Count(r.Expr, "}") {
				t.Errorf("%s does not close what it opens: %s", r.Alert, r.Expr)
			}
		}
	}
	if len(inAlerts) < 10 || len(own) < 25 {
		t.Errorf("%d alerts, %d metrics", len(inAlerts), len(own))
	}
}

func TestTheScrapeConfigurationIsWhole(t *testing.T) {
	var c struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string `yaml:"job_name"`
			Interval      string `yaml:"scrape_interval"`
			Scheme        string
			Authorization struct {
				CredentialsFile string `yaml:"credentials_file"`
			}
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	decode(t, "prometheus.yml", &c)
	if len(c.RuleFiles) != 1 || c.RuleFiles[0] != "alerts.yml" || len(c.ScrapeConfigs) != 1 {
		t.Fatalf("%+v", c)
	}
	if job := c.ScrapeConfigs[0]; job.JobName != "crosstalk" || job.Authorization.CredentialsFile == "" || job.Scheme != "https" || len(job.StaticConfigs) != 1 {
		t.Errorf("%+v", job)
	}
}

// decode reads a YAML file, of which every field must be known.
func decode(t *testing.T, name string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(string(document(t, name))))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("docs/%s: %v", name, err)
	}
}
