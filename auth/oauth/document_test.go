package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestOnlyPublicAddressesAreFetched(t *testing.T) {
	for address, ok := range map[string]bool{
		"8.8.8.8:443":                    true,
		"[2606:4700::1111]:443":          true,
		"[2a00:1450:4001:81b::200e]:443": true,
		"8.8.8.8:80":                     false,
		"8.8.8.8:8443":                   false,
		"127.0.0.1:443":                  false,
		"127.1.2.3:443":                  false,
		"0.0.0.0:443":                    false,
		"0.1.2.3:443":                    false,
		"10.0.0.1:443":                   false,
		"100.64.0.1:443":                 false,
		"169.254.169.254:443":            false,
		"172.16.0.1:443":                 false,
		"192.0.0.8:443":                  false,
		"192.0.2.1:443":                  false,
		"192.88.99.1:443":                false,
		"192.168.1.1:443":                false,
		"198.18.0.1:443":                 false,
		"198.51.100.1:443":               false,
		"203.0.113.1:443":                false,
		"224.0.0.1:443":                  false,
		"240.0.0.1:443":                  false,
		"255.255.255.255:443":            false,
		"[::]:443":                       false,
		"[::1]:443":                      false,
		"[::ffff:127.0.0.1]:443":         false,
		"[::ffff:10.0.0.1]:443":          false,
		"[::127.0.0.1]:443":              false,
		"[64:ff9b::7f00:1]:443":          false, // NAT64 of 127.0.0.1
		"[64:ff9b:1::1]:443":             false,
		"[100::1]:443":                   false,
		"[2001::1]:443":                  false, // Teredo
		"[2001:db8::1]:443":              false,
		"[2002:7f00:1::]:443":            false, // 6to4 of 127.0.0.1
		"[3fff::1]:443":                  false,
		"[5f00::1]:443":                  false,
		"[fc00::1]:443":                  false,
		"[fd12:3456::1]:443":             false,
		"[fe80::1]:443":                  false,
		"[fe80::1%lo]:443":               false,
		"[fec0::1]:443":                  false,
		"[ff02::1]:443":                  false,
		"localhost:443":                  false,
		"":                               false,
	} {
		if err := public("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	if !isPublic(netip.MustParseAddr("::ffff:8.8.8.8")) {
		t.Error("an address of IPv4 in IPv6's clothes is refused")
	}
}

func TestTheClientOfDocumentsStaysOutside(t *testing.T) {
	var asked atomic.Bool
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer s.Close()
	d := newDocuments()
	t.Setenv("HTTPS_PROXY", s.URL)
	for _, url := range []string{s.URL + "/x", strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/x"} {
		res, err := d.http.Get(url)
		if err == nil {
			_ = res.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "no public address") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if asked.Load() {
		t.Error("this machine was asked")
	}
}

// web makes all addresses lead to a handler, in place of the internet.
func web(t *testing.T, d *documents, h http.HandlerFunc) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	tr := d.http.Transport.(*http.Transport)
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
	}
	known := x509.NewCertPool()
	known.AddCert(s.Certificate())
	tr.TLSClientConfig = &tls.Config{RootCAs: known, ServerName: "example.com"} // whose certificate httptest has
	t.Cleanup(s.Close)
}

func TestAClientMayBeDescribedByADocument(t *testing.T) {
	const id = "https://claude.ai/oauth/mcp-oauth-client-metadata"
	d := newDesk(t, base)
	var fetched atomic.Int32
	web(t, d.documents, func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		if r.Host != "claude.ai" || r.Header.Get("Cookie") != "" {
			t.Errorf("asked %s with %v", r.Host, r.Header)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = fmt.Fprintf(w, `{"client_id": %q, "client_name": "Claude", "redirect_uris": [%q], "token_endpoint_auth_method": "none",
			"grant_types": ["authorization_code", "refresh_token"], "logo_uri": "https://claude.ai/x.png", "unknown": [1]}`, id, claude)
	})
	res := d.do("GET", "/oauth/authorize?"+asks(id, claude).Encode(), nil)
	page := text(res)
	if !strings.Contains(page, "described by <b>claude.ai</b>") || strings.Contains(page, "logo") {
		t.Fatalf("%d %s", res.StatusCode, page)
	}
	told := d.decide(formIn(page), d.alice)
	tokens := d.json(200, "POST", "/oauth/token", code(id, told))
	tokens = d.json(200, "POST", "/oauth/token", refresh(id, tokens))
	if d.who(tokens).Name != "grant:key:alice/claude" {
		t.Errorf("it speaks as %+v", d.who(tokens))
	}
	if n := fetched.Load(); n != 1 {
		t.Errorf("the document was fetched %d times", n)
	}
	res = d.do("GET", "/oauth/authorize?"+asks(id, "https://evil.example/cb").Encode(), nil)
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("an address that is not in the document: %d", res.StatusCode)
	}
}

