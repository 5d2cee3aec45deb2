package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"crosstalk/hub/health"
)

// service tells the service manager that started the program how it is, where one wants to know. Nil tells nobody.
type service struct {
	log      *slog.Logger
	watchdog time.Duration // it restarts what is silent for so long; 0: it does not
	told     string
}

// statusEvery is how often the state is compared with what was told.
const statusEvery = time.Second

// newService makes the service of a manager that named its socket, as systemd does for Type=notify.
func newService(p *process, log *slog.Logger) *service {
	if p.getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog is not served", "error", err)
	}
	return &service{log: log, watchdog: watchdog}
}

func (s *service) say(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("the service manager cannot be told", "state", state, "error", err)
	}
}

// run says that the program serves, once it has answered a request, and from then on how it is. The watchdog is fed
// while a restart would not help, by the judgement of /livez.
func (s *service) run(ctx context.Context, url string, how func() health.Report) error {
	if s == nil {
		return nil
	}
	for !answers(ctx, url+"/livez") {
		if ctx.Err() != nil {
			return nil
		}
	}
	s.say(daemon.SdNotifyReady + "\n" + s.status(url, how()))
	look := time.NewTicker(statusEvery)
	defer look.Stop()
	var feed <-chan time.Time
	if s.watchdog > 0 {
		ticker := time.NewTicker(max(s.watchdog/2, time.Millisecond))
		defer ticker.Stop()
		feed = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if told := s.told; s.status(url, how()) != told {
				s.say(s.told)
			}
		case <-feed:
			if how().Stuck == nil {
				s.say(daemon.SdNotifyWatchdog)
			}
		}
	}
}

// status remembers and returns how the hub is, in a line.
func (s *service) status(url string, r health.Report) string {
	s.told = "STATUS=" + r.Status + ", serving at " + url
	switch {
	case r.Stuck != nil:
		s.told = "STATUS=stuck: the log says where"
	case r.Error != nil:
		s.told = "STATUS=" + r.Error.Error()
	}
	return s.told
}

// stopping says that the end has begun.
func (s *service) stopping() {
	if s != nil {
		s.say(daemon.SdNotifyStopping + "\nSTATUS=stopping")
	}
}

// answers asks once, and takes its time if nobody answers.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
		return false
	}
	_ = res.Body.Close()
	return true
}
