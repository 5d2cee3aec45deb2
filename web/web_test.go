package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"crosstalk/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func handler(t *testing.T, c auth.Config) http.Handler {
	t.Helper()
	gate, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return Handler(gate)
}

func get(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:8787"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// asset returns the path of the one file in dist whose name ends so.
func asset(t *testing.T, prefix, suffix string) string {
	t.Helper()
	found, err := fs.Glob(dist, "dist/assets/"+prefix+"*"+suffix)
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	return strings.TrimPrefix(found[0], "dist")
}

func TestNeedsNoKey(t *testing.T) {
	for _, c := range []auth.Config{{}, {Key: "s3cret"}} {
		w := get(handler(t, c), "GET", "/")
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<title>Crosstalk</title>") {
			t.Errorf("answered %d %.200s", w.Code, w.Body)
		}
	}
}

func TestStandsBehindTheGate(t *testing.T) {
	for _, header := range [][]string{{"X-Forwarded-For", "10.0.0.1"}, {"Origin", "https://evil.example"}} {
		if w := get(handler(t, auth.Config{}), "GET", "/", header...); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "<html") {
			t.Errorf("%q: answered %d %.100s", header, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest("GET", "http://evil.example/", nil)
	w := httptest.NewRecorder()
	if handler(t, auth.Config{}).ServeHTTP(w, r); w.Code != http.StatusForbidden {
		t.Errorf("to another name for this machine it answered %d", w.Code)
	}
}

func TestEveryAnswerHasThePolicy(t *testing.T) {
	h := handler(t, auth.Config{})
	for _, path := range []string{"/", asset(t, "index-", ".js"), "/assets/none.js", "/assets/", "/assets/../index.html"} {
		w := get(h, "GET", path)
		if got := w.Header().Get("Content-Security-Policy"); got != policy || !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
			t.Errorf("%s has the policy %q", path, got)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be taken for something else", path)
		}
		if w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", path)
		}
	}
	if page := get(h, "GET", "/").Body.String(); strings.Contains(page, "<script>") || strings.Contains(page, "style=") || strings.Contains(page, "http:") || strings.Contains(page, "https:") {
		t.Errorf("the page needs what the policy forbids: %s", page)
	}
}

func TestComesBackForChangesOnly(t *testing.T) {
	h := handler(t, auth.Config{})
	for path, want := range map[string]struct{ kind, cache string }{
		"/":                           {"text/html; charset=utf-8", "no-cache"},
		asset(t, "index-", ".js"):     {"text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		asset(t, "highlight-", ".js"): {"text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		asset(t, "index-", ".css"):    {"text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		asset(t, "icon-", ".svg"):     {"image/svg+xml", "public, max-age=31536000, immutable"},
	} {
		plain := get(h, "GET", path)
		if got := plain.Header(); plain.Code != 200 || got.Get("Content-Type") != want.kind || got.Get("Cache-Control") != want.cache || got.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %d %v", path, plain.Code, got)
		}
		zipped := get(h, "GET", path, "Accept-Encoding", "br, gzip")
		if zipped.Header().Get("Content-Encoding") != "gzip" || zipped.Body.Len() >= plain.Body.Len() {
			t.Fatalf("%s: %v, %d bytes of %d", path, zipped.Header(), zipped.Body.Len(), plain.Body.Len())
		}
		r, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := io.ReadAll(r); err != nil || !bytes.Equal(whole, plain.Body.Bytes()) {
			t.Errorf("%s comes out otherwise: %v", path, err)
		}
		if get(h, "GET", path, "Accept-Encoding", "gzip;q=0").Header().Get("Content-Encoding") != "" {
			t.Errorf("%s came zipped to one who wants none of that", path)
		}
		for _, had := range []*httptest.ResponseRecorder{plain, zipped} {
			again := get(h, "GET", path, "Accept-Encoding", had.Header().Get("Content-Encoding"), "If-None-Match", "W/\"x\", "+had.Header().Get("ETag"))
			if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
				t.Errorf("%s: answered %d, %d bytes, to one who has it", path, again.Code, again.Body.Len())
			}
		}
		if head := get(h, "HEAD", path); head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != plain.Header().Get("Content-Length") {
			t.Errorf("HEAD %s: %d %v", path, head.Code, head.Header())
		}
		if post := get(h, "POST", path); post.Code != http.StatusMethodNotAllowed || post.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d", path, post.Code)
		}
	}
	if w := get(h, "GET", "/assets/index-00000000.js"); w.Code != http.StatusNotFound || w.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("a file of another version: %d %v", w.Code, w.Header())
	}
}

func TestServesItsOwnPathsOnly(t *testing.T) {
	for path, want := range map[string]bool{"/": true, "/assets/x.js": true, "/index.html": false, "/api/channels": false, "/assets": false, "": false} {
		if Serves(path) != want {
			t.Errorf("Serves(%q) is not %v", path, want)
		}
	}
}

// TestIsSmall measures all that a browser can load.
func TestIsSmall(t *testing.T) {
	const most = 120_000
	files, err := load()
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	sum := 0
	for path, f := range files {
		n := len(f.body)
		if zipped := f.zipped(); zipped != nil {
			n = len(zipped)
		}
		t.Logf("%7d %s", n, path)
		sum += n
	}
	if t.Logf("%7d in all", sum); sum > most {
		t.Errorf("the dashboard has %d bytes, at most %d", sum, most)
	}
}
