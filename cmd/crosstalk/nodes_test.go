package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"crosstalk/internal/pgtest"
)

// startNode serves a PostgreSQL database in this process until the test ends.
func startNode(t *testing.T, url string, args ...string) *running {
	t.Helper()
	return start(t, "", env(), append([]string{"--database-url", url}, args...)...)
}

// TestAMessageReachesEveryDoorOfEveryNode sends on one node and listens on both: by WebSocket, Server-Sent Events,
// long poll and a wait over MCP.
func TestAMessageReachesEveryDoorOfEveryNode(t *testing.T) {
	url := pgtest.Start(t)
	nodes := []*running{startNode(t, url), startNode(t, url)}
	c := client(t)
	for i, n := range nodes {
		name := fmt.Sprint("waiter", i)
		call(t, c, n.url+"/api/register", map[string]string{"instance_id": name}, nil)
	}
	first := post(t, c, nodes[0].url, "doors", "before")
	var listening, heard sync.WaitGroup
	expect := func(what string, hear func(ready func()) (string, error)) {
		listening.Add(1)
		ready := sync.OnceFunc(listening.Done)
		heard.Go(func() {
			defer ready()
			if got, err := hear(ready); err != nil || !strings.Contains(got, "to everyone") {
				t.Errorf("%s: %q, %v", what, got, err)
			}
		})
	}
	for i, n := range nodes {
		expect(fmt.Sprint("WebSocket ", i), func(ready func()) (string, error) {
			conn := dial(t, n.url, "channels=doors", 2)
			ready()
			return contentOf(t.Context(), conn)
		})
		expect(fmt.Sprint("long poll ", i), func(ready func()) (string, error) {
			ready()
			return get(t.Context(), c, fmt.Sprintf("%s/api/messages/doors?after_id=%d&wait=30", n.url, first))
		})
		expect(fmt.Sprint("events ", i), func(ready func()) (string, error) {
			resp, err := c.Get(n.url + "/api/stream?channels=doors")
			if err != nil {
				return "", err
			}
			defer func() { _ = resp.Body.Close() }()
			lines := bufio.NewReader(resp.Body)
			for _, mark := range []string{"welcome", "content"} {
				for {
					line, err := lines.ReadString('\n')
					if err != nil {
						return "", err
					}
					if mark == "welcome" && strings.Contains(line, mark) {
						ready()
						break
					}
					if strings.Contains(line, mark) {
						return line, nil
					}
				}
			}
			return "", io.EOF
		})
		expect(fmt.Sprint("MCP ", i), func(ready func()) (string, error) {
			resp, err := mcpCall(c, n.url, "wait_for_reply", fmt.Sprintf(`{"instance_id":"waiter%d","channel":"doors","after_id":%d}`, i, first))
			if err != nil {
				return "", err
			}
			defer func() { _ = resp.Body.Close() }()
			lines := bufio.NewReader(resp.Body)
			if _, err := lines.ReadString('\n'); err != nil { // progress: it waits
				return "", err
			}
			ready()
			rest, err := io.ReadAll(lines)
			return string(rest), err
		})
	}
	listening.Wait()
	post(t, c, nodes[0].url, "doors", "to everyone")
	heard.Wait()
}

