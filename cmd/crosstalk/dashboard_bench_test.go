package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"crosstalk/internal/browser"
)

// BenchmarkDashboardFirstView opens the dashboard of a hub with 200 channels and 100,000 messages in a browser that was
// never here. Shown is when the largest part of the page was painted, the messages; asked is all that was loaded.
func BenchmarkDashboardFirstView(b *testing.B) {
	const messages, channels, senders = 100_000, 200, 64
	r := start(b, dbIn(b), env("CLEANUP_DAYS", "0"))
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer c.CloseIdleConnections()
	var next atomic.Int64
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for n := next.Add(1); n <= messages; n = next.Add(1) {
				body := fmt.Sprintf(`{"channel":"channel-%03d","sender":"agent-%02d","content":"Message %d of **many**, with `+"`code`"+` and some words."}`, n%channels, n%40, n)
				res, err := c.Post(r.url+"/api/messages", "application/json", strings.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					b.Errorf("answered %s", res.Status)
					return
				}
			}
		})
	}
	all.Wait()
	chrome := browser.Start(b)
	var shown, sum float64
	for b.Loop() {
		p := chrome.Visit(b)
		p.Open(r.url + "/#/c/channel-000")
		p.Shows(".channels", "channel-199")
		p.Shows(".message", "Message 100000 of many")
		shown = browser.Eval[float64](p, `new Promise(r => new PerformanceObserver(l => r(l.getEntries().at(-1).startTime)).observe({ type: 'largest-contentful-paint', buffered: true }))`)
		sum += shown
	}
	b.ReportMetric(sum/float64(b.N), "ms/shown")
}
