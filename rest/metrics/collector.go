package metrics

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"crosstalk/hub"
	"crosstalk/models"
	"crosstalk/models/meter"
)

// collector reads, when it is scraped, what was counted. It holds no numbers of its own.
type collector struct {
	families []family
}

// family is one metric, with its labels.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType // of values
	read func(tell)
}

// tell takes one value, or one spread, with the values of the family's labels.
type tell struct {
	value  func(v float64, labels ...string)
	spread func(s meter.Spread, labels ...string)
}

// Describe is called by the registry.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range c.families {
		to <- f.desc
	}
}

// Collect is called by the registry.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	for _, f := range c.families {
		f.read(tell{
			value: func(v float64, labels ...string) { to <- prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...) },
			spread: func(s meter.Spread, labels ...string) {
				to <- prometheus.MustNewConstHistogram(f.desc, s.Count, s.Sum, s.Buckets, labels...)
			},
		})
	}
}

func (c *collector) add(kind prometheus.ValueType, name, help string, read func(tell), labels ...string) {
	c.families = append(c.families, family{prometheus.NewDesc("crosstalk_"+name, help, labels, nil), kind, read})
}

// counter adds one number that only grows.
func (c *collector) counter(name, help string, n *atomic.Int64) {
	c.add(prometheus.CounterValue, name, help, func(t tell) { t.value(float64(n.Load())) })
}

// gauge adds one that goes up and down.
func (c *collector) gauge(name, help string, read func() float64) {
	c.add(prometheus.GaugeValue, name, help, func(t tell) { t.value(read()) })
}

// spread adds a histogram.
func (c *collector) spread(name, help string, read func() meter.Spread) {
	c.add(0, name, help, func(t tell) { t.spread(read()) })
}

// found adds a gauge of what the database was found to be. Before it was, there is none.
func (c *collector) found(name, help string, last func() *sampled, read func(tell, *sampled), labels ...string) {
	c.add(prometheus.GaugeValue, name, help, func(t tell) {
		if s := last(); s != nil {
			read(t, s)
		}
	}, labels...)
}

// door is a door with its name.
type door struct {
	name string
	*meter.Door
}

// byDoor adds a metric of some doors.
func (c *collector) byDoor(kind prometheus.ValueType, name, help string, doors []door, read func(*meter.Door) int64) {
	c.add(kind, name, help, func(t tell) {
		for _, d := range doors {
			t.value(float64(read(d.Door)), d.name)
		}
	}, "door")
}

func newCollector(o *Options, last func() *sampled) *collector {
	c := &collector{}
	c.add(prometheus.GaugeValue, "build_info", "Always 1; says which build this is.", func(t tell) { t.value(1, o.Version, runtime.Version()) },
		"version", "goversion")
	c.doors(&o.Doors)
	c.storing(o)
	c.delivering(o.Hub)
	c.health(o.Hub)
	c.database(o, last)
	return c
}

// doors are what clients do and get.
func (c *collector) doors(d *Doors) {
	rest, stream, ws := door{"rest", &d.REST}, door{"stream", &d.Stream}, door{"ws", &d.WS}
	mcp, sse := door{"mcp", &d.MCP}, door{"sse", &d.SSE}
	all, senders := []door{rest, stream, ws, mcp, sse}, []door{rest, ws, mcp, sse}
	streams, lasting := []door{stream, ws}, []door{stream, ws, mcp, sse}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	c.byDoor(counter, "messages_accepted_total", "Sends that were answered because their message is stored.", senders,
		func(d *meter.Door) int64 { return d.Accepted.Load() })
	c.byDoor(counter, "messages_duplicate_total", "Sends that repeated one that was stored before; nothing was stored for them.", senders,
		func(d *meter.Door) int64 { return d.Duplicates.Load() })
	c.byDoor(counter, "messages_delivered_total", "Messages written to clients, each as often as it went to one.", all, (*meter.Door).Delivered)
	c.byDoor(counter, "messages_shown_again_total", "Messages that MCP clients were shown again because nothing said that they had read them.",
		[]door{mcp, sse}, func(d *meter.Door) int64 { return d.Again.Load() })
	c.add(counter, "requests_rejected_total", "Requests, commands and tool calls that were refused or failed, by why.", func(t tell) {
		for _, d := range all {
			d.Rejected(func(code models.Code, n int64) { t.value(float64(n), d.name, string(code)) })
		}
	}, "door", "code")
	c.add(0, "end_to_end_seconds", "From the hand-over of a message to the writer until it was written to a client's socket. One observation for each write, "+
		"of the oldest message in it, counted from when the first of its transaction was handed over; of many writes in the same half second "+
		"a share is timed and stands for the others. Only of what this process stored and still had in memory.", func(t tell) {
		for _, d := range streams {
			t.spread(d.Arrived(), d.name)
		}
	}, "door")
	c.byDoor(gauge, "connections", "Conversations open now: WebSockets, and streams of events.", lasting, func(d *meter.Door) int64 { return d.Open.Load() })
	c.gauge("mcp_sessions", "MCP sessions that are remembered, be they in use or not.", func() float64 { return float64(d.MCP.Sessions.Load()) })
	c.byDoor(counter, "slow_closes_total", "Conversations ended because the client took nothing for ten seconds.", streams,
		func(d *meter.Door) int64 { return d.Slow.Load() })
	c.add(counter, "resumes_total", "Streams that a client wanted to go on after what it had. lost: retention, or a change of the database, had taken what came next.",
		func(t tell) {
			for _, d := range streams {
				t.value(float64(d.Recovered.Load()), d.name, "recovered")
				t.value(float64(d.Lost.Load()), d.name, "lost")
			}
		}, "door", "result")
}

