package ws

import (
	"context"
	"slices"

	"crosstalk/hub"
	"crosstalk/models"
)

const maxChannels = 1000 // that one connection is subscribed to

// stream is one subscription of a conn: all channels that were named at connect, or the one of a command.
type stream struct {
	// Set before it is attached, then constant.
	sub      *hub.Subscriber
	channels []string
	hide     string
	from     int64 // what is not after it was delivered by the stream that this one replaced

	// Guarded by the conn's lock.
	at   int64 // all up to it was put into a batch, or was hidden
	gone bool
}

func (st *stream) has(channel string) bool { return slices.Contains(st.channels, channel) }

func (c *conn) open(ctx context.Context, channels []string, after models.Int, hide string) (*stream, error) {
	after.Value = max(0, after.Value)
	sub, err := c.srv.hub.Subscribe(ctx, c.who, hub.Subscription{Channels: channels, After: after.Ptr(), Hide: hide, Wake: c.wake})
	if err != nil {
		return nil, err
	}
	return &stream{sub: sub, channels: channels, hide: hide, at: sub.Position()}, nil
}

// countResume counts a stream that goes on after what its client has.
func (s *Server) countResume(st *stream, after models.Int) {
	if after.Value <= 0 {
		return
	}
	lost := func(ch string) bool { return !st.sub.Recovered(ch) }
	s.meter.Resume(!slices.ContainsFunc(st.channels, lost))
}

// attach makes st deliver, after the frames that say so. id is the command's.
func (c *conn) attach(st *stream, id []byte) {
	var frame [256]byte
	c.mu.Lock()
	for _, channel := range st.channels {
		c.out = appendText(c.out, appendSubscribed(frame[:0], id, channel, st.sub.Head(), st.sub.Recovered(channel)))
	}
	c.streams = append(c.streams, st)
	c.told = max(c.told, st.at)
	c.mu.Unlock()
	c.wake()
}

func (c *conn) subscribe(cmd command) error {
	if cmd.Channel == "" {
		return models.Errorf(models.Invalid, "channel is required")
	}
	channel, err := parseSubscribable(cmd.Channel)
	if err != nil {
		return err
	}
	hide := ""
	if cmd.ExcludeSelf {
		if hide = c.instance; hide == "" {
			return models.Errorf(models.Invalid, "exclude_self needs a self: name it at connect, with ?instance_id=")
		}
	}
	count := 0
	for _, st := range c.streams {
		if st.has(channel) || st.has(models.Every) {
			return models.Errorf(models.Conflict, "channel %q is subscribed to already: unsubscribe first", channel)
		}
		count += len(st.channels)
	}
	switch {
	case channel == models.Every && count > 0:
		return models.Errorf(models.Conflict, "* covers channels that are subscribed to already: unsubscribe from them first")
	case count >= maxChannels:
		return models.Errorf(models.Invalid, "at most %d channels on one connection: subscribe to * instead", maxChannels)
	}
	st, err := c.open(c.srv.ctx, []string{channel}, cmd.AfterID, hide)
	if err != nil {
		return err
	}
	c.srv.countResume(st, cmd.AfterID)
	c.attach(st, cmd.ID)
	return nil
}

// unsubscribe ends the delivery of one channel. The stream that it is part of is replaced by one over the others, which
// goes on where the old one stands.
func (c *conn) unsubscribe(cmd command) error {
	if cmd.Channel == "" {
		return models.Errorf(models.Invalid, "channel is required")
	}
	channel, err := parseSubscribable(cmd.Channel)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(c.streams, func(st *stream) bool { return st.has(channel) })
	if i < 0 {
		return models.Errorf(models.NotFound, "channel %q is not subscribed to", channel)
	}
	old := c.streams[i]
	rest := slices.DeleteFunc(slices.Clone(old.channels), func(s string) bool { return s == channel })
	var st *stream
	if len(rest) > 0 {
		c.mu.Lock()
		at := models.Int{Value: old.at, Set: true}
		c.mu.Unlock()
		if st, err = c.open(c.srv.ctx, rest, at, old.hide); err != nil {
			return err
		}
	}
	c.replace(i, st, appendUnsubscribed(nil, cmd.ID, channel))
	old.sub.Close()
	c.wake()
	return nil
}

// replace puts st, nil for none, in the place of stream i, whose last messages stand before answer. What the two
// streams have in common because the old one went on while the new one was opened is delivered once.
func (c *conn) replace(i int, st *stream, answer []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.streams[i]
	old.gone = true
	if st != nil {
		st.from = old.at
		st.at = max(st.at, st.from)
		c.streams[i] = st
	} else {
		c.streams = slices.Delete(c.streams, i, i+1)
	}
	c.out = appendText(c.out, answer)
}

func parseSubscribable(name string) (string, error) {
	if name == models.Every {
		return name, nil
	}
	return models.ParseChannel(name)
}

// position returns the id up to which no stream has anything to deliver any more. The caller holds mu.
func (c *conn) position() int64 {
	var at int64
	for i, st := range c.streams {
		if i == 0 || st.at < at {
			at = st.at
		}
	}
	return at
}

// newsBytes is what a batch may hold of who comes and goes, so that messages do not wait for that.
const newsBytes = batchBytes / 2

// watch asks to be told who comes and goes.
func (c *conn) watch() {
	watcher := c.srv.hub.Watch(c.who, c.wake)
	c.mu.Lock()
	c.watcher = watcher
	c.mu.Unlock()
	c.wake()
}

// news fills b with who came and went, as far as there is room. The caller holds mu.
func (c *conn) news(b *batch) (more bool) {
	if c.watcher == nil {
		return false
	}
	var frame [256]byte
	most := len(b.buf) + newsBytes
	more, err := c.watcher.Next(func(instance string, s models.Status) bool {
		if len(b.buf) >= most {
			return false
		}
		b.buf = appendText(b.buf, appendPresence(frame[:0], instance, s))
		return true
	})
	if err != nil {
		c.leave(appendClose(nil, closeSlow, models.Text(err)))
		c.srv.meter.Slow.Add(1)
	}
	return more || err != nil
}
