package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"crosstalk/cmd/crosstalk/remote"
	"crosstalk/hub/health"
	wsdial "crosstalk/hub/ws/dial"
	"crosstalk/models"
)

// doctorCommand looks at everything that a client of the hub needs.
type doctorCommand struct {
	ReadOnly bool        `help:"Send no message, so try no round trip."`
	JSON     bool        `name:"json" help:"Print JSON, one object on each line."`
	Hub      hubSettings `embed:""`
}

// Help says what is done.
func (*doctorCommand) Help() string {
	return `Each line is ok, warn or fail, and says what to mend. The exit code is 1 if any is fail. The round trip sends a message to
the channel crosstalk-doctor.

Examples:

    crosstalk doctor
    CROSSTALK_KEY=secret crosstalk doctor --url https://bus.example.com`
}

// Names that the doctor uses on the hub, and how long it waits.
const (
	doctorName    = "crosstalk-doctor"
	doctorPatient = 10 * time.Second
	slowBell      = 700 * time.Millisecond // the poll behind the bell comes each second
)

// finding is one line.
type finding struct {
	Check string  `json:"check"`
	State string  `json:"state"` // ok, warn or fail
	Text  string  `json:"text"`
	MS    float64 `json:"ms,omitempty"`
}

// checkup collects findings as they are made.
type checkup struct {
	p    *process
	out  *printer
	sick bool
	err  error // of writing
}

func (c *checkup) say(state, check string, took time.Duration, format string, args ...any) {
	f := finding{check, state, fmt.Sprintf(format, args...), float64(took.Microseconds()) / 1000}
	c.sick = c.sick || state == "fail"
	if c.err != nil {
		return
	}
	if c.out.json {
		c.err = c.out.object(f)
		return
	}
	if took > 0 {
		f.Text += fmt.Sprintf(" (%s)", took.Round(100*time.Microsecond))
	}
	colour := map[string]string{"ok": "32", "warn": "33", "fail": "31"}[state]
	_, c.err = fmt.Fprintf(c.out.w, "%s %-10s %s\n", c.out.paint(colour, fmt.Sprintf("%-4s", state)), check, line(f.Text))
}

var errSick = errors.New("something is wrong: see the lines that begin with fail")

// Run checks one thing after the other.
func (d *doctorCommand) Run(p *process) error {
	c := &checkup{p: p, out: newPrinter(p, d.JSON)}
	url, err := d.Hub.remoteURL(p)
	if err != nil {
		return err
	}
	c.say("ok", "program", 0, "crosstalk %s", versionText())
	if url != "" {
		err = d.elsewhere(c, url)
	} else {
		err = d.here(c)
	}
	switch {
	case err != nil:
		return err
	case c.err != nil:
		return c.err
	case c.sick:
		return errSick
	}
	return nil
}

// elsewhere examines a hub at an address.
func (d *doctorCommand) elsewhere(c *checkup, url string) error {
	b, err := d.Hub.open(c.p, there)
	if err != nil {
		return err
	}
	defer func() { _ = b.close() }()
	if !c.health(b, url) {
		return nil
	}
	if c.key(b, d.Hub.Key) && !d.ReadOnly {
		c.roundTrip(b, b, "round trip")
	}
	return nil
}

// here examines a database of this machine.
func (d *doctorCommand) here(c *checkup) error {
	db, err := d.Hub.database(c.p)
	if err != nil {
		return err
	}
	if db.url != "" {
		c.say("ok", "address", 0, "database %s; no hub elsewhere", db)
		return d.open(c)
	}
	info, err := os.Stat(db.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.say("warn", "address", 0, "no database at %s yet, and no --url or CROSSTALK_URL: crosstalk serve or the first message makes one", db)
		return nil
	case err != nil:
		c.say("fail", "database", 0, "%v: give this user the right to read and write it, and its folder", err)
		return nil
	}
	c.say("ok", "address", 0, "database %s, %d KiB; no hub elsewhere", db, info.Size()>>10)
	return d.open(c)
}

// open examines the database by way of a hub of its own.
func (d *doctorCommand) open(c *checkup) error {
	begin := time.Now()
	b, err := d.Hub.open(c.p, there)
	if err != nil {
		c.say("fail", "database", 0, "%v", err)
		return nil
	}
	defer func() { _ = b.close() }()
	head, err := headOf(c.p.ctx, b)
	if err != nil {
		c.say("fail", "database", 0, "%v", err)
		return nil
	}
	c.say("ok", "database", time.Since(begin), "opened and read, newest message %d", head)
	if !c.ready(b) || d.ReadOnly {
		return nil
	}
	if !c.roundTrip(b, b, "round trip") {
		return nil
	}
	other, err := d.Hub.open(c.p, there)
	if err != nil {
		c.say("fail", "doorbell", 0, "a second process could not open the database: %v", err)
		return nil
	}
	defer func() { _ = other.close() }()
	c.roundTrip(b, other, "doorbell")
	return nil
}

// health asks whether a hub is there, and which.
func (c *checkup) health(b *bus, url string) bool {
	var h struct {
		Server  string `json:"server"`
		Version string `json:"version"`
		BusID   string `json:"bus_id"`
	}
	begin := time.Now()
	if err := b.Get(c.p.ctx, "/health", nil, &h); err != nil {
		c.say("fail", "address", 0, "%v: check the address, and that the hub runs there", err)
		return false
	}
	c.say("ok", "address", time.Since(begin), "%s answers", url)
	if h.BusID == "" {
		c.say("fail", "version", 0, "what answers is no Crosstalk hub but %.60q: check the address", h.Server)
		return false
	}
	state := "ok"
	if h.Version != versionText() {
		state = "warn"
	}
	c.say(state, "version", 0, "the hub is %s %s, this program %s; its database is %s", h.Server, h.Version, versionText(), h.BusID)
	return c.ready(b)
}