// storing is what the writer does.
func (c *collector) storing(o *Options) {
	m := o.Store.Meter()
	c.counter("messages_committed_total", "Messages that this process committed to the log.", &m.Committed)
	c.counter("commit_failures_total", "Transactions of messages that the database refused or that were cut off.", &m.Failed)
	c.spread("ack_seconds", "From the hand-over of a message to the writer until it was on disk and its sender answered.", m.Ack.Read)
	c.spread("commit_seconds", "What a transaction of messages took: its turn among processes, the writing, and the disk.", m.Commit.Read)
	c.spread("commit_batch_messages", "Messages in a transaction.", m.Batch.Read)
	c.gauge("append_queue_messages", "Messages that wait for the writer.", func() float64 { return float64(o.Store.Queued()) })
}

// delivering is what the hub does.
func (c *collector) delivering(h *hub.Hub) {
	m := h.Meter()
	load := func(n *atomic.Int64) func() float64 { return func() float64 { return float64(n.Load()) } }
	c.gauge("subscribers", "Subscriptions open now: of WebSockets and event streams, of waits, long polls and pushes.", load(&m.Subscribers))
	c.gauge("waits", "Calls of wait_for_reply that wait now.", load(&m.Waits))
	c.gauge("ring_bytes", "Messages kept in memory for those who listen.", load(&m.RingBytes))
	c.gauge("ring_limit_bytes", "How many bytes may be kept at most.", func() float64 { return hub.RingLimit })
	c.counter("ring_misses_total", "Reads of the log by those who listen, for what was no more in memory.", &m.RingMisses)
	c.add(prometheus.CounterValue, "doorbell_rings_total", "Signals between processes that the log moved. A process on SQLite hears its own, too.", func(t tell) {
		t.value(float64(m.Rung.Load()), "sent")
		t.value(float64(m.Heard.Load()), "heard")
	}, "direction")
	c.spread("doorbell_lag_seconds", "From another process's storing a message until this one read it from the log, by the clocks of both. "+
		"One observation for each read, of the newest message; now and then that is one of its own, read before its commit was reported.", m.Lag.Read)
	c.gauge("log_position", "The id of the newest message that this process has passed on.", func() float64 {
		id, _ := h.Position()
		return float64(id)
	})
	c.gauge("log_look_age_seconds", "Time since this process last looked whether others have written.", func() float64 {
		_, at := h.Position()
		return max(0, time.Since(at.Time()).Seconds())
	})
}

// health is what /readyz says.
func (c *collector) health(h *hub.Hub) {
	c.gauge("ready", "1 while messages can be stored and delivered, as /readyz says, else 0.", func() float64 {
		return one(h.Health().Error == nil)
	})
	c.add(prometheus.GaugeValue, "part_ok", "1 while a part is well, else 0. Without doorbell and indexer the hub is ready all the same.", func(t tell) {
		for name, part := range h.Health().Parts {
			t.value(one(part.OK), name)
		}
	}, "part")
	c.gauge("index_lag_messages", "Messages that the search index does not know yet, when the database last answered.", func() float64 {
		return float64(h.Health().Behind)
	})
}

// one is 1 for yes.
func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// database is what it says, and whether it does.
func (c *collector) database(o *Options, last func() *sampled) {
	works := func(which func(reads, writes bool) bool) func() float64 {
		return func() float64 { return one(which(o.Store.Works())) }
	}
	c.gauge("database_readable", "1 if the last read went well, else 0.", works(func(reads, _ bool) bool { return reads }))
	c.gauge("database_writable", "1 if the last write went well, else 0.", works(func(_, writes bool) bool { return writes }))
	c.found("sample_age_seconds", "Time since the database was last asked for what follows: instances_online, database_bytes, index_stale_messages.", last,
		func(t tell, s *sampled) { t.value(max(0, time.Since(s.at).Seconds())) })
	c.found("instances_online", "Instances that are online, at any process.", last, func(t tell, s *sampled) { t.value(float64(s.Online)) })
	c.found("database_bytes", "Size of the database, and of the log beside SQLite's that is to go into it.", last, func(t tell, s *sampled) {
		t.value(float64(s.Data), "data")
		if o.File != "" {
			t.value(float64(s.Log), "wal")
		}
	}, "file")
	if o.File != "" {
		c.found("index_stale_messages", "Removed messages whose words are in SQLite's search index until it is made anew.", last, func(t tell, s *sampled) { t.value(float64(s.Stale)) })
	}
}
