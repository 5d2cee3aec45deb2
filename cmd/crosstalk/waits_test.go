package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// mcpCall posts one call that belongs to no session, and returns the answer's stream.
func mcpCall(c *http.Client, url, tool, arguments string) (*http.Response, error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"progressToken":1}}}`, tool, arguments)
	req, err := http.NewRequest(http.MethodPost, url+"/mcp", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	return c.Do(req)
}

// TestAKillDuringAThousandWaitsReadsNothingAway kills a server on which a thousand agents wait. What
// is said afterwards reaches each of them at its next call.
func TestAKillDuringAThousandWaitsReadsNothingAway(t *testing.T) {
	const agents = 1000
	db := dbIn(t)
	server := spawn(t, db)
	c := client(t)
	each := func(url, tool, arguments, want string) {
		var all sync.WaitGroup
		turns := make(chan struct{}, 50)
		for i := range agents {
			all.Go(func() {
				turns <- struct{}{}
				defer func() { <-turns }()
				resp, err := mcpCall(c, url, tool, fmt.Sprintf(arguments, i))
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = resp.Body.Close() }()
				if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), want) {
					t.Errorf("agent%d: %v %s", i, err, text)
				}
			})
		}
		all.Wait()
	}
	each(server.url, "register", `{"instance_id":"agent%d"}`, "Registered as")
	var wait, cut sync.WaitGroup
	for i := range agents {
		wait.Add(1)
		cut.Go(func() {
			resp, err := mcpCall(c, server.url, "wait_for_reply", fmt.Sprintf(`{"instance_id":"agent%d","channel":"x"}`, i))
			if err != nil {
				t.Error(err)
				wait.Done()
				return
			}
			defer func() { _ = resp.Body.Close() }()
			lines := bufio.NewReader(resp.Body)
			if _, err := lines.ReadString('\n'); err != nil {
				t.Errorf("no progress: %v", err)
			}
			wait.Done()
			rest, _ := io.ReadAll(lines)
			if strings.Contains(string(rest), `"result"`) {
				t.Errorf("a killed server answered: %s", rest)
			}
		})
	}
	wait.Wait()
	server.exited(t, os.Kill)
	cut.Wait()

	again := spawn(t, db)
	post(t, c, again.url, "x", "after the crash")
	each(again.url, "wait_for_reply", `{"instance_id":"agent%d","channel":"x","max_wait_minutes":0.2}`, "after the crash")
}
