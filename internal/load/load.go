package load

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"crosstalk/internal/load/usage"
)

// Options say what to do to which hub.
type Options struct {
	URL         string // of the hub
	Key         string // that it wants; empty for none
	Publishers  int
	Subscribers int  // WebSocket listeners
	Waiters     int  // long polls, one after the other
	Callers     int  // MCP clients in wait_for_reply; of Hold only
	Named       bool // listeners say who they are
	Channels    int  // all of them are spread over so many; a publisher that has several takes turns
	Rate        int  // messages a second in all; 0: as fast as they are answered
	Size        int  // bytes a message
	Span        time.Duration
	Settle      time.Duration // from the last that connects to when Hold begins to measure
	PID         int           // of the hub's process, for what it costs; 0: not known

	// Progress is called every second.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	Phase                string // connecting, publishing, arriving; of Hold connecting, settling, idling
	Connected            int
	Published, Delivered int64
	Left                 time.Duration
}

const (
	warmUp     = time.Second      // published, but not counted
	atOnce     = 64               // connections opened at the same time
	lastWait   = 30 * time.Second // for what was published last
	settleTime = 1500 * time.Millisecond
)

// run is one run on its way.
type run struct {
	// Set by Run, then constant.
	Options
	id     string // tells this run's messages from others
	addr   string
	host   string
	secure bool

	began     atomic.Int64 // Unix nanoseconds; messages from before do not count. 0: not yet
	settled   atomic.Int64 // Unix nanoseconds, of Hold; 0: not all are connected
	connected atomic.Int64
	published atomic.Int64 // messages that count
	delivered atomic.Int64 // of these, to anyone
	answered  atomic.Int64 // polls and calls that have ended
	dialled   atomic.Int64
	failures  failures

	ack, endToEnd, wake histogram
}

// failures keeps how often something failed, and how it did the first time.
type failures struct {
	publish, refused, closed atomic.Int64

	first atomic.Pointer[error]
}

func (f *failures) note(n *atomic.Int64, err error) {
	n.Add(1)
	f.first.CompareAndSwap(nil, &err)
}

// Run does it, and reports. It fails if nothing could be measured.
func Run(ctx context.Context, o Options) (*Report, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	idle := usage.Of(o.PID)
	var report *Report
	err = r.while(ctx, func(ctx context.Context, readers []reader) (err error) {
		if len(readers) > 0 && !pause(ctx, settleTime) {
			return ctx.Err()
		}
		open := usage.Of(o.PID)
		if report, err = r.publish(ctx, readers); err == nil {
			report.memory(idle, open, o.Subscribers+o.Waiters)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}

func newRun(o Options) (*run, error) {
	r := &run{Options: o, id: strings.ToLower(rand.Text()[:8])}
	return r, r.target()
}

// while connects all who follow, calls measure, and ends them.
func (r *run) while(ctx context.Context, measure func(context.Context, []reader) error) error {
	live, stop := context.WithCancel(ctx)
	defer stop()
	ticking := r.tick(live)
	var reading sync.WaitGroup
	readers, err := r.connect(live, &reading)
	defer func() {
		stop()
		for _, l := range readers {
			l.close()
		}
		reading.Wait()
		ticking.Wait()
	}()
	if err != nil {
		return err
	}
	return measure(ctx, readers)
}

// target reads the hub's address.
func (r *run) target() error {
	to, err := url.Parse(strings.TrimRight(r.URL, "/"))
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" {
		return fmt.Errorf("the hub's address must be a URL such as http://localhost:8787, not %q", r.URL)
	}
	r.secure, r.host, r.addr = to.Scheme == "https", to.Host, to.Host
	if to.Port() == "" {
		r.addr = net.JoinHostPort(to.Hostname(), map[bool]string{true: "443", false: "80"}[r.secure])
	}
	return nil
}

// perSource is how many connections come from one address. A system has 28,000 ports for each, and those of connections
// that have just been closed are not free.
const perSource = 20_000

// dial connects to the hub. On Linux every address of 127.0.0.0/8 is the machine itself.
func (r *run) dial(ctx context.Context) (net.Conn, error) {
	d := &net.Dialer{Timeout: 20 * time.Second}
	n := (r.dialled.Add(1) - 1) / perSource
	host, _, _ := net.SplitHostPort(r.addr)
	if ip := net.ParseIP(host).To4(); n > 0 && ip != nil && ip.IsLoopback() && runtime.GOOS == "linux" {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(n/250), byte(1+n%250))}
	}
	if r.secure {
		return (&tls.Dialer{NetDialer: d, Config: &tls.Config{NextProtos: []string{"http/1.1"}}}).DialContext(ctx, "tcp", r.addr)
	}
	return d.DialContext(ctx, "tcp", r.addr)
}

