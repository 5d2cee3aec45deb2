package load

import (
	"math"
	"time"

	"crosstalk/internal/load/usage"
)

// Report is what a run has shown.
type Report struct {
	URL         string  `json:"url"`
	Publishers  int     `json:"publishers"`
	Subscribers int     `json:"subscribers"`
	Waiters     int     `json:"waiters"`
	Channels    int     `json:"channels"`
	Size        int     `json:"size"`
	Rate        int     `json:"rate"`
	Seconds     float64 `json:"seconds"` // of publishing

	Published    int64    `json:"published"`
	PublishPerS  float64  `json:"publish_per_s"`
	Ack          *Latency `json:"ack_ms"` // from sending to the answer, which the hub gives once the message is on disk
	Failed       int64    `json:"publish_failed"`
	Limited      int64    `json:"publish_limited"` // told to slow down, and sent again
	Deliveries   int64    `json:"deliveries"`
	DeliverPerS  float64  `json:"deliver_per_s"`
	EndToEnd     *Latency `json:"end_to_end_ms"` // from sending to a listener
	Wake         *Latency `json:"wake_ms"`       // from sending to a waiter
	Lost         int64    `json:"lost"`
	Repeated     int64    `json:"repeated"`
	OutOfOrder   int64    `json:"out_of_order"`
	Disconnected int64    `json:"disconnected"`
	FirstFailure string   `json:"first_failure,omitempty"`

	Server *Server `json:"server,omitempty"` // where the hub's process could be watched
}

// Server is what the run cost the hub's process.
type Server struct {
	PID             int     `json:"pid"`
	CPUSeconds      float64 `json:"cpu_s"`
	CPUPerPublish   float64 `json:"cpu_us_per_publish"`
	CPUPerDelivery  float64 `json:"cpu_us_per_delivery,omitempty"`
	MemoryMB        float64 `json:"memory_mb"` // at the end
	KBPerConnection float64 `json:"kb_per_connection,omitempty"`
}

// Clean says that nothing was lost, came twice or out of order, and nothing failed.
func (r *Report) Clean() bool { return r.Lost+r.Repeated+r.OutOfOrder+r.Failed+r.Disconnected == 0 }

func (r *run) report(publishers []*publisher, readers []reader) *Report {
	rep := &Report{
		URL: r.URL, Publishers: r.Publishers, Subscribers: r.Subscribers, Waiters: r.Waiters, Channels: r.Channels, Size: r.Size, Rate: r.Rate,
		Published: r.published.Load(), Ack: r.ack.latency(), EndToEnd: r.endToEnd.latency(), Wake: r.wake.latency(), Deliveries: r.delivered.Load(),
		Failed: r.failures.publish.Load(), Limited: r.failures.refused.Load(), Disconnected: r.failures.closed.Load(),
	}
	said := map[int][]*talk{}
	for _, p := range publishers {
		for _, t := range p.talks {
			said[t.channel] = append(said[t.channel], t)
		}
	}
	for _, l := range readers {
		t := l.seen()
		for _, talk := range said[t.channel] {
			rep.Lost += t.lost(talk)
		}
		t.mu.Lock()
		rep.Repeated += t.repeated
		rep.OutOfOrder += t.outOfOrder
		t.mu.Unlock()
	}
	if first := r.failures.first.Load(); first != nil {
		rep.FirstFailure = (*first).Error()
	}
	if r.PID > 0 {
		rep.Server = &Server{PID: r.PID}
	}
	return rep
}

// rates are of the time in which it was published, and of that until all had arrived.
func (r *Report) rates(publishing, arriving time.Duration) {
	r.Seconds = math.Round(publishing.Seconds()*100) / 100
	r.PublishPerS = math.Round(float64(r.Published) / publishing.Seconds())
	r.DeliverPerS = math.Round(float64(r.Deliveries) / arriving.Seconds())
}

func (r *Report) cost(before, after usage.Usage) {
	if r.Server == nil || !before.Known || !after.Known {
		r.Server = nil
		return
	}
	cpu := after.CPU - before.CPU
	per := func(n int64) float64 {
		if n == 0 {
			return 0
		}
		return math.Round(cpu.Seconds()*1e7/float64(n)) / 10
	}
	r.Server.CPUSeconds = math.Round(cpu.Seconds()*100) / 100
	r.Server.CPUPerPublish, r.Server.CPUPerDelivery = per(r.Published), per(r.Deliveries)
	r.Server.MemoryMB = math.Round(float64(after.Memory)/(1<<20)*10) / 10
}

// memory compares the hub before anyone connected, and once all had.
func (r *Report) memory(idle, open usage.Usage, connections int) {
	if r.Server != nil && idle.Known && open.Known && connections > 0 {
		r.Server.KBPerConnection = math.Round(float64(open.Memory-idle.Memory)/1024/float64(connections)*10) / 10
	}
}
