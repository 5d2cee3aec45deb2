package faults

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"crosstalk/internal/pgtest"
)

// fleet is several nodes on one PostgreSQL database, each with readers and, in the end, the same to tell.
type fleet struct {
	servers []*server
	readers []*reader
	load    *load
	url     string
}

// startNodes starts one node for each of the URLs, which lead to the same database.
func startNodes(t *testing.T, seed uint64, url string, by ...string) *fleet {
	t.Helper()
	n := &fleet{url: url}
	for _, way := range by {
		s := newNode(t, way)
		s.start(t)
		n.servers = append(n.servers, s)
		n.readers = append(n.readers, follow(t, s, every), follow(t, s, channels[0]))
	}
	n.load = newLoad(t, seed, 8, n.servers...)
	return n
}

// works waits until all nodes are ready and the publishers have come further.
func (n *fleet) works(t *testing.T, within time.Duration) {
	t.Helper()
	for _, s := range n.servers {
		eventually(t, within, fmt.Sprintf("%v is ready", s), func() bool { return ready(s) })
	}
	more := n.load.count() + 100
	eventually(t, within, "publishers go on", func() bool { return n.load.count() >= more || n.load.failed() != nil })
}

// ready is what /readyz says.
func ready(s *server) bool {
	status, _ := readyz(s)
	return status == http.StatusOK
}

func readyz(s *server) (status int, text string) {
	addr := s.at()
	if addr == "" {
		return 0, ""
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	res, err := c.Get("http://" + addr + "/readyz")
	if err != nil {
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(b)
}

// tellTheSame ends the load and compares what was acknowledged, what is stored and what every reader saw.
func (n *fleet) tellTheSame(t *testing.T) {
	t.Helper()
	afterwards(t, n.load, n.readers, n.servers[0], func() []row { return inPostgres(t, n.url) })
}

// TestKillOneOfTwoNodes kills one node or the other while eight publishers send to both.
func TestKillOneOfTwoNodes(t *testing.T) {
	t.Parallel()
	random, seed := chance(t)
	url := pgtest.New(t).Database(t)
	n := startNodes(t, seed, url, url, url)
	n.load.start()
	for range 6 {
		<-time.After(time.Duration(random.IntN(500)) * time.Millisecond)
		victim := n.servers[random.IntN(2)]
		victim.kill()
		<-time.After(time.Duration(random.IntN(200)) * time.Millisecond)
		victim.launch(t)
	}
	n.works(t, 30*time.Second)
	n.tellTheSame(t)
}

// TestTheDatabaseRestarts stops the database as a loss of power would, under load. The nodes go on running: they say
// that they are not ready, refuse what they cannot store, and go on by themselves.
func TestTheDatabaseRestarts(t *testing.T) {
	t.Parallel()
	_, seed := chance(t)
	cluster := pgtest.New(t)
	url := cluster.Database(t)
	n := startNodes(t, seed, url, url, url)
	n.load.start()
	n.works(t, 30*time.Second)
	cluster.Kill(t)
	for _, s := range n.servers {
		eventually(t, 30*time.Second, "the nodes are not ready", func() bool { return !ready(s) })
	}
	if status, text := readyz(n.servers[0]); status != http.StatusServiceUnavailable || strings.Contains(text, "user=") || strings.Contains(text, cluster.Addr()) {
		t.Errorf("whoever asks is told %d %s", status, text)
	}
	eventually(t, 30*time.Second, "publishers are refused", func() bool { return n.load.refused.Load() > 0 })
	for range 20 {
		var answer any
		if status := ask(t, n.servers[0], "/api/channels", &answer); status != http.StatusServiceUnavailable {
			t.Errorf("reading is answered %d %v", status, answer)
		}
	}
	cluster.Start(t)
	n.works(t, 30*time.Second)
	n.tellTheSame(t)
	for _, s := range n.servers {
		s.lacksTrace(t)
		// What lasts is said when it begins and when it ends, however often somebody asks meanwhile.
		if told := s.logged(t, "database cannot be read"); told == 0 || told > 10 {
			t.Errorf("%v said %d times that its database cannot be read", s, told)
		}
	}
}

// TestTheNetworkIsCut parts one of two nodes from the database, first so that it is told, then so that it is not. Its
// publishers are refused and try again until it is back; those of the other node go on. Its readers miss nothing.
func TestTheNetworkIsCut(t *testing.T) {
	t.Parallel()
	_, seed := chance(t)
	cluster := pgtest.New(t)
	url := cluster.Database(t)
	w := newWire(t, cluster.Addr())
	n := startNodes(t, seed, url, url, w.through(t, url))
	n.load.loyal = true
	n.load.start()
	for _, how := range []wireState{torn, silent} {
		n.works(t, 30*time.Second)
		before := n.load.refused.Load() + n.load.cutOff.Load()
		w.set(how)
		eventually(t, 30*time.Second, "the node is not ready", func() bool { return !ready(n.servers[1]) })
		if !ready(n.servers[0]) {
			t.Error("the other node is not ready either")
		}
		more := n.load.count() + 100
		eventually(t, 30*time.Second, "publishers go on with the other node", func() bool { return n.load.count() >= more })
		eventually(t, 40*time.Second, "those of this node are refused, or give up", func() bool {
			return n.load.refused.Load()+n.load.cutOff.Load() > before
		})
		w.set(joined)
	}
	n.works(t, 30*time.Second)
	n.tellTheSame(t)
}