// TestNodesListenForEachOther looks whether they do: the look at the log that they take each second would hide it if not.
func TestNodesListenForEachOther(t *testing.T) {
	url := pgtest.Start(t)
	for _, args := range [][]string{nil, {"--listen-url", url + "&application_name=past_the_pooler"}} {
		startNode(t, url, args...)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, name := range []string{"crosstalk bell", "past_the_pooler"} {
		eventually(t, func() bool {
			var n int
			const listening = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1
				AND (query LIKE 'LISTEN "crosstalk\_%' OR query = 'SELECT 1')` // which it asks later, to see whether it is still connected
			if err := db.QueryRowContext(t.Context(), listening, name).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n > 0
		})
	}
}

// TestAnAgentOnANodeIsPushedToFromAnother publishes on a hub and has a process of crosstalk mcp, which is a node of its
// own, push it.
func TestAnAgentOnANodeIsPushedToFromAnother(t *testing.T) {
	url := pgtest.Start(t)
	hub := startNode(t, url)
	c := client(t)
	a := startAgent(t, "mcp", "--push", "--database-url", url)
	has(t, a.tool("register", map[string]any{"instance_id": "alice"}), `Registered as "alice"`)
	post(t, c, hub.url, "ops", "from before")
	has(t, a.tool("listen_live", map[string]any{"channel": "ops"}), "Live push ON for #ops, from message #1 on")
	a.tool("send_message", map[string]any{"sender": "alice", "channel": "ops", "content": "my own"})
	for _, text := range []string{"one", "two"} {
		post(t, c, hub.url, "elsewhere", "not for her")
		post(t, c, hub.url, "ops", text)
		has(t, a.pushed(), ": "+text)
	}
	if err := a.in.Close(); err != nil {
		t.Fatal(err)
	}
	a.ends()
}

// get reads an answer.
func get(ctx context.Context, c *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// leaveMessages makes the tables of a cross-claude-mcp.
func leaveMessages(t *testing.T, url string, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", url+"&search_path=public")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, s := range append([]string{
		"CREATE TABLE channels (name TEXT PRIMARY KEY, description TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
		`CREATE TABLE messages (id SERIAL PRIMARY KEY, channel TEXT NOT NULL, sender TEXT NOT NULL, content TEXT NOT NULL,
			message_type TEXT DEFAULT 'message', in_reply_to INTEGER, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)`,
	}, statements...) {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestTheFirstStartTakesOverWhatIsInTheDatabase(t *testing.T) {
	url := pgtest.Start(t)
	leaveMessages(t, url, "INSERT INTO messages (id, channel, sender, content) SELECT n, 'plans', 'alice', 'text ' || n FROM generate_series(11, 310) AS n")
	nodes := make([]*running, 3)
	var all sync.WaitGroup
	for i := range nodes { // at once
		all.Go(func() { nodes[i] = startNode(t, url) })
	}
	all.Wait()
	c := client(t)
	told := 0
	for _, n := range nodes {
		var got page
		call(t, c, n.url+"/api/messages/plans?limit=2", nil, &got)
		if len(got.Messages) != 2 || got.Messages[1].ID != 310 || got.Messages[1].Content != "text 310" {
			t.Errorf("%+v", got)
		}
		told += strings.Count(n.stderr.String(), "took over the messages")
	}
	if told != 1 {
		t.Errorf("%d nodes took them over", told)
	}
	if id := post(t, c, nodes[0].url, "plans", "new"); id != 311 {
		t.Errorf("the next message has id %d", id)
	}
}

func TestSkipImportLeavesWhatIsThere(t *testing.T) {
	url := pgtest.Start(t)
	leaveMessages(t, url, "INSERT INTO messages (channel, sender, content) VALUES ('plans', 'alice', 'old')")
	n := startNode(t, url, "--skip-import")
	if id := post(t, client(t), n.url, "plans", "new"); id != 1 {
		t.Errorf("the first message has id %d", id)
	}
}

func TestMessagesOfSeveralTenantsAreLeft(t *testing.T) {
	url := pgtest.Start(t)
	leaveMessages(t, url, "ALTER TABLE messages ADD COLUMN tenant_id TEXT")
	n := startNode(t, url)
	if !strings.Contains(n.stderr.String(), "several tenants") {
		t.Errorf("the log does not say why nothing was taken over:\n%s", n.stderr)
	}
}

func TestImportIntoPostgres(t *testing.T) {
	url, home := pgtest.Start(t), crossClaudeHome(t)
	for _, want := range []string{"3 found        3 added        0 already here", "3 found        0 added        3 already here"} {
		out, _, err := command(t, env("HOME", home, "DATABASE_URL", url), "import", "cross-claude")
		if err != nil || !strings.Contains(out, "messages               "+want) {
			t.Errorf("%v\n%s", err, out)
		}
	}
	n := startNode(t, url)
	var got page
	call(t, client(t), n.url+"/api/messages/plans", nil, &got)
	if len(got.Messages) != 3 || got.Messages[0].ID != 7 {
		t.Errorf("%+v", got)
	}
}
