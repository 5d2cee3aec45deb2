package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

type hookWait struct {
	Max      time.Duration `default:"25m" placeholder:"TIME" help:"Give up after so long. Without it: 25m."`
	Settings hookSettings  `embed:""`
}

// Help says what it is for.
func (*hookWait) Help() string {
	return `It waits in all channels that the instance has used. When a message comes, it writes it to standard error and exits with
2, by which Claude Code wakes the session if the hook has asyncRewake. A later wait of the same instance takes over: the
earlier one ends, as it does when Claude Code has ended. After claude -p it does not wait: that would keep it from ending.`
}

// Run waits.
func (c *hookWait) Run(p *process) error {
	return c.Settings.run(p, func(h *hook) error {
		if c.Max <= 0 {
			return fmt.Errorf("--max must be more than 0, not %s", c.Max)
		}
		if h.getenv("CLAUDE_CODE_ENTRYPOINT") == "sdk-cli" {
			return nil
		}
		var watch sync.WaitGroup
		defer watch.Wait()
		ctx, cancel := context.WithTimeout(h.ctx, c.Max)
		defer cancel()
		watch.Go(func() { endWithParent(ctx, cancel) })
		if h.Name == "Stop" {
			pause(ctx, hookWait1)
		}
		text := ""
		err := c.Settings.Hub.do(p, there, func(b *bus) (err error) {
			text, err = h.await(ctx, b)
			return err
		})
		if text == "" {
			return err
		}
		if _, err := fmt.Fprint(p.stderr, text); err != nil {
			return err
		}
		return wake{}
	})
}

// await returns what is new; empty when the time is over, or another waits in its place.
func (h *hook) await(ctx context.Context, b *bus) (string, error) {
	for tries := 0; ; {
		begun := time.Now()
		text, err := b.tool(ctx, h.connection(), "wait_for_reply", map[string]any{
			"channel": "*", "instance_id": h.as, "role": "parked", "max_bytes": hookBytes,
		})
		switch {
		case ctx.Err() != nil:
			return "", nil
		case err != nil && !mayPass(err):
			return "", err
		case err != nil:
			pause(ctx, min(20*time.Second, time.Second<<min(tries, 5)))
			tries++
		case isNew(text):
			return h.told(text), nil
		case strings.Contains(text, "superseded"):
			return "", nil
		default:
			tries = 0
			pause(ctx, time.Second-time.Since(begun)) // where waits are cut short
		}
	}
}

// endWithParent ends a wait that nobody reads any more.
func endWithParent(ctx context.Context, end context.CancelFunc) {
	for parent := os.Getppid(); ctx.Err() == nil; pause(ctx, 5*time.Second) {
		if os.Getppid() != parent {
			end()
		}
	}
}

// pause waits, but not beyond ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
