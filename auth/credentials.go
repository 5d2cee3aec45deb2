package auth

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"crosstalk/models"
	"crosstalk/models/store/access"
)

// Source finds credentials of one sort, such as named keys, by what is kept of their secrets.
type Source struct {
	Prefix string   // begins its secrets: nothing else is looked for
	Paths  []string // at which they open something; none: everywhere

	// Find returns who shows the secret with that access.Hash, and until when that holds; 0: for good. Its error is
	// Unauthenticated if nobody does, and says why. It is asked again whenever something changed.
	Find func(ctx context.Context, hash string) (who models.Principal, until models.Time, err error)

	// Lingers says that Find knows a credential for a while after its end: nobody comes in with it, and what was begun before,
	// such as a long wait, goes on until Find knows it no more.
	Lingers bool

	// Used notes when credentials were last shown, by hash; nil where nobody wants to know.
	Used func(ctx context.Context, used map[string]models.Time) error
}

const (
	lookEvery = time.Second // for what changed: what is revoked anywhere opens nothing 5 s later
	useEvery  = 30 * time.Second
	maxLeases = 10_000 // credentials in memory
)

// leases are the credentials that were shown lately, so that a request asks the database nothing, and those on which
// something lasts.
type leases struct {
	sources []Source
	log     *slog.Logger
	most    int // credentials in memory

	// Guarded by mu.
	mu       sync.Mutex
	known    map[string]*lease // by hash; "" is that of those without any
	reviewed int               // how often all were asked about
}

// lease is one credential that opens something now.
type lease struct {
	// Set by find, then constant.
	source *Source
	who    models.Principal
	until  models.Time // 0: for good

	// Guarded by leases.mu.
	used      models.Time // not written yet; 0: it is
	followers map[*follower]struct{}
}

// follower is something that lasts, and ends with its credential.
type follower struct{ end func() }

func newLeases(sources []Source, log *slog.Logger) *leases {
	return &leases{sources: sources, log: log, most: maxLeases, known: map[string]*lease{}}
}

// unlock returns whose key a secret is, if it is good at path.
func (g *Gate) unlock(secret, path string) (models.Principal, error) {
	if secret == "" {
		return models.Principal{}, models.Errorf(models.Unauthenticated, "%s", needsKey)
	}
	hash := access.Hash(secret)
	if g.isShared(hash) {
		return models.Principal{Name: models.SharedPrincipal}, nil
	}
	return g.leases.find(secret, hash, path)
}

// isShared tells whether an access.Hash is that of the shared key.
func (g *Gate) isShared(hash string) bool {
	return g.shared && subtle.ConstantTimeCompare([]byte(hash), []byte(g.keyText)) == 1
}

// find returns who shows a secret, which has that access.Hash, at a path.
func (l *leases) find(secret, hash, path string) (models.Principal, error) {
	for i := range l.sources {
		if s := &l.sources[i]; s.Prefix != "" && strings.HasPrefix(secret, s.Prefix) {
			if len(s.Paths) > 0 && !slices.Contains(s.Paths, path) {
				return models.Principal{}, models.Errorf(models.Unauthenticated, "this token is good at %s alone", s.Paths[0])
			}
			return l.lookUp(s, hash)
		}
	}
	return models.Principal{}, models.Errorf(models.Unauthenticated, "%s", needsKey)
}

// lookUp asks the source unless the answer is known. An answer from before a review that it did not take part in may be
// out of date, and is asked for again.
func (l *leases) lookUp(s *Source, hash string) (models.Principal, error) {
	for {
		now := models.TimeOf(time.Now())
		l.mu.Lock()
		known, reviewed := l.known[hash], l.reviewed
		if known != nil && known.holds(now) {
			known.used = now
			l.mu.Unlock()
			return known.who, nil
		}
		l.mu.Unlock()
		who, until, err := s.Find(context.Background(), hash)
		if err == nil && until > 0 && until <= now {
			err = models.Errorf(models.Unauthenticated, "this token has expired: get another")
		}
		if err != nil {
			return models.Principal{}, err
		}
		who.Credential = hash
		if l.keep(hash, &lease{source: s, who: who, until: until, used: now}, reviewed) {
			return who, nil
		}
	}
}

