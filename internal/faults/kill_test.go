package faults

import (
	"path/filepath"
	"testing"
	"time"
)

const kills = 20

// TestKillDuringLoad kills the server at any moment, from its start on, and starts it again on the same database.
func TestKillDuringLoad(t *testing.T) {
	random, seed := chance(t)
	db := filepath.Join(t.TempDir(), "bus.db")
	s := newServer(t, crosstalk(t), db)
	s.start(t)
	readers := []*reader{follow(t, s, every), follow(t, s, channels[0])}
	l := newLoad(t, seed, 8, s)
	l.start()
	for range kills {
		<-time.After(time.Duration(random.IntN(900)) * time.Millisecond)
		s.kill()
		<-time.After(time.Duration(random.IntN(50)) * time.Millisecond)
		s.launch(t)
	}
	afterwards(t, l, readers, s, func() []row { return inFile(t, db) })
}

// TestKillOneOfTwoServers has two on one database, of which one, the other or both are killed. Publishers that lost
// one turn to either.
func TestKillOneOfTwoServers(t *testing.T) {
	random, seed := chance(t)
	db := filepath.Join(t.TempDir(), "bus.db")
	servers := []*server{newServer(t, crosstalk(t), db), newServer(t, crosstalk(t), db)}
	var readers []*reader
	for _, s := range servers {
		s.start(t)
		readers = append(readers, follow(t, s, every), follow(t, s, channels[0]))
	}
	l := newLoad(t, seed, 8, servers...)
	l.start()
	for range kills {
		<-time.After(time.Duration(random.IntN(900)) * time.Millisecond)
		victims := [][]*server{servers[:1], servers[1:], servers}[random.IntN(3)]
		for _, s := range victims {
			s.kill()
		}
		<-time.After(time.Duration(random.IntN(200)) * time.Millisecond)
		for _, s := range victims {
			s.launch(t)
		}
	}
	eventually(t, 20*time.Second, "both servers are up", func() bool { return servers[0].at() != "" && servers[1].at() != "" })
	servers[0].lacksTrace(t)
	afterwards(t, l, readers, servers[1], func() []row { return inFile(t, db) })
}

// afterwards lets the publishers finish, and looks at everything: over REST, with the readers' eyes, and in the
// database itself.
func afterwards(t *testing.T, l *load, readers []*reader, s *server, inside func() []row) {
	t.Helper()
	eventually(t, 20*time.Second, "the server is up again", func() bool { return s.at() != "" })
	more := l.count() + 200
	eventually(t, 30*time.Second, "publishers go on", func() bool { return l.count() >= more || l.failed() != nil })
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	acks := l.acks()
	stored := overREST(t, s)
	whole(t, l, stored, acks)
	only(t, stored, acks)
	for _, r := range readers {
		r.saw(t, stored)
	}
	for _, s := range l.servers {
		s.lacksTrace(t)
		s.kill()
	}
	stored = inside()
	whole(t, l, stored, acks)
	only(t, stored, acks)
	duplicates := 0
	for _, a := range acks {
		if a.duplicate {
			duplicates++
		}
	}
	if l.cutOff.Load()+l.refused.Load() == 0 {
		t.Error("no send was cut off or refused: the faults did not meet the load")
	}
	t.Logf("%d messages; %d sends were cut off; of %d that were sent again the first had been stored", len(acks), l.cutOff.Load(), duplicates)
}
