package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// child is a hub in a process of its own.
type child struct {
	*exec.Cmd
	url    string
	stderr *lines
}

// spawn starts the program itself, with these variables.
func spawn(t *testing.T, db string, variables ...string) *child {
	t.Helper()
	return spawnAt(t, "localhost:0", db, variables...)
}

func spawnAt(t *testing.T, addr, db string, variables ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0], "serve", "--addr", addr, "--db", db), stderr: &lines{}}
	c.Env = append(append(os.Environ(), asMain+"=1"), variables...)
	c.Stderr = c.stderr
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("its log:\n%s", c.stderr)
		}
	})
	port := portIn(stdout)
	if port == 0 {
		t.Fatal("the program did not start")
	}
	c.url = "http://127.0.0.1:" + strconv.Itoa(port)
	return c
}

// exited waits for the end and returns how long it took after signal was sent.
func (c *child) exited(t *testing.T, signal os.Signal) time.Duration {
	t.Helper()
	begun := time.Now()
	if err := c.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // ProcessState tells
	return time.Since(begun)
}

// TestDrainsAThousandSockets has 1,000 sockets open, two of which publish as fast as they are answered, and a long
// poll. All are told in time, and what was acknowledged is there at the next start.
func TestDrainsAThousandSockets(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			db := dbIn(t)
			hub := spawn(t, db)
			c := client(t)
			post(t, c, hub.url, "load", "first")
			silent, err := net.Dial("tcp", strings.TrimPrefix(hub.url, "http://")) // never says a word
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = silent.Close() }()
			sockets := dialMany(t, hub.url, 1000)
			ended := make(chan string, len(sockets)) // one for each that did not end as it should
			var readers sync.WaitGroup
			for _, conn := range sockets {
				readers.Go(func() { untilRestart(t.Context(), conn, ended) })
			}
			var publishers sync.WaitGroup
			acknowledged := make([][]int64, 2)
			for i := range acknowledged {
				publishers.Go(func() { acknowledged[i] = publish(c, hub.url) })
			}
			poll := make(chan string, 1)
			go func() { poll <- longPoll(c, hub.url) }()
			waitFor(t, c, hub.url, 50)

			took := hub.exited(t, signal)
			if code := hub.ProcessState.ExitCode(); code != 0 || took > 5*time.Second {
				t.Errorf("exit code %d after %s", code, took)
			}
			t.Logf("drained in %s", took)
			if strings.Contains(hub.stderr.String(), "did not leave in time") {
				t.Error("somebody was waited for in vain")
			}
			if got := <-poll; got != "" {
				t.Error(got)
			}
			readers.Wait()
			publishers.Wait()
			close(ended)
			for problem := range ended {
				t.Error(problem)
			}
			checkStored(t, db, acknowledged)
		})
	}
}

