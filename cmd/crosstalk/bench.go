package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"crosstalk/internal/load"
	"crosstalk/internal/load/usage"
)

// benchCommand loads a hub and reports.
type benchCommand struct {
	URL         string        `name:"url" placeholder:"URL" from:"CROSSTALK_URL" help:"The hub to load. Its messages stay there, in channels of their own. Without it: one that is started for the run, with an empty SQLite database."`
	Key         string        `placeholder:"KEY" from:"CROSSTALK_KEY,MCP_API_KEY" help:"The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine."`
	Publishers  int           `default:"8" placeholder:"N" help:"Publishers over REST. Each sends its next message when the last was answered. Without it: 8."`
	Subscribers int           `default:"100" placeholder:"N" help:"Listeners over WebSocket. Without it: 100."`
	Waits       int           `default:"0" placeholder:"N" help:"Clients that wait with long polls, one after the other."`
	Channels    int           `default:"1" placeholder:"N" help:"Spread all of them over so many channels. Without it: 1."`
	Rate        int           `default:"0" placeholder:"N" help:"Messages a second in all. Without it: as fast as they are answered."`
	Size        int           `default:"200" placeholder:"BYTES" help:"Of each message. Without it: 200."`
	Duration    time.Duration `default:"10s" placeholder:"TIME" help:"How long to publish, after a second to warm up. Without it: 10s."`
	Idle        bool          `help:"Publish nothing: connect everybody, have the hub come to rest, and measure for --duration what it uses."`
	Calls       int           `default:"0" placeholder:"N" help:"With --idle: MCP clients in wait_for_reply."`
	Named       bool          `help:"Listeners say who they are, as agents do."`
	Settle      time.Duration `default:"15s" placeholder:"TIME" help:"With --idle: how long the hub has to come to rest. Without it: 15s."`
	PID         int           `name:"pid" placeholder:"PID" help:"The hub's process, for what the run costs it. On Linux it is found by itself where it can be seen."`
	JSON        bool          `name:"json" help:"Print one JSON object and no table."`
}

// Help shows the usual runs.
func (benchCommand) Help() string {
	return `Publishes, listens and waits, and tells what those who did so have felt: rates, times from sending to the answer and to the
listener, what was lost, came twice or out of order, and what it cost the hub. The load takes its share of the machine: where
the hub is on the same one, more of it is left for the hub elsewhere. Exits with 1 if anything was lost, repeated, out of order or
refused.

Examples:

    crosstalk bench
    crosstalk bench --publishers 32 --subscribers 0
    crosstalk bench --publishers 4 --rate 200
    crosstalk bench --idle --subscribers 10000 --duration 30s
    crosstalk bench --idle --subscribers 0 --waits 10000 --duration 30s
    crosstalk bench --url http://localhost:8787 --subscribers 1000 --json`
}

// inTurn lets several goroutines write to w.
type inTurn struct {
	mu sync.Mutex
	w  io.Writer
}

func (t *inTurn) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(b)
}

// Run loads, and prints.
func (b *benchCommand) Run(p *process) (err error) {
	if err := b.check(); err != nil {
		return err
	}
	p.stderr = &inTurn{w: p.stderr} // the hub's, too
	o := load.Options{
		URL: b.URL, Key: b.Key, Publishers: b.Publishers, Subscribers: b.Subscribers, Waiters: b.Waits, Channels: b.Channels,
		Rate: b.Rate, Size: b.Size, Span: b.Duration, PID: b.PID, Callers: b.Calls, Named: b.Named, Settle: b.Settle, Progress: func(now load.Progress) { tellProgress(p.stderr, now) },
	}
	if o.URL == "" {
		h, err := startHub(p)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.end()) }()
		o.URL, o.Key, o.PID = h.url, "", h.cmd.Process.Pid
	} else if o.PID == 0 {
		o.PID = localListener(o.URL)
	}
	if b.Idle {
		return b.hold(p, o)
	}
	rep, err := load.Run(p.ctx, o)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	out := newPrinter(p, b.JSON)
	if b.JSON {
		err = out.object(rep)
	} else {
		err = printReport(out, rep)
	}
	if err == nil && !rep.Clean() {
		err = errors.New("not every message came once and in order: see the figures")
	}
	return err
}

// hold measures a hub to which nobody says anything.
func (b *benchCommand) hold(p *process, o load.Options) error {
	rep, err := load.Hold(p.ctx, o)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	out := newPrinter(p, b.JSON)
	if b.JSON {
		err = out.object(rep)
	} else {
		err = printIdle(out, rep)
	}
	if err == nil && rep.Disconnected > 0 {
		err = fmt.Errorf("%d were disconnected; the first: %s", rep.Disconnected, line(rep.FirstFailure))
	}
	return err
}

func (b *benchCommand) check() error {
	for _, n := range []struct {
		name            string
		is, least, most int
	}{
		{"publishers", b.Publishers, 1, 10_000}, {"subscribers", b.Subscribers, 0, 100_000}, {"waits", b.Waits, 0, 100_000},
		{"calls", b.Calls, 0, 100_000}, {"channels", b.Channels, 1, 100_000}, {"rate", b.Rate, 0, 10_000_000}, {"size", b.Size, 1, 256 << 10}, {"pid", b.PID, 0, 1 << 30},
	} {
		if n.is < n.least || n.is > n.most {
			return misuse("--%s must be a number from %d to %d, not %d", n.name, n.least, n.most, n.is)
		}
	}
	if b.Duration < 100*time.Millisecond || b.Duration > 24*time.Hour {
		return misuse("--duration must be from 100ms to 24h, not %s", b.Duration)
	}
	if b.Settle < 0 || b.Settle > time.Hour {
		return misuse("--settle must be from 0s to 1h, not %s", b.Settle)
	}
	if b.Calls > 0 && !b.Idle {
		return misuse("--calls is part of --idle: add that, or have others wait with --waits")
	}
	return nil
}

