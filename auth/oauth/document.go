package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"crosstalk/models/store/grants"
)

// Bounds of fetching what somebody who need not be known asks for.
const (
	documentTime   = 5 * time.Second
	maxDocument    = 64 << 10
	documentLife   = 5 * time.Minute // good or bad, it is not asked for again
	maxDocuments   = 200             // that are remembered
	documentsEvery = time.Second     // once a burst of 20 is used up
)

// isDocument tells whether a client's id is the address of a document that describes it.
func isDocument(id string) bool { return strings.HasPrefix(id, "https://") }

// documents fetches the documents of clients (OAuth Client ID Metadata Documents), and remembers them for a while.
type documents struct {
	// Set by newDocuments, then constant.
	http  *http.Client
	often *rate.Limiter

	// Guarded by mu.
	mu    sync.Mutex
	known map[string]*document
}

type document struct {
	ready  chan struct{} // closed once the rest is set
	client client
	err    error
	until  time.Time
}

func newDocuments() *documents {
	dialer := &net.Dialer{Timeout: documentTime, Control: public}
	return &documents{often: rate.NewLimiter(rate.Every(documentsEvery), 20), known: map[string]*document{}, http: &http.Client{
		Timeout:       documentTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // no proxy: it would look up the name for us
			DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: documentTime, MaxResponseHeaderBytes: maxDocument,
		},
	}}
}

// public lets a connection be made only to an address of the open internet, and to HTTPS's port. It is asked with the address
// that is about to be used, so that no name can mean one thing when looked at and another when dialled.
func public(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || ap.Port() != 443 || !isPublic(ap.Addr()) {
		return fmt.Errorf("%s is no public address for HTTPS", address)
	}
	return nil
}

// isPublic leaves out what is special by any registry, also where a public address wraps another.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return false
	}
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
		"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/3", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "4000::/2", "8000::/1",
	} {
		if netip.MustParsePrefix(p).Contains(ip) {
			return false
		}
	}
	return true
}

// client returns the client that a document describes.
func (d *documents) client(ctx context.Context, id string) (client, error) {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxURI || u.User != nil || strings.Contains(id, "#") || strings.Trim(u.Path, "/") == "" || u.Port() != "" ||
		u.Hostname() == "" || hostname(u, errors.New("")) != nil || strings.Contains("/"+u.EscapedPath()+"/", "/./") || strings.Contains(u.EscapedPath()+"/", "/../") {
		return client{}, invalidClient("a client_id that is an address must be https://HOST/PATH, without user, port or fragment")
	}
	now := time.Now()
	d.mu.Lock()
	doc := d.known[id]
	fetch := doc == nil || doc.done() && now.After(doc.until)
	if fetch {
		if !d.often.AllowN(now, 1) {
			d.mu.Unlock()
			return client{}, &problem{"temporarily_unavailable", "too many clients are new at once: try again in a minute", http.StatusTooManyRequests}
		}
		if len(d.known) >= maxDocuments {
			clear(d.known)
		}
		doc = &document{ready: make(chan struct{})}
		d.known[id] = doc
	}
	d.mu.Unlock()
	if fetch { // in the goroutine of who came first, but to its end also if that one leaves
		doc.client, doc.err = d.fetch(context.WithoutCancel(ctx), id, u.Hostname())
		doc.until = time.Now().Add(documentLife)
		close(doc.ready)
	}
	select {
	case <-doc.ready:
		return doc.client, doc.err
	case <-ctx.Done():
		return client{}, ctx.Err()
	}
}

func (d *document) done() bool {
	select {
	case <-d.ready:
		return true
	default:
		return false
	}
}

// fetch gets a document once. What went wrong is told in general words: the caller may want to know our network.
func (d *documents) fetch(ctx context.Context, id, host string) (client, error) {
	failed := invalidClient("the client's description at its client_id cannot be fetched, or is none")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return client{}, failed
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "crosstalk")
	res, err := d.http.Do(req)
	if err != nil {
		return client{}, failed
	}
	defer func() { _ = res.Body.Close() }()
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err != nil || res.StatusCode != http.StatusOK || len(body) > maxDocument || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return client{}, failed
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil || m.ID != id {
		return client{}, invalidClient("the client's description must name its own address as client_id")
	}
	if strings.HasPrefix(m.AuthMethod, "client_secret_") {
		return client{}, invalidClient("a client that is described by a document cannot have a secret")
	}
	c, err := m.parse()
	if err != nil {
		return client{}, err
	}
	c.ID = id
	return client{Client: grants.Client(c), host: host}, nil
}