func dialMany(t *testing.T, url string, n int) []*websocket.Conn {
	t.Helper()
	conns := make([]*websocket.Conn, n)
	var dialing sync.WaitGroup
	for part := range 8 {
		dialing.Go(func() {
			for i := part; i < n; i += 8 {
				conn, _, err := websocket.Dial(t.Context(), strings.Replace(url, "http", "ws", 1)+"/ws?channels=load", nil)
				if err != nil {
					t.Errorf("socket %d: %v", i, err)
					return
				}
				conns[i] = conn
			}
		})
	}
	dialing.Wait()
	t.Cleanup(func() {
		for _, conn := range conns {
			if conn != nil {
				_ = conn.CloseNow()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return conns
}

// untilRestart reads until the hub says 1012.
func untilRestart(ctx context.Context, conn *websocket.Conn, problems chan<- string) {
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			if got := websocket.CloseStatus(err); got != websocket.StatusServiceRestart {
				problems <- fmt.Sprintf("a socket ended with %d: %v", got, err)
			}
			return
		}
	}
}

// publish posts until the hub is gone, and returns what was acknowledged.
func publish(c *http.Client, url string) (ids []int64) {
	for {
		res, err := c.Post(url+"/api/messages", "application/json", strings.NewReader(`{"channel":"load","sender":"tester","content":"x"}`))
		if err != nil {
			return ids
		}
		var got receipt
		err = json.NewDecoder(res.Body).Decode(&got)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			return ids
		}
		ids = append(ids, got.ID)
	}
}

// longPoll waits on a channel where nothing happens, and says what was wrong with the answer.
func longPoll(c *http.Client, url string) string {
	res, err := c.Get(url + "/api/messages/quiet?after_id=0&wait=30")
	if err != nil {
		return "a wait was cut off: " + err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return "a wait was answered " + res.Status
	}
	return ""
}

// waitFor returns once n messages are stored, by waiting for the last of them.
func waitFor(t *testing.T, c *http.Client, url string, n int) {
	t.Helper()
	var got page
	call(t, c, fmt.Sprintf("%s/api/messages/load?after_id=%d&wait=30", url, n), nil, &got)
	if len(got.Messages) == 0 {
		t.Fatalf("no message after %d", n)
	}
}

// checkStored starts a hub on db again and looks for every id.
func checkStored(t *testing.T, db string, acknowledged [][]int64) {
	t.Helper()
	hub := start(t, db, env())
	c := client(t)
	stored := map[int64]bool{}
	for after := int64(0); ; {
		var got page
		call(t, c, fmt.Sprintf("%s/api/messages/load?after_id=%d", hub.url, after), nil, &got)
		if len(got.Messages) == 0 {
			break
		}
		for _, m := range got.Messages {
			stored[m.ID] = true
			after = m.ID
		}
	}
	count := 0
	for _, ids := range acknowledged {
		for _, id := range ids {
			count++
			if !stored[id] {
				t.Errorf("message %d was acknowledged and is gone", id)
			}
		}
	}
	if count == 0 {
		t.Error("nobody published anything")
	}
}

func TestRequestOnItsWayIsAnswered(t *testing.T) {
	db := dbIn(t)
	hub := spawn(t, db)
	conn, err := net.Dial("tcp", strings.TrimPrefix(hub.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	const body = `{"channel":"load","sender":"tester","content":"just in time"}`
	send(t, conn, fmt.Sprintf("POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body)))
	answers := bufio.NewReader(conn)
	if res, err := http.ReadResponse(answers, nil); err != nil || res.StatusCode != http.StatusContinue {
		t.Fatalf("the head was not read: %v, %v", res, err)
	}
	if err := hub.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return refuses(hub.url) })
	slowly := time.NewTicker(10 * time.Millisecond)
	defer slowly.Stop()
	for i := range len(body) {
		<-slowly.C
		send(t, conn, body[i:i+1])
	}
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got receipt
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("answered %d, %v", res.StatusCode, err)
	}
	_ = hub.Wait()
	if code := hub.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	checkStored(t, db, [][]int64{{got.ID}})
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// refuses says whether nobody listens there any more.
func refuses(url string) bool {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err == nil {
		_ = conn.Close()
	}
	return err != nil
}

func TestSilentConnectionHoldsNothingUp(t *testing.T) {
	hub := spawn(t, dbIn(t))
	conn, err := net.Dial("tcp", strings.TrimPrefix(hub.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	call(t, client(t), hub.url+"/health", nil, nil) // so that the connection before has been accepted
	if took := hub.exited(t, syscall.SIGTERM); took > 2*time.Second {
		t.Errorf("the hub waited %s for a connection on which nothing was said", took)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	hub := spawn(t, dbIn(t))
	// A body that never comes to its end holds the drain up.
	conn, err := net.Dial("tcp", strings.TrimPrefix(hub.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	send(t, conn, "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	call(t, client(t), hub.url+"/health", nil, nil)
	if err := hub.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return strings.Contains(hub.stderr.String(), "stopping") })
	begun := time.Now()
	gone := make(chan struct{})
	go func() { defer close(gone); _ = hub.Wait() }()
	eventually(t, func() bool { // the first of these may come before signals are let through again
		_ = hub.Process.Signal(syscall.SIGTERM)
		select {
		case <-gone:
			return true
		default:
			return false
		}
	})
	took := time.Since(begun)
	status, ok := hub.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM || took > 2*time.Second {
		t.Errorf("ended by %v after %s", hub.ProcessState, took)
	}
}

// eventually waits for what another process does.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen in 10 s")
		}
	}
}
