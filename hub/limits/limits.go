package limits

import (
	"sync/atomic"
	"time"

	"crosstalk/models"
)

// Config is every limit; 0 is none.
type Config struct {
	Requests      float64 // a second, of a caller or an address
	Publishes     float64 // a second, of a caller
	Failures      float64 // a minute: wrong keys of an address
	Connections   int     // that last, open at once, of a caller or an address
	Subscriptions int     // channels subscribed to at once, by a caller
	Waits         int     // open at once, of a caller
	Bodies        int     // large ones on their way at once, of a caller; of all it is four times as many
	Bytes         int64   // stored in all
	ChannelBytes  int64   // stored in one channel
	Channels      int64   // in all
	OwnChannels   int64   // made in a day by one caller that has a key of its own
}

// Limits is one process's account of who takes what. All methods may be called from any goroutine; of nil too, which
// bounds nothing.
type Limits struct {
	// Set by New, then constant.
	config Config

	enforced                                                      atomic.Bool
	arrivals, requests, publishes, failures                       Rates
	connections, addressConnections, subscriptions, waits, bodies counts
}

// New makes an account.
func New(c Config) *Limits {
	l := &Limits{config: c}
	l.arrivals.per(c.Requests)
	l.requests.per(c.Requests)
	l.publishes.per(c.Publishes)
	l.failures.per(c.Failures / 60)
	l.failures.burst = max(1, int(c.Failures)) // a client with an old key may try for a while
	return l
}

// Enforce begins to hold callers to the limits.
func (l *Limits) Enforce() {
	if l != nil {
		l.enforced.Store(true)
	}
}

// on tells whether anything is bounded.
func (l *Limits) on() bool { return l != nil && l.enforced.Load() }

// slowDown says that something came too often.
func slowDown(wait time.Duration, what string) error {
	err := models.Errorf(models.RateLimited, "too many %s: slow down, and try again in %d s", what, models.Seconds(wait))
	return models.After(err, wait)
}

// Arrive counts a request from an address, before it is known who sent it. One of which the address is not known is
// one of this process.
func (l *Limits) Arrive(address string) error {
	if !l.on() || address == "" {
		return nil
	}
	if wait := l.arrivals.Pass(address, time.Now()); wait > 0 {
		return slowDown(wait, "requests from your address")
	}
	return nil
}

// Request counts a request of a caller.
func (l *Limits) Request(who models.Principal) error {
	if !l.on() || who.Name == "" {
		return nil
	}
	if wait := l.requests.Pass(who.Name, time.Now()); wait > 0 {
		return slowDown(wait, "requests")
	}
	return nil
}

// Publish counts a message.
func (l *Limits) Publish(who models.Principal) error {
	if !l.on() {
		return nil
	}
	if wait := l.publishes.Pass(who.Name, time.Now()); wait > 0 {
		return slowDown(wait, "messages")
	}
	return nil
}

// Failure counts a wrong key from an address, and says when there were too many. A right one passes all the same: who
// shares an address with somebody who guesses, as behind a proxy, is not locked out.
func (l *Limits) Failure(address string) error {
	if !l.on() || address == "" {
		return nil
	}
	if wait := l.failures.Pass(address, time.Now()); wait > 0 {
		return slowDown(wait, "wrong keys from your address")
	}
	return nil
}

// Connect counts a connection that lasts, until done.
func (l *Limits) Connect(who models.Principal) (done func(), err error) {
	if !l.on() {
		return func() {}, nil
	}
	byWho, err := l.connections.take(who.Name, 1, l.config.Connections, "connections are open already: close some, or share one")
	if err != nil {
		return nil, err
	}
	if who.Address == "" {
		return byWho, nil
	}
	byAddress, err := l.addressConnections.take(who.Address, 1, l.config.Connections, "connections from your address are open already: close some")
	if err != nil {
		byWho()
		return nil, err
	}
	return func() { byWho(); byAddress() }, nil
}

// Subscribe counts channels that who subscribes to, until done.
func (l *Limits) Subscribe(who models.Principal, channels int) (done func(), err error) {
	if !l.on() {
		return func() {}, nil
	}
	return l.subscriptions.take(who.Name, channels, l.config.Subscriptions, "channels are subscribed to already: end some subscriptions, or subscribe to *")
}

// Wait counts a wait, until done.
func (l *Limits) Wait(who models.Principal) (done func(), err error) {
	if !l.on() {
		return func() {}, nil
	}
	return l.waits.take(who.Name, 1, l.config.Waits, "waits are open already: end some, or wait on * once")
}

// everybody is the name under which large bodies of all callers are counted. No principal has it.
const everybody = ""

// Body counts a large body that is on its way, until done.
func (l *Limits) Body(who models.Principal) (done func(), err error) {
	if !l.on() {
		return func() {}, nil
	}
	byWho, err := l.bodies.take("who "+who.Name, 1, l.config.Bodies, "large bodies are on their way already: send them one after the other")
	if err != nil {
		return nil, err
	}
	ofAll, err := l.bodies.take(everybody, 1, 4*l.config.Bodies, "large bodies of all callers are on their way: try again soon")
	if err != nil {
		byWho()
		return nil, err
	}
	return func() { byWho(); ofAll() }, nil
}