// reader is a listener, a waiter or a caller.
type reader interface {
	follow(ctx context.Context)
	seen() *tally
	close()
}

// connect opens all who follow, and has them follow in reading. Those that are open come back with the error that
// ended it, too.
func (r *run) connect(ctx context.Context, reading *sync.WaitGroup) (open []reader, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for i := range r.followers() {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			l, lerr := r.open(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			if lerr != nil {
				err = errors.Join(err, lerr)
				return
			}
			open = append(open, l)
			r.connected.Add(1)
			reading.Go(func() { l.follow(ctx) })
		})
		mu.Lock()
		failed := err != nil
		mu.Unlock()
		if failed || ctx.Err() != nil {
			break
		}
	}
	all.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return open, err
}

func (r *run) followers() int { return r.Subscribers + r.Waiters + r.Callers }

func (r *run) open(ctx context.Context, i int) (reader, error) {
	switch {
	case i < r.Subscribers:
		return r.listen(ctx, i)
	case i < r.Subscribers+r.Waiters:
		return r.wait(ctx, r.channel(i))
	}
	return r.call(ctx, i)
}

// channel is where the i-th of whatever is.
func (r *run) channel(i int) int { return i % r.Channels }

// name is a channel's name.
func (r *run) name(ch int) string { return fmt.Sprintf("bench-%s-%d", r.id, ch+1) }

// publish has all publishers send, waits until everything has arrived or does not come, and counts.
func (r *run) publish(ctx context.Context, readers []reader) (*Report, error) {
	first := time.Now()
	began := first.Add(warmUp)
	end := began.Add(r.Span)
	r.began.Store(began.UnixNano())
	publishers := make([]*publisher, r.Publishers)
	var sending sync.WaitGroup
	for i := range publishers {
		publishers[i] = r.newPublisher(i)
		sending.Go(func() { publishers[i].send(ctx, first, end) })
	}
	pause(ctx, time.Until(began))
	before := usage.Of(r.PID)
	sending.Wait()
	published := time.Now()
	for want := expected(publishers, readers); r.delivered.Load() < want && time.Since(published) < lastWait; {
		if !pause(ctx, time.Millisecond) {
			break
		}
	}
	delivered, after := time.Now(), usage.Of(r.PID)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if first := r.failures.first.Load(); first != nil && r.published.Load() == 0 {
		return nil, fmt.Errorf("nothing could be published: %w", *first)
	}
	rep := r.report(publishers, readers)
	rep.rates(published.Sub(began), delivered.Sub(began))
	rep.cost(before, after)
	return rep, nil
}

// expected is how many deliveries the messages that count make.
func expected(publishers []*publisher, readers []reader) (n int64) {
	in := map[int]int64{}
	for _, l := range readers {
		in[l.seen().channel]++
	}
	for _, p := range publishers {
		for _, t := range p.talks {
			n += t.counted * in[t.channel]
		}
	}
	return n
}

func (r *run) progress() Progress {
	p := Progress{
		Phase: "connecting", Connected: int(r.connected.Load()), Published: r.published.Load(), Delivered: r.delivered.Load(),
	}
	if began := r.began.Load(); began > 0 {
		p.Phase = "publishing"
		if p.Left = min(r.Span, r.Span-time.Since(time.Unix(0, began))); p.Left <= 0 {
			p.Phase, p.Left = "arriving", 0
		}
	}
	if settled := r.settled.Load(); settled > 0 {
		p.Phase, p.Left = "settling", time.Until(time.Unix(0, settled))
		if p.Left <= 0 {
			p.Phase, p.Left = "idling", max(0, r.Span+p.Left)
		}
	}
	return p
}

// tick tells Progress every second until ctx ends.
func (r *run) tick(ctx context.Context) *sync.WaitGroup {
	var ticking sync.WaitGroup
	if r.Progress == nil {
		return &ticking
	}
	ticking.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				r.Progress(r.progress())
			}
		}
	})
	return &ticking
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
