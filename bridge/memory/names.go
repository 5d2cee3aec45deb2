package memory

import (
	"slices"
	"sync"
	"time"

	"crosstalk/models"
)

// maxNames bounds how many names are remembered. Those beyond are not defended against others.
const maxNames = 100_000

// Names remembers which names were registered over which connection, and which connections live.
type Names struct {
	mu     sync.Mutex
	live   map[string]int      // connection -> its streams and calls
	owners map[string]owner    // folded name -> who registered it last
	byConn map[string][]string // connection -> the names it owns
}

// owner is a connection that registered a name.
type owner struct {
	conn  string
	name  string // as it was written
	since time.Time
}

// NewNames remembers nothing yet.
func NewNames() *Names {
	return &Names{live: map[string]int{}, owners: map[string]owner{}, byConn: map[string][]string{}}
}

// Connected notes that a connection has a stream open or a call in flight, until gone is called.
func (n *Names) Connected(conn string) (gone func()) {
	if conn == "" {
		return func() {}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.live[conn]++
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.live[conn]--; n.live[conn] <= 0 {
			delete(n.live, conn)
		}
	})
}

// Take notes that a connection registers a name. If another live connection has it, it stays with that
// one: taken then, and since when. A caller without a connection is another one, and nothing is noted.
func (n *Names) Take(conn, name string) (since time.Time, taken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := models.FoldInstance(name)
	o, known := n.owners[key]
	if known && o.conn != conn && n.live[o.conn] > 0 {
		return o.since, true
	}
	if conn == "" || known && o.conn == conn && o.name == name || !known && len(n.owners) >= maxNames {
		return time.Time{}, false
	}
	if known {
		n.drop(o)
	}
	n.owners[key] = owner{conn, name, time.Now()}
	n.byConn[conn] = append(n.byConn[conn], name)
	return time.Time{}, false
}

// Drop takes a name back from a connection.
func (n *Names) Drop(conn, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := models.FoldInstance(name)
	if o, known := n.owners[key]; known && o.conn == conn {
		n.drop(o)
		delete(n.owners, key)
	}
}

// drop takes a name from the list of its connection; mu is held.
func (n *Names) drop(o owner) {
	n.byConn[o.conn] = slices.DeleteFunc(n.byConn[o.conn], func(s string) bool { return s == o.name })
	if len(n.byConn[o.conn]) == 0 {
		delete(n.byConn, o.conn)
	}
}

// Forget returns the names of a connection, which are nobody's from now on.
func (n *Names) Forget(conn string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.byConn[conn]
	delete(n.byConn, conn)
	for _, name := range list {
		delete(n.owners, models.FoldInstance(name))
	}
	return list
}

// Last is the name that a connection registered last; empty if none.
func (n *Names) Last(conn string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if list := n.byConn[conn]; len(list) > 0 {
		return list[len(list)-1]
	}
	return ""
}

// Own says whether a name was registered over any connection.
func (n *Names) Own(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	o, known := n.owners[models.FoldInstance(name)]
	return known && o.name == name
}
