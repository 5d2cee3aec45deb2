package metrics

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"crosstalk/hub"
	"crosstalk/models"
	"crosstalk/models/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes the metrics of a hub that nobody runs.
func open(t testing.TB) (m *Metrics, o *Options) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bus.db")
	st, err := store.Open(t.Context(), store.Options{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() }) // some tests have closed it
	h, err := hub.New(st, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o = &Options{Version: "1.2.3", Store: st, File: file, Hub: h}
	return New(o), o
}

func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	m, _ := open(t)
	m.look(t.Context())
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	series := 0
	for _, f := range families {
		series += len(f.GetMetric())
		for _, label := range f.GetMetric()[0].GetLabel() {
			switch label.GetName() {
			case "door", "code", "result", "direction", "part", "file", "version", "goversion":
			default:
				if strings.HasPrefix(f.GetName(), "crosstalk_") {
					t.Errorf("%s has a label %s", f.GetName(), label.GetName())
				}
			}
		}
	}
	if series > 300 {
		t.Errorf("%d series", series)
	}
}

func TestAScrapeTellsWhatWasCounted(t *testing.T) {
	m, o := open(t)
	d := &o.Doors
	d.REST.Accept(false)
	d.REST.Accept(true)
	d.WS.Cell().Wrote(3, 1, 0)
	d.Stream.Deliver(2)
	d.MCP.Again.Add(4)
	d.SSE.Reject(models.Errorf(models.Paused, "x"))
	d.WS.Resume(false)
	o.Store.Meter().Batch.Add(5)
	m.look(t.Context())
	got := m.text(t)
	for _, want := range []string{
		`crosstalk_build_info{goversion="go1`,
		`crosstalk_messages_accepted_total{door="rest"} 1`,
		`crosstalk_messages_accepted_total{door="ws"} 0`,
		`crosstalk_messages_duplicate_total{door="rest"} 1`,
		`crosstalk_messages_delivered_total{door="ws"} 3`,
		`crosstalk_messages_delivered_total{door="stream"} 2`,
		`crosstalk_messages_shown_again_total{door="mcp"} 4`,
		`crosstalk_requests_rejected_total{code="paused",door="sse"} 1`,
		`crosstalk_resumes_total{door="ws",result="lost"} 1`,
		`crosstalk_end_to_end_seconds_count{door="ws"} 1`,
		`crosstalk_commit_batch_messages_bucket{le="4"} 0`,
		`crosstalk_commit_batch_messages_bucket{le="8"} 1`,
		`crosstalk_commit_batch_messages_sum 5`,
		`crosstalk_ring_limit_bytes 6.7108864e+07`,
		`crosstalk_database_writable 1`,
		`crosstalk_database_bytes{file="data"} `,
		`crosstalk_ready 1`, `crosstalk_part_ok{part="database"} 1`, `crosstalk_part_ok{part="writer"} 1`,
		"\ngo_goroutines ", "\nprocess_start_time_seconds ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s", want)
		}
	}
}

func (m *Metrics) text(t testing.TB) string {
	t.Helper()
	b, _, err := m.Write("")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAScrapeNeedsNoDatabase(t *testing.T) {
	m, o := open(t)
	if got := m.text(t); strings.Contains(got, "crosstalk_index_stale") || !strings.Contains(got, "crosstalk_ack_seconds_count 0") {
		t.Error("before anything was found something is said of the index, or nothing else")
	}
	m.look(t.Context())
	if err := o.Store.Close(); err != nil {
		t.Fatal(err)
	}
	m.look(t.Context())
	o.Hub.Drain()
	got := m.text(t)
	for _, want := range []string{"crosstalk_database_readable 0", "crosstalk_ready 0", "crosstalk_index_lag_messages 0", "crosstalk_index_stale_messages 0", "crosstalk_sample_age_seconds "} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s", want)
		}
	}
}

func TestRunLooksAtOnceAndEnds(t *testing.T) {
	m, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); m.last.Load() == nil; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was found")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhoWantsOpenMetricsGetsThem(t *testing.T) {
	m, _ := open(t)
	b, kind, err := m.Write("application/openmetrics-text;version=1.0.0")
	if err != nil || !strings.HasPrefix(kind, "application/openmetrics-text") || !strings.HasSuffix(string(b), "# EOF\n") {
		t.Errorf("%s, %v, ends in %q", kind, err, b[max(0, len(b)-20):])
	}
	if _, kind, _ := m.Write("*/*"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("a browser gets %s", kind)
	}
}

// BenchmarkScrape is what a scrape costs, with and without messages.
func BenchmarkScrape(b *testing.B) {
	m, _ := open(b)
	m.look(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := m.Write(""); err != nil {
			b.Fatal(err)
		}
	}
}