// keep remembers a credential that was found, unless all were reviewed since.
func (l *leases) keep(hash string, found *lease, reviewed int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reviewed != reviewed {
		return false
	}
	if l.known[hash] == nil {
		l.makeRoom()
		found.followers = map[*follower]struct{}{}
		l.known[hash] = found
	}
	return true
}

func (l *lease) holds(at models.Time) bool { return l.until == 0 || at < l.until }

// makeRoom forgets some credential on which nothing lasts, if there are too many. Its caller holds mu.
func (l *leases) makeRoom() {
	if len(l.known) < l.most {
		return
	}
	for hash, lease := range l.known {
		if len(lease.followers) == 0 && lease.used == 0 {
			delete(l.known, hash)
			return
		}
	}
}

// follow has end called, once, when who's credential opens nothing any more, unless stop was called before. ok is
// false if that is so already.
func (l *leases) follow(who models.Principal, end func()) (stop func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lease := l.known[who.Credential]
	if lease == nil {
		return func() {}, false
	}
	f := &follower{end}
	lease.followers[f] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(lease.followers, f)
	}, true
}

// end takes a credential away from those who have it.
func (l *leases) end(hash string) {
	l.mu.Lock()
	lease := l.known[hash]
	delete(l.known, hash)
	var last []func()
	if lease != nil {
		for f := range lease.followers {
			last = append(last, f.end)
		}
		clear(lease.followers)
	}
	l.mu.Unlock()
	for _, end := range last {
		end()
	}
}

// all returns the credentials in memory.
func (l *leases) all() map[string]*lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.known)
}

// expire ends what has had its time.
func (l *leases) expire() {
	now := models.TimeOf(time.Now())
	for hash, lease := range l.all() {
		if !lease.holds(now) && !l.lingers(hash, lease) {
			l.end(hash)
		}
	}
}

// lingers tells whether something lasts on a credential that has ended, and may go on.
func (l *leases) lingers(hash string, lease *lease) bool {
	l.mu.Lock()
	lasting := len(lease.followers) > 0
	l.mu.Unlock()
	if !lasting || lease.source == nil || !lease.source.Lingers {
		return false
	}
	_, _, err := lease.source.Find(context.Background(), hash)
	return models.CodeOf(err) != models.Unauthenticated
}

// review asks of every credential whether it still opens something, to the same and for as long. What cannot be asked
// now is asked again: it returns false.
func (l *leases) review(ctx context.Context) bool {
	l.mu.Lock()
	l.reviewed++
	l.mu.Unlock()
	sure := true
	for hash, lease := range l.all() {
		if lease.source == nil {
			continue
		}
		who, until, err := lease.source.Find(ctx, hash)
		who.Credential = hash
		switch code := models.CodeOf(err); {
		case err == nil && who == lease.who && until == lease.until:
		case err == nil || code == models.Unauthenticated:
			l.end(hash) // who is let in again is let in anew
		default:
			sure = false
		}
	}
	return sure
}

// note writes when credentials were last used.
func (l *leases) note(ctx context.Context) {
	bySource := map[*Source]map[string]models.Time{}
	l.mu.Lock()
	for hash, lease := range l.known {
		if lease.used == 0 {
			continue
		}
		if s := lease.source; s != nil && s.Used != nil {
			if bySource[s] == nil {
				bySource[s] = map[string]models.Time{}
			}
			bySource[s][hash] = lease.used
		}
		lease.used = 0
	}
	l.mu.Unlock()
	for s, used := range bySource {
		if err := s.Used(ctx, used); err != nil {
			l.log.Debug("the last use of keys is not written", "error", err)
		}
	}
}
