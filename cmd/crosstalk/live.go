package main

import (
	"context"
	"log/slog"
	"sync"

	"crosstalk/bridge/push"
	"crosstalk/cmd/crosstalk/remote"
	wsdial "crosstalk/hub/ws/dial"
	"crosstalk/models"
)

// maxUnread is how many messages a remote stream holds. Further ones stay in the hub's log until these were read.
const maxUnread = 256

// remoteStream is a channel of a hub elsewhere, followed over its WebSocket door.
type remoteStream struct {
	// Set by followRemote, then constant.
	head int64
	stop context.CancelFunc
	done chan struct{} // closed when nothing is followed any more
	wake func()
	room chan struct{} // size 1: there is room again

	// Guarded by mu.
	mu  sync.Mutex
	got []models.Message
	err error // that ended it
}

// followRemote follows channels of the hub at a URL.
func followRemote(log *slog.Logger, hubURL, key string) push.Follow {
	return func(ctx context.Context, _ models.Principal, channel, own string, wake func()) (push.Stream, error) {
		rest, err := remote.New(remote.Options{URL: hubURL, Key: key})
		if err != nil {
			return nil, err
		}
		defer rest.Close()
		var page models.Page
		if err := rest.Get(ctx, "/api/messages"+remote.Path(channel), nil, &page); err != nil {
			return nil, models.Errorf(models.Unavailable, "%v", err)
		}
		client, err := wsdial.New(wsdial.Options{
			URL: hubURL, Key: key, Channels: []string{channel}, After: &page.NextAfterID, BusID: page.BusID,
			Trouble: func(err error) { log.Info("live push", "channel", channel, "trouble", err) },
		})
		if err != nil {
			return nil, err
		}
		live, stop := context.WithCancel(context.WithoutCancel(ctx))
		s := &remoteStream{head: page.NextAfterID, stop: stop, done: make(chan struct{}), wake: wake, room: make(chan struct{}, 1)}
		go s.run(live, client, own)
		return s, nil
	}
}

// run takes what comes until the stream is closed, or the hub refuses it for good.
func (s *remoteStream) run(ctx context.Context, client *wsdial.Client, own string) {
	defer close(s.done)
	defer client.Close()
	for {
		event, err := client.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			s.wake()
			return
		}
		if event.Message == nil || event.Message.Sender == own {
			continue // a push is a hint: of what was lost there is none
		}
		if !s.take(ctx, *event.Message) {
			return
		}
	}
}

// take keeps a message for Read.
func (s *remoteStream) take(ctx context.Context, m models.Message) bool {
	s.mu.Lock()
	s.got = append(s.got, m)
	full := len(s.got) >= maxUnread
	s.mu.Unlock()
	s.wake()
	for full {
		select {
		case <-ctx.Done():
			return false
		case <-s.room:
		}
		s.mu.Lock()
		full = len(s.got) >= maxUnread
		s.mu.Unlock()
	}
	return true
}

// Head is the newest message when the stream began.
func (s *remoteStream) Head() int64 { return s.head }

// Read returns what has come.
func (s *remoteStream) Read(context.Context) ([]models.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	select {
	case s.room <- struct{}{}:
	default:
	}
	if len(got) > 0 {
		return got, nil
	}
	return nil, s.err
}

// Close ends the stream, and waits for that.
func (s *remoteStream) Close() {
	s.stop()
	<-s.done
}
