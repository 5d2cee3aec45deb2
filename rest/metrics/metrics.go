package metrics

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"crosstalk/hub"
	"crosstalk/models/meter"
	"crosstalk/models/store"
	"crosstalk/models/store/sample"
)

// Options are what is told of.
type Options struct {
	Version string
	Store   *store.Store
	File    string // of the SQLite database; empty for PostgreSQL
	Hub     *hub.Hub
	Doors   Doors
}

// Doors count what goes through each.
type Doors struct{ REST, Stream, WS, MCP, SSE meter.Door }

// sampleEvery is how often the database is looked at, and lookTime bounds that. It takes 0.1 ms, and 7 with 10,000 instances online.
const (
	sampleEvery = 30 * time.Second
	lookTime    = 5 * time.Second
)

// Metrics answers scrapes.
type Metrics struct {
	// Set by New, then constant.
	store    *store.Store
	file     string
	registry *prometheus.Registry

	last atomic.Pointer[sampled] // nil: nothing was found yet
}

// sampled is what Run found, and when.
type sampled struct {
	sample.Sample
	at time.Time
}

// New makes the metrics of a hub. o is not copied: what doors count there shows.
func New(o *Options) *Metrics {
	m := &Metrics{store: o.Store, file: o.File, registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		newCollector(o, m.last.Load),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Run looks at the database now and then, until ctx ends.
func (m *Metrics) Run(ctx context.Context) error {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		m.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look keeps what was found last where the database does not answer: the store says what is wrong.
func (m *Metrics) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if s, err := sample.Take(ctx, m.store, m.file); err == nil {
		m.last.Store(&sampled{s, time.Now()})
	}
}

// Write encodes all metrics in the form that an Accept field asks for.
func (m *Metrics) Write(accept string) (body []byte, contentType string, err error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, "", fmt.Errorf("gather metrics: %w", err)
	}
	format := expfmt.NegotiateAccept(http.Header{"Accept": {accept}}, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	var b bytes.Buffer
	e := expfmt.NewEncoder(&b, format)
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			return nil, "", fmt.Errorf("encode metrics: %w", err)
		}
	}
	if c, ok := e.(expfmt.Closer); ok { // OpenMetrics ends with a line of its own
		if err := c.Close(); err != nil {
			return nil, "", fmt.Errorf("encode metrics: %w", err)
		}
	}
	return b.Bytes(), string(format), nil
}
