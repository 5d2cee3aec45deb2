package pgtest

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

//go:embed cluster.sh
var script string

// Cluster is a PostgreSQL server with its data.
type Cluster struct {
	// Set by start, then constant.
	port int
	cmd  *exec.Cmd

	// Guarded by mu.
	mu  sync.Mutex
	in  io.WriteCloser // the script ends when this is closed, by us or with us
	out *bufio.Reader
}

// start makes a cluster and starts it, on another port when somebody was faster on the first.
func start(settings string) (c *Cluster, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	for range 5 {
		if c, err = prepare(bin, settings); err != nil {
			return nil, err
		}
		if err = c.do("start"); err == nil {
			return c, nil
		}
		c.end()
	}
	return nil, err
}

// binaries is the folder of initdb and pg_ctl.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path)
		return filepath.Dir(path), err
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(err, errors.New("the tests need PostgreSQL: initdb is neither in PATH nor below /usr/lib/postgresql. Run scripts/tools, or install the package postgresql"))
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func prepare(bin, settings string) (*Cluster, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := []string{"/bin/sh", "-c", script, "cluster.sh", bin, strconv.Itoa(port), settings}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		args = append([]string{"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"}, args...)
	}
	c := &Cluster{port: port, cmd: exec.Command(args[0], args[1:]...)}
	c.cmd.Dir = "/"
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.cmd.Stderr = c.cmd.Stdout
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return c, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(l.Close(), fmt.Errorf("%v is no address with a port", l.Addr()))
	}
	return addr.Port, l.Close()
}

// Stop ends the cluster in order, Kill as a loss of power would. Start starts it again, where it was.
func (c *Cluster) Stop(t testing.TB)  { c.must(t, "stop") }
func (c *Cluster) Kill(t testing.TB)  { c.must(t, "kill") }
func (c *Cluster) Start(t testing.TB) { c.must(t, "start") }

func (c *Cluster) must(t testing.TB, what string) {
	t.Helper()
	if err := c.do(what); err != nil {
		t.Fatal(err)
	}
}

// do has the script do something and waits for its answer.
func (c *Cluster) do(what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := fmt.Fprintln(c.in, what)
	var said strings.Builder
	for err == nil {
		var line string
		line, err = c.out.ReadString('\n')
		switch line {
		case "ok\n":
			if said.Len() == 0 {
				return nil
			}
			err = errors.New("it failed")
		case "failed\n":
			err = errors.New("it failed")
		default:
			said.WriteString(line)
		}
	}
	return fmt.Errorf("%s PostgreSQL: %w\n%s", what, err, said.String())
}

// end ends the cluster and waits until its folder is gone.
func (c *Cluster) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.in.Close()
	_, _ = io.Copy(io.Discard, c.out)
	_ = c.cmd.Wait()
}