func (c *checkup) ready(b *bus) bool {
	begin := time.Now()
	var hub struct {
		Parts map[string]health.Part `json:"parts"`
	}
	if err := b.Get(c.p.ctx, "/readyz", nil, &hub); err != nil {
		c.say("fail", "ready", 0, "%v: see the hub's own log", err)
		return false
	}
	c.say("ok", "ready", time.Since(begin), "messages can be stored and delivered")
	for _, part := range slices.Sorted(maps.Keys(hub.Parts)) {
		if p := hub.Parts[part]; !p.OK {
			c.say("warn", "ready", 0, "%s: %s", part, p.Why)
		}
	}
	return true
}

// key finds out whether the hub wants a key, and takes this one.
func (c *checkup) key(b *bus, key string) bool {
	begin := time.Now()
	err := b.Get(c.p.ctx, "/api/channels", nil, nil)
	no, refused := errors.AsType[*remote.Error](err)
	switch {
	case err == nil && key == "":
		c.say("ok", "key", time.Since(begin), "the hub wants none")
	case err == nil:
		c.say("ok", "key", time.Since(begin), "the hub takes it, or wants none")
	case refused && no.Status == http.StatusUnauthorized && key == "":
		c.say("fail", "key", 0, "the hub wants one: set CROSSTALK_KEY")
	case refused && no.Status == http.StatusUnauthorized:
		c.say("fail", "key", 0, "the hub refuses this one: set CROSSTALK_KEY, without blanks around it, to the key it was started with, or to one of crosstalk keys create that has not ended")
	default:
		c.say("fail", "key", 0, "%v", err)
	}
	return err == nil
}

// roundTrip sends a message by one way in and waits for it at another.
func (c *checkup) roundTrip(by, at *bus, check string) bool {
	ctx, cancel := context.WithTimeout(c.p.ctx, doctorPatient)
	defer cancel()
	stands, trouble := make(chan struct{}), make(chan error, 100)
	o := at.dial
	o.Channels, o.Standing = []string{doctorName}, sync.OnceFunc(func() { close(stands) })
	o.Trouble = func(err error) {
		select {
		case trouble <- err:
		default:
		}
	}
	follower, err := wsdial.New(o)
	if err != nil {
		c.say("fail", check, 0, "%v", err)
		return false
	}
	defer follower.Close() // when Next has ended
	var heard *models.Message
	ended := make(chan error, 1)
	go func() {
		event, err := follower.Next(ctx)
		heard = event.Message
		ended <- err
	}()
	var stored, took time.Duration
	select {
	case <-stands:
		begin := time.Now()
		if err = c.post(ctx, by, check); err == nil {
			stored = time.Since(begin)
			err = <-ended
			took = time.Since(begin)
			break
		}
		cancel()
		<-ended
		if !c.forbidden(check, err) {
			c.say("fail", check, 0, "a message was not stored: %v", err)
		}
		return false
	case err = <-ended:
	}
	if c.forbidden(check, err) {
		return false
	}
	c.verdict(check, err, trouble, stored, took)
	c.clock(heard)
	return err == nil
}

// forbidden tells of a key that may do less than a round trip takes, which is no illness.
func (c *checkup) forbidden(check string, err error) bool {
	no, refused := errors.AsType[*remote.Error](err)
	if !(refused && no.Code == models.Forbidden) && models.CodeOf(err) != models.Forbidden {
		return false
	}
	c.say("warn", check, 0, "not tried, because this key may not: %v", err)
	return true
}

func (c *checkup) post(ctx context.Context, by *bus, check string) error {
	return by.Post(ctx, "/api/messages", map[string]any{
		"channel": doctorName, "sender": doctorName, "content": check + " of crosstalk doctor", "message_type": models.TypeStatus,
	}, nil, false)
}

// verdict says what came of a round trip.
func (c *checkup) verdict(check string, err error, trouble <-chan error, stored, took time.Duration) {
	if stored > 0 && err != nil {
		err = fmt.Errorf("stored in %s, but not heard within %s", stored.Round(100*time.Microsecond), doctorPatient)
	}
	select {
	case why := <-trouble:
		if err != nil {
			err = fmt.Errorf("%w: %w. A proxy before the hub must let WebSocket through", err, why)
		}
	default:
	}
	switch {
	case err != nil:
		c.say("fail", check, 0, "%v", err)
	case check == "doorbell" && took > slowBell:
		c.say("warn", check, took, "messages of other processes come by the look that is taken each second: the file beside the database cannot be watched")
	default:
		c.say("ok", check, took, "stored in %s, and heard over WebSocket", stored.Round(100*time.Microsecond))
	}
}

// clock compares the hub's with ours.
func (c *checkup) clock(m *models.Message) {
	if m == nil {
		return
	}
	if off := time.Since(m.CreatedAt.Time()); off.Abs() > 5*time.Second {
		c.say("warn", "clock", 0, "the hub's clock and this machine's differ by %s: the times of messages are the hub's", off.Round(time.Second))
	}
}
