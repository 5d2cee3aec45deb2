package wire

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// modern puts what 2026-07-28 wants into a message, where META stands in its params after what goes before.
func modern(message string) string {
	return strings.Replace(message, "META", `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`, 1)
}

// calls is a modern call of a tool with the header fields that belong to it.
func calls(id any, tool, text string) (message string, fields []string) {
	return modern(call(id, tool, text, "META")), []string{"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: " + tool}
}

func TestSessionsAreForThoseWhoWantThem(t *testing.T) {
	url := serve(t, Options{Bridge: newProbe()}) + "/mcp"
	status, head, body := ask(t, url, initialize)
	id := head.Get("Mcp-Session-Id")
	if status != 200 || id == "" || head.Get("Content-Type") != "application/json" {
		t.Fatalf("initialize: %d %v %s", status, head, body)
	}
	wants(t, body, `"protocolVersion":"2025-11-25"`)
	for name, fields := range map[string][]string{
		"with it":                     {"Mcp-Session-Id: " + id, "Mcp-Protocol-Version: 2025-11-25"},
		"with another version":        {"Mcp-Session-Id: " + id, "Mcp-Protocol-Version: 2024-11-05"},
		"with one of before":          {"Mcp-Session-Id: from-before-the-restart"},
		"with none":                   nil,
		"reading no streams":          {"Accept: application/json"},
		"with nothing but the answer": {"Accept: "},
	} {
		status, head, body := ask(t, url, call(1, "echo", "x"), fields...)
		if status != 200 || head.Get("Mcp-Session-Id") != "" {
			t.Errorf("%s: %d %v %s", name, status, head, body)
		}
		wants(t, body, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}]`)
	}
	for name, fields := range map[string][]string{
		"an unknown version": {"Mcp-Protocol-Version: 1999-01-01"},
		"no id of a session": {"Mcp-Session-Id: ü"},
		"a long id":          {"Mcp-Session-Id: " + strings.Repeat("x", 129)},
	} {
		if status, _, body := ask(t, url, call(1, "echo", "x"), fields...); status != 400 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _, _ := ask(t, url, initialize, "Mcp-Protocol-Version: 1999-01-01"); status != 200 {
		t.Errorf("initialize agrees on the version, and got %d for one in its head", status)
	}
	for _, m := range []string{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","id":5,"result":{}}`} {
		if status, _, body := ask(t, url, m, "Mcp-Session-Id: "+id); status != 202 || body != "" {
			t.Errorf("%s: %d %s", m, status, body)
		}
	}
}

func TestEachCallGetsItsOwnProgress(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b}) + "/mcp"
	silent, _ := open(t, url, "S")
	const n = 8
	got := make([]string, n)
	var done sync.WaitGroup
	for i := range n {
		token := fmt.Sprintf(`,"_meta":{"progressToken":"t%d"}`, i)
		done.Go(func() { _, _, got[i] = ask(t, url, call(i, "beat", fmt.Sprint(i), token), "Mcp-Session-Id: S") })
	}
	for range n {
		hear(t, b.started)
	}
	close(b.release)
	done.Wait()
	for i, body := range got {
		want := ""
		for k := 1; k <= 3; k++ {
			want += fmt.Sprintf("event: message\ndata: "+`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t%d","progress":%d,"message":"%d"}}`+"\n\n", i, k, i)
		}
		want += fmt.Sprintf("event: message\ndata: "+`{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"%d"}]}}`+"\n\n", i, i)
		if body != want {
			t.Errorf("call %d got\n%swant\n%s", i, body, want)
		}
	}
	if len(silent) != 0 {
		t.Errorf("the session's stream got %s", <-silent)
	}
}

func TestProgressLeavesAtOnce(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b}) + "/mcp"
	r, err := post(t.Context(), url, call(1, "beat", "x", `,"_meta":{"progressToken":1}`))
	if err != nil {
		t.Fatal(err)
	}
	events := feed(t, r.Body)
	hear(t, events)
	wants(t, hear(t, events), `"progress":1`)
	close(b.release)
	for range events {
	}
	_ = r.Body.Close()
}