// localListener is the process behind a URL of this machine, where that can be seen.
func localListener(hubURL string) int {
	to, err := url.Parse(hubURL)
	if err != nil {
		return 0
	}
	ip := net.ParseIP(to.Hostname())
	if to.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return 0
	}
	port, err := strconv.Atoi(to.Port())
	if err != nil {
		return 0
	}
	return usage.Listener(port)
}

// startedHub is a hub of one run.
type startedHub struct {
	cmd *exec.Cmd
	url string
	dir string
}

var hubAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// startHub starts this program as a hub, in a process of its own so that what it costs can be told from what the load
// does.
func startHub(p *process) (h *startedHub, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to start it as a hub: %w", err)
	}
	h = &startedHub{}
	if h.dir, err = os.MkdirTemp("", "crosstalk-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder for the database: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(h.dir))
		}
	}()
	h.cmd = exec.Command(self, "serve", "--addr", "127.0.0.1:0", "--db", filepath.Join(h.dir, "bench.db"), "--log-level", "warn")
	// No setting of ours may reach it: only where it runs, and what makes the tests' program this one.
	h.cmd.Env = []string{"HOME=" + h.dir, "SystemRoot=" + p.getenv("SystemRoot"), "CROSSTALK_TEST_AS_MAIN=" + p.getenv("CROSSTALK_TEST_AS_MAIN")}
	h.cmd.Stderr = p.stderr
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a hub: %w", err)
	}
	for scan := bufio.NewScanner(out); h.url == "" && scan.Scan(); {
		h.url = hubAddress.FindString(scan.Text())
	}
	if h.url == "" {
		return nil, fmt.Errorf("start a hub: it said no address: %w", h.cmd.Wait())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the hub
	return h, nil
}

// end stops the hub and removes what it kept.
func (h *startedHub) end() error {
	if h.cmd.Process.Signal(os.Interrupt) != nil { // there are systems that have no such signal
		_ = h.cmd.Process.Kill()
	}
	late := time.AfterFunc(10*time.Second, func() { _ = h.cmd.Process.Kill() })
	defer late.Stop()
	return errors.Join(h.cmd.Wait(), os.RemoveAll(h.dir))
}

func tellProgress(w io.Writer, now load.Progress) {
	text := fmt.Sprintf("%s: %d connected, %d published, %d delivered", now.Phase, now.Connected, now.Published, now.Delivered)
	if now.Left > 0 {
		text += fmt.Sprintf(", %s left", now.Left.Round(time.Second))
	}
	_, _ = fmt.Fprintln(w, text) // who does not listen need not know
}

func printReport(o *printer, r *load.Report) error {
	rows := [][]string{
		figures("published", r.Published, r.PublishPerS, r.Ack),
		figures("delivered", r.Deliveries, r.DeliverPerS, r.EndToEnd),
	}
	if r.Waiters > 0 {
		rows = append(rows, figures("waits", 0, 0, r.Wake))
	}
	if err := o.table([]string{"", "COUNT", "A SECOND", "P50 MS", "P95 MS", "P99 MS", "MAX MS"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.w, "\nlost %d, repeated %d, out of order %d, refused or failed %d, told to slow down %d, disconnected %d\n",
		r.Lost, r.Repeated, r.OutOfOrder, r.Failed, r.Limited, r.Disconnected)
	if err == nil && r.FirstFailure != "" {
		_, err = fmt.Fprintf(o.w, "the first that went wrong: %s\n", line(r.FirstFailure))
	}
	if s := r.Server; err == nil && s != nil {
		_, err = fmt.Fprintf(o.w, "the hub used %.2f s of CPU: %.1f us a message published, %.1f us a delivery; %.1f MB of memory, %.1f KB a connection\n",
			s.CPUSeconds, s.CPUPerPublish, s.CPUPerDelivery, s.MemoryMB, s.KBPerConnection)
	}
	return err
}

func printIdle(o *printer, r *load.Idle) error {
	rows := [][]string{{
		strconv.Itoa(r.Subscribers), strconv.Itoa(r.Waiters), strconv.Itoa(r.Callers), strconv.FormatFloat(r.ConnectSeconds, 'f', 1, 64),
		strconv.FormatFloat(r.CPUPerConnect, 'f', 0, 64), strconv.FormatFloat(r.CPUPercent, 'f', 2, 64),
		strconv.FormatFloat(r.KBPerConnection, 'f', 1, 64), strconv.FormatFloat(r.MemoryMB, 'f', 1, 64),
	}}
	if err := o.table([]string{"LISTENERS", "POLLS", "CALLS", "CONNECTED S", "CPU US EACH", "IDLE CPU %", "KB EACH", "MB IN ALL"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.w, "\nin %.0f s the hub used %.2f s of CPU, and answered %d polls and calls that were over and began anew\n", r.Seconds, r.CPUSeconds, r.Answers)
	return err
}

// figures is a row of the table. What is not counted on its own is left out.
func figures(name string, count int64, rate float64, l *load.Latency) []string {
	row := []string{name, "-", "-", "-", "-", "-", "-"}
	if count > 0 {
		row[1], row[2] = strconv.FormatInt(count, 10), strconv.FormatFloat(rate, 'f', 0, 64)
	}
	if l != nil {
		for i, ms := range []float64{l.P50, l.P95, l.P99, l.Max} {
			row[3+i] = strconv.FormatFloat(ms, 'f', 2, 64)
		}
	}
	return row
}
