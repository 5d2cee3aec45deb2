package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"crosstalk/auth"
	"crosstalk/hub"
	"crosstalk/models"
	"crosstalk/models/meter"
)

const (
	beat        = 15 * time.Second // between two positions
	streamWrite = 10 * time.Second // for a client to take what is written
	streamBatch = 64 << 10         // bytes of messages written at once
)

// Stream answers GET /api/stream with Server-Sent Events. A request ends when its client leaves, when
// the client takes nothing for ten seconds, and when the hub drains.
func Stream(o Options) http.Handler {
	d := newDoor(o)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if q := auth.FromHTTP(r); q.HasOrigin {
			if r.Method == http.MethodOptions && preflight(d.Gate, q, r.Header.Get("Access-Control-Request-Method"), w.Header().Set) {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			share(d.Gate, q, w.Header().Set)
		}
		who, err := d.Gate.Check(auth.FromHTTP(r))
		if err == nil && r.Method != http.MethodGet {
			d.Meter.RejectCode(models.Invalid)
			w.Header().Set("Allow", http.MethodGet)
			refuse(w, http.StatusMethodNotAllowed, body(r.Method+" is not possible here, only GET", models.Invalid))
			return
		}
		if err == nil {
			var left func()
			if left, err = d.Gate.Connect(who); err == nil {
				defer left()
				d.Meter.Open.Add(1)
				defer d.Meter.Open.Add(-1)
				ctx, stop := d.Gate.Bind(r.Context(), who)
				defer stop()
				err = d.stream(w, r.WithContext(ctx), who)
			}
		}
		if err != nil {
			status, b := d.failure(err, r.Method, r.URL.Path)
			hint(status, models.RetryAfter(err), w.Header().Set)
			refuse(w, status, b)
		}
	})
}

func refuse(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone needs no answer
}

// httpHead is the head of a request on net/http.
type httpHead struct {
	*http.Request
	values url.Values
}

func (h httpHead) param(name string) string { return h.PathValue(name) }
func (h httpHead) value(name string) string { return h.values.Get(name) }
func (h httpHead) field(name string) string { return h.Header.Get(name) }

// stream subscribes, then writes until the conversation ends. An error comes back only while nothing
// has been written.
func (d *door) stream(w http.ResponseWriter, r *http.Request, who models.Principal) error {
	want, err := subscription(&query{from: httpHead{r, r.URL.Query()}})
	if err != nil {
		return err
	}
	d.Hub.Seen(who, want.Hide)
	sub, err := d.Hub.Subscribe(r.Context(), who, want)
	if err != nil {
		return err
	}
	defer sub.Close()
	d.countResume(sub, want)
	out := &events{w: w, rc: http.NewResponseController(w), meter: d.Meter}
	if err := out.welcome(d.Hub.BusID(), sub, want.Channels); err != nil {
		return err
	}
	for out.err == nil && d.untilBeat(r.Context(), sub, out) {
		d.Hub.Seen(who, want.Hide)
		out.position(sub.Position())
	}
	_ = out.rc.SetWriteDeadline(time.Now().Add(streamWrite)) // for the end of the answer; a client that is gone needs none
	return nil
}

// countResume counts a stream that goes on after what its client has.
func (d *door) countResume(sub *hub.Subscriber, want hub.Subscription) {
	if want.After == nil || *want.After <= 0 {
		return
	}
	lost := func(ch string) bool { return !sub.Recovered(ch) }
	d.Meter.Resume(!slices.ContainsFunc(want.Channels, lost))
}

// untilBeat writes messages as they come until the next position is due. It returns false when the
// conversation has ended.
func (d *door) untilBeat(ctx context.Context, sub *hub.Subscriber, out *events) bool {
	due, cancel := context.WithTimeout(ctx, beat)
	defer cancel()
	var entries []*hub.Entry
	for out.err == nil {
		var err error
		if entries, err = sub.Next(due, entries[:0], streamBatch); err != nil {
			// Else the client left, the server drains, or the log cannot be read: it may come again and resume.
			return ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded)
		}
		out.messages(entries)
	}
	return false
}

// subscription reads what a client wants to hear. A browser that reconnects sends Last-Event-ID.
func subscription(q *query) (hub.Subscription, error) {
	s := hub.Subscription{After: q.position("after_id"), Hide: q.instance("instance_id")}
	if last := q.from.field("Last-Event-ID"); last != "" {
		n, err := models.ParseInt("Last-Event-ID", last)
		if err != nil {
			q.wrong(err)
		}
		n.Value = max(n.Value, 0)
		s.After = n.Ptr()
	}
	for name := range strings.SplitSeq(q.required("channels"), ",") {
		if name = strings.TrimSpace(name); name == models.Every {
			s.Channels = []string{models.Every}
			break
		}
		ch, err := models.ParseChannel(name)
		if err != nil {
			q.wrong(err)
		}
		if !slices.Contains(s.Channels, ch) {
			s.Channels = append(s.Channels, ch)
		}
	}
	return s, q.err
}

// events writes Server-Sent Events. The first write that fails ends the conversation.
type events struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	buf []byte
	err error

	meter *meter.Door
}

// welcome begins the conversation.
func (e *events) welcome(busID string, sub *hub.Subscriber, channels []string) error {
	recovered := true
	for _, ch := range channels {
		recovered = recovered && sub.Recovered(ch)
	}
	hello, err := json.Marshal(struct {
		BusID     string `json:"bus_id"`
		LastID    int64  `json:"last_id"`
		Recovered bool   `json:"recovered"`
	}{busID, sub.Head(), recovered})
	if err != nil {
		return err
	}
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // or nginx gathers the events
	h.Set("Connection", "close")     // the deadlines of writing would outlast the answer
	e.buf = append(append(append(e.buf[:0], "event: welcome\ndata: "...), hello...), "\n\n"...)
	e.flush()
	return nil
}

// messages writes what came, each under its id.
func (e *events) messages(entries []*hub.Entry) {
	e.buf = e.buf[:0]
	for _, m := range entries {
		e.buf = strconv.AppendInt(append(e.buf, "id: "...), m.ID, 10)
		e.buf = append(append(e.buf, "\nevent: message\ndata: "...), m.JSON()...)
		e.buf = append(e.buf, "\n\n"...)
	}
	if e.flush(); e.err == nil {
		e.count(entries)
	}
}

// count notes what was written.
func (e *events) count(entries []*hub.Entry) {
	e.meter.Deliver(len(entries))
	for _, m := range entries {
		if m.HandedIn > 0 { // the first of them took longest
			e.meter.Arrive(time.Duration(meter.Now() - m.HandedIn))
			return
		}
	}
}

// position moves the client's cursor past what was hidden from it, and keeps proxies from giving up.
func (e *events) position(id int64) {
	e.buf = append(strconv.AppendInt(append(e.buf[:0], "id: "...), id, 10), "\n\n"...)
	e.flush()
}

func (e *events) flush() {
	if e.err = e.rc.SetWriteDeadline(time.Now().Add(streamWrite)); e.err != nil {
		return
	}
	if _, e.err = e.w.Write(e.buf); e.err == nil {
		e.err = e.rc.Flush()
	}
	if errors.Is(e.err, os.ErrDeadlineExceeded) {
		e.meter.Slow.Add(1)
	}
}