func TestAClientThatReadsNoStreamsIsAnsweredWithoutProgress(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b}) + "/mcp"
	close(b.release)
	status, head, body := ask(t, url, call(1, "beat", "x", `,"_meta":{"progressToken":1}`), "Accept: application/json")
	if status != 200 || head.Get("Content-Type") != "application/json" || !strings.HasPrefix(body, `{"jsonrpc":"2.0","id":1,"result"`) {
		t.Errorf("%d %v %s", status, head, body)
	}
}

func TestAClientThatGoesAwayEndsItsCall(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b}) + "/mcp"
	message, fields := calls(1, "wait", "new")
	for _, c := range []struct {
		message string
		fields  []string
	}{{call(1, "wait", "old"), []string{"Mcp-Session-Id: S"}}, {message, fields}} {
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			r, err := post(ctx, url, c.message, c.fields...)
			if err == nil {
				_ = r.Body.Close()
			}
			gone <- err
		}()
		began := hear(t, b.started)
		leave()
		if hear(t, gone) == nil || hear(t, b.cancelled) != began {
			t.Errorf("the %s call did not end", began)
		}
	}
}

func TestCancelIsOfTheSameSession(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b}) + "/mcp"
	results := make(chan string, 3)
	for _, s := range []string{"A", "B"} {
		go func() {
			status, _, body := ask(t, url, call(1, "wait", s), "Mcp-Session-Id: "+s)
			results <- fmt.Sprint(s, status, body)
		}()
	}
	go func() {
		message, fields := calls(1, "wait", "M")
		status, _, body := ask(t, url, message, fields...)
		results <- fmt.Sprint("M", status, body)
	}()
	for range 3 {
		hear(t, b.started)
	}
	const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1META}}`
	for _, fields := range [][]string{{"Mcp-Protocol-Version: 2026-07-28"}, nil, {"Mcp-Session-Id: A"}} {
		message := strings.Replace(cancel, "META", "", 1)
		if len(fields) > 0 && strings.HasSuffix(fields[0], "2026-07-28") {
			message = modern(cancel)
		}
		if status, _, body := ask(t, url, message, fields...); status != 202 || body != "" {
			t.Errorf("cancel: %d %s", status, body)
		}
	}
	if got := hear(t, b.cancelled); got != "A" {
		t.Errorf("cancelled was %s", got)
	}
	if got := hear(t, results); got != "A202" {
		t.Errorf("it was answered: %s", got)
	}
	close(b.release)
	got := hear(t, results) + hear(t, results)
	wants(t, got, "B200", "M200")
	if len(b.cancelled) != 0 {
		t.Errorf("cancelled was %s, too", <-b.cancelled)
	}
}

func TestOf2026TheHeadSaysWhatTheMessageSays(t *testing.T) {
	url := serve(t, Options{Bridge: newProbe()}) + "/mcp"
	message, good := calls(1, "echo", "x")
	status, head, body := ask(t, url, message, append(good, "Mcp-Session-Id: S")...)
	if status != 200 || head.Get("Mcp-Session-Id") != "" {
		t.Errorf("%d %v", status, head)
	}
	wants(t, body, `"resultType":"complete"`, `"io.modelcontextprotocol/serverInfo"`)
	version, method, name := good[0], good[1], good[2]
	meta := func(s string) string { return strings.Replace(message, "2026-07-28", s, 1) }
	for about, tc := range map[string]struct {
		message string
		fields  []string
		status  int
		want    string
	}{
		"no head":              {message, nil, 400, `"id":1,"error":{"code":-32020`},
		"no method":            {message, []string{version, name}, 400, `"code":-32020`},
		"no name":              {message, []string{version, method}, 400, `"code":-32020`},
		"another name":         {message, []string{version, method, "Mcp-Name: wait"}, 400, `"code":-32020`},
		"another method":       {message, []string{version, "Mcp-Method: ping", name}, 400, `"code":-32020`},
		"another version":      {message, []string{"Mcp-Protocol-Version: 2025-11-25", method, name}, 400, `"code":-32020`},
		"version in head only": {call(1, "echo", "x"), good, 400, `"code":-32602`},
		"resumed":              {message, append(good, "Last-Event-ID: 5"), 400, `"code":-32020`},
		"a version to come":    {meta("2031-01-01"), []string{"Mcp-Protocol-Version: 2031-01-01", method, name}, 400, `"code":-32022`},
		"no capabilities":      {strings.Replace(message, "clientCapabilities", "other", 1), good, 400, `"code":-32602`},
		"an unknown tool":      {strings.Replace(message, `"echo"`, `"none"`, 1), []string{version, method, "Mcp-Name: none"}, 400, `"code":-32602`},
		"an unknown method":    {strings.Replace(message, "tools/call", "none", 1), []string{version, "Mcp-Method: none"}, 404, `"code":-32601`},
		"an answer":            {`{"jsonrpc":"2.0","id":1,"result":{}}`, []string{version}, 400, `"code":-32600`},
		"initialize":           {modern(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"a":1META}}`), []string{version, "Mcp-Method: initialize"}, 404, `"code":-32601`},
		"a stream it can't read": {modern(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"a":1META}}`),
			[]string{version, "Mcp-Method: subscriptions/listen", "Accept: application/json"}, 406, `"code":-32000`},
		"a notification":       {modern(`{"jsonrpc":"2.0","method":"notifications/none","params":{"a":1META}}`), []string{version}, 202, ""},
		"a notification amiss": {`{"jsonrpc":"2.0","method":"notifications/none"}`, []string{version}, 400, `"code":-32602`},
	} {
		status, _, body := ask(t, url, tc.message, tc.fields...)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s: got %d %s", about, status, body)
		}
	}
}

func TestGiantBodiesAreRefused(t *testing.T) {
	url := serve(t, Options{Bridge: newProbe()}) + "/mcp"
	r, err := post(t.Context(), url, strings.Replace(call(1, "echo", "TEXT"), "TEXT", strings.Repeat("x", maxMessage), 1))
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := whole(t, r); status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %s", status, body)
	}
	if status, _, body := ask(t, url, call(1, "echo", strings.Repeat("x", 1<<20))); status != 200 || len(body) < 1<<20 {
		t.Errorf("1 MiB: %d, %d bytes", status, len(body))
	}
}

func TestAThousandWaitsAreAnsweredWhileTheServerDrains(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b}) + "/mcp"
	const n = 1000
	results := make(chan string, n)
	for i := range n {
		go func() {
			status, _, body := ask(t, url, call(i, "wait", "w"), "Mcp-Session-Id: S")
			results <- fmt.Sprint(status, body)
		}()
	}
	for range n {
		hear(t, b.started)
	}
	close(b.release) // as the hub does
	for range n {
		wants(t, hear(t, results), `200{"jsonrpc":"2.0","id":`, `"result"`)
	}
}

func TestLargeMessagesAtOnceAreBounded(t *testing.T) {
	b := newProbe()
	url := serve(t, Options{Bridge: b, LargeBytes: 300 << 10}) + "/mcp"
	large := strings.Repeat("x", 200<<10)
	first := make(chan int, 1)
	go func() {
		status, _, _ := ask(t, url, call(1, "wait", large))
		first <- status
	}()
	hear(t, b.started)
	status, head, body := ask(t, url, call(2, "echo", large))
	if status != http.StatusTooManyRequests || head.Get("Retry-After") != "2" || !strings.Contains(body, "try again in a moment") {
		t.Errorf("the second: %d %v %.200s", status, head, body)
	}
	if status, _, body = ask(t, url, call(3, "echo", "small")); status != http.StatusOK {
		t.Errorf("a small one: %d %s", status, body)
	}
	close(b.release)
	if status := <-first; status != http.StatusOK {
		t.Errorf("the first: %d", status)
	}
	eventually(t, "there is room again", func() bool {
		status, _, _ := ask(t, url, call(4, "echo", large))
		return status == http.StatusOK
	})
}
