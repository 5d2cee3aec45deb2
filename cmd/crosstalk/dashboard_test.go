package main

import (
	"net/http"
	"strings"
	"testing"

	"crosstalk/internal/browser"
)

// say posts a message with all that a sender can choose.
func say(t *testing.T, c *http.Client, url, channel, sender, content string, more ...any) int64 {
	t.Helper()
	body := map[string]any{"channel": channel, "sender": sender, "content": content}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	var got receipt
	if status := call(t, c, url+"/api/messages", body, &got); status != http.StatusOK {
		t.Fatalf("say: %d %s", status, got.Error)
	}
	return got.ID
}

func TestDashboardShowsWhatIsSaid(t *testing.T) {
	r := start(t, dbIn(t), env())
	c := client(t)
	first := say(t, c, r.url, "auth", "alice", "Which **port**?", "message_type", "request")
	p := browser.Start(t).Visit(t)
	p.Open(r.url + "/#/c/auth")
	p.Shows(".message", "Which port?")
	p.Shows(".message .badge", "request")
	say(t, c, r.url, "auth", "bob", "Port `8787`.", "in_reply_to", first, "message_type", "response")
	p.Shows(".replies .message", "Port 8787.")
	say(t, c, r.url, "ops", "carol", "elsewhere")
	p.Shows(".channels a.fresh", "ops")
	for _, url := range p.Asked() {
		if !strings.HasPrefix(url, r.url+"/") && !strings.HasPrefix(url, "blob:") {
			t.Errorf("the page asked for %s", url)
		}
	}
}
