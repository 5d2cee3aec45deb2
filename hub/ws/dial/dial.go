package dial

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"crosstalk/models"
)

// Options say what to follow, and where.
type Options struct {
	URL      string   // of the hub, such as https://bus.example.com
	Key      string   // that the hub wants; empty for none
	Channels []string // names, or models.Every alone
	After    *int64   // what the caller has; nil: all there is when the hub is first reached
	BusID    string   // the database that After is from; empty: whatever the hub has
	Instance string   // registered and held while connected, its own messages left out; empty: nobody

	// Trouble is called by Next when the connection is lost or cannot be made, with the reason, and with nil once it
	// stands again. It may be nil.
	Trouble func(error)
	// Standing is called by Next each time the stream stands: from then on the hub delivers. It may be nil.
	Standing func()
	// Dial makes connections; nil: the network's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Event is a message, or what happened to the stream before the next one.
type Event struct {
	Message  *models.Message // nil: one of the others
	Lost     string          // a channel, or *, of which messages between the cursor and the next one are gone
	Replaced bool            // the hub has another database: its ids count anew, and all that it has follows
}

// Client follows a hub. Its methods are for one goroutine at a time.
type Client struct {
	// Set by New, then constant.
	opt  Options
	to   url.URL
	http *http.Client

	silence atomic.Int64 // a time.Duration, after which a connection counts as broken

	// Where the stream stands.
	after *int64
	bus   string

	// Of the connection; ws is nil while there is none.
	ws       *websocket.Conn
	since    time.Time
	tries    int       // that failed since the last that went well
	next     time.Time // when to try again
	troubled bool      // the owner was told so
}

// New checks o. Nothing is connected until Next is called.
func New(o Options) (*Client, error) {
	to, err := url.Parse(strings.TrimRight(o.URL, "/"))
	if err == nil {
		if tail, is := strings.CutPrefix(to.Scheme, "ws"); is {
			to.Scheme = "http" + tail
		}
	}
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" || to.User != nil {
		return nil, models.Errorf(models.Invalid, "the hub's address must be a URL such as https://bus.example.com, without a user in it")
	}
	c := &Client{opt: o, bus: o.BusID}
	if o.After != nil {
		after := max(0, *o.After)
		c.after = &after
	}
	o.Channels = slices.Clone(o.Channels)
	for i, name := range o.Channels {
		if name == models.Every {
			continue
		}
		if o.Channels[i], err = models.ParseChannel(name); err != nil {
			return nil, err
		}
	}
	if len(o.Channels) == 0 {
		return nil, models.Errorf(models.Invalid, "name a channel to follow, or * for all")
	}
	q := url.Values{}
	q.Set("channels", strings.Join(o.Channels, ","))
	if o.Instance != "" {
		q.Set("instance_id", o.Instance)
	}
	c.to = *to.JoinPath("ws")
	c.to.RawQuery = q.Encode()
	if c.opt.Dial == nil {
		c.opt.Dial = (&net.Dialer{Timeout: shake}).DialContext
	}
	c.http = &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: c.dial, TLSHandshakeTimeout: shake, DisableKeepAlives: true,
	}}
	return c, nil
}

// Cursor is where the stream stands: the id up to which everything was handed out or hidden, and the database it
// counts in. A Client made with them goes on there. Before the hub was reached for the first time it is what New got.
func (c *Client) Cursor() (after *int64, busID string) { return c.after, c.bus }

// Close ends the connection, if there is one. Next would open another.
func (c *Client) Close() {
	if c.ws != nil {
		_ = c.ws.CloseNow()
		c.ws = nil
	}
}

// Next waits for the next event. Its error is ctx's, or a *models.Error that says what to mend; calling it again after
// either goes on where it stood.
func (c *Client) Next(ctx context.Context) (Event, error) {
	for {
		if ctx.Err() != nil {
			return Event{}, ctx.Err()
		}
		if c.ws == nil {
			if err := c.open(ctx); err != nil {
				return Event{}, err
			}
		}
		_, b, err := c.ws.Read(ctx)
		if err != nil {
			if err := c.lost(ctx, err); err != nil {
				return Event{}, err
			}
			continue
		}
		if event, is := c.take(b); is {
			return event, nil
		}
	}
}

// frame is what of the hub's frames concerns a reader.
type frame struct {
	Type        string          `json:"type"`
	BusID       string          `json:"bus_id"`
	PingSeconds float64         `json:"ping_seconds"`
	Channel     string          `json:"channel"`
	LastID      int64           `json:"last_id"`
	Recovered   bool            `json:"recovered"`
	Message     *models.Message `json:"message"`
}

// take moves the cursor by one frame. is tells whether it is an event for the owner.
func (c *Client) take(b []byte) (event Event, is bool) {
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		c.down(fmt.Errorf("the hub sent what is no frame: %w", err), 0)
		return Event{}, false
	}
	switch f.Type {
	case "welcome":
		c.expect(time.Duration(f.PingSeconds * float64(time.Second)))
		return Event{Replaced: true}, c.moved(f.BusID)
	case "subscribed":
		if c.after == nil || f.LastID < *c.after {
			c.after = &f.LastID // a copy: f is of this frame alone
		}
		c.up()
		return Event{Lost: f.Channel}, !f.Recovered
	case "position":
		if c.after != nil && f.LastID > *c.after {
			c.after = &f.LastID
		}
	case "message":
		if f.Message == nil || c.after != nil && f.Message.ID <= *c.after {
			return Event{}, false
		}
		c.after, c.tries = &f.Message.ID, 0
		return Event{Message: f.Message}, true
	}
	return Event{}, false
}

// moved compares the hub's database with the one the cursor is from. Another one is read from its beginning, over a new
// connection, since this one was opened with the old cursor.
func (c *Client) moved(bus string) bool {
	was := c.bus
	c.bus = bus
	if was == "" || was == bus || c.after == nil {
		return false
	}
	c.after = new(int64)
	c.Close()
	return true
}

// address is where to connect for what comes next.
func (c *Client) address() string {
	to := c.to
	if c.after != nil {
		to.RawQuery += "&after_id=" + strconv.FormatInt(*c.after, 10)
	}
	return to.String()
}