func TestADocumentThatIsNoneIsRefused(t *testing.T) {
	const id = "https://a.example/client.json"
	good := fmt.Sprintf(`{"client_id": %q, "redirect_uris": [%q]}`, id, claude)
	for name, h := range map[string]http.HandlerFunc{
		"not there": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"elsewhere": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", id+"x"); w.WriteHeader(302) },
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(good))
		},
		"no JSON":        answering(`<html>`),
		"empty":          answering(``),
		"null":           answering(`null`),
		"a list":         answering(`[` + good + `]`),
		"another's":      answering(strings.Replace(good, "a.example", "b.example", 1)),
		"without id":     answering(`{"redirect_uris": ["` + claude + `"]}`),
		"no addresses":   answering(fmt.Sprintf(`{"client_id": %q, "redirect_uris": []}`, id)),
		"a bad address":  answering(fmt.Sprintf(`{"client_id": %q, "redirect_uris": ["javascript:alert(1)"]}`, id)),
		"a secret":       answering(fmt.Sprintf(`{"client_id": %q, "redirect_uris": [%q], "token_endpoint_auth_method": "client_secret_post"}`, id, claude)),
		"huge":           answering(`{"x": "` + strings.Repeat("x", maxDocument) + `"}`),
		"without an end": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, base)
			d.documents.http.Timeout = time.Second
			var asked atomic.Int32
			web(t, d.documents, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				h(w, r)
			})
			for range 2 {
				res := d.do("GET", "/oauth/authorize?"+asks(id, claude).Encode(), nil)
				if res.StatusCode != http.StatusBadRequest || strings.Contains(text(res), "href") {
					t.Errorf("%d", res.StatusCode)
				}
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func answering(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(text))
	}
}

func TestAnAddressThatCanBeNoDocumentIsNotFetched(t *testing.T) {
	d := newDesk(t, base)
	web(t, d.documents, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was fetched", r.URL) })
	for _, id := range []string{
		"https://a.example", "https://a.example/", "https://a.example//", "https://a.example:8443/x", "https://u@a.example/x", "https://a.example/x#y",
		"https://a.example/../x", "https://a.example/./x", "https:///x", "https://a.example/%zz", "https://a b/x", "http://a.example/x", "ftp://a.example/x",
		"https://" + strings.Repeat("a", maxURI) + "/x",
	} {
		res := d.do("GET", "/oauth/authorize?"+asks(id, claude).Encode(), nil)
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%.60s: %d", id, res.StatusCode)
		}
	}
}

func TestNobodyMakesTheHubFetchMuch(t *testing.T) {
	d := newDesk(t, base)
	var fetched atomic.Int32
	web(t, d.documents, func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		answering(fmt.Sprintf(`{"client_id": "https://%s%s", "redirect_uris": [%q]}`, r.Host, r.URL.Path, claude))(w, r)
	})
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, err := d.documents.client(context.Background(), "https://a.example/one"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := fetched.Load(); n != 1 {
		t.Errorf("ten who come at once made %d fetches", n)
	}
	refused := 0
	for i := range 100 {
		if _, err := d.documents.client(context.Background(), fmt.Sprintf("https://a.example/%d", i)); err != nil {
			refused++
		}
	}
	if n := fetched.Load(); refused < 60 || int(n)+refused != 101 {
		t.Errorf("of 100 addresses %d were fetched, %d refused", n, refused)
	}
}
