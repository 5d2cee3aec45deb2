package memory

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"crosstalk/models"
)

const (
	lostFor = 60 * time.Second // a send is known that long after its answer was lost
	maxLost = 1000
)

// Lost remembers sends whose answer could not be delivered: a client that sends the same again within a
// minute means that message, not a second one.
type Lost struct {
	mu    sync.Mutex
	sends map[Send]lostSend
}

// Send is what makes two sends the same.
type Send [sha256.Size]byte

type lostSend struct {
	receipt models.Receipt
	at      time.Time
}

// NewLost remembers nothing yet.
func NewLost() *Lost { return &Lost{sends: map[Send]lostSend{}} }

// SendOf is the same for drafts by which a caller means the same message.
func SendOf(who models.Principal, d models.Draft) Send {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d %q %s", who.Name, d.Sender, d.Channel, d.Type, d.InReplyTo, d.IdempotencyKey, d.Content))
}

// Find returns what the lost answer to a send would have said.
func (l *Lost) Find(s Send) (models.Receipt, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.sends[s]
	return found.receipt, ok && time.Since(found.at) <= lostFor
}

// Note remembers what became of the answer to a send.
func (l *Lost) Note(s Send, r models.Receipt, written bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if written {
		delete(l.sends, s)
		return
	}
	if len(l.sends) >= maxLost {
		l.sweep()
	}
	l.sends[s] = lostSend{r, time.Now()}
}

// sweep makes room: the outlived go, or else the oldest.
func (l *Lost) sweep() {
	var oldest Send
	at := time.Now()
	for s, found := range l.sends {
		if time.Since(found.at) > lostFor {
			delete(l.sends, s)
		} else if !found.at.After(at) {
			oldest, at = s, found.at
		}
	}
	if len(l.sends) >= maxLost {
		delete(l.sends, oldest)
	}
}
