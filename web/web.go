package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"crosstalk/auth"
	"crosstalk/models"
)

//go:embed dist
var dist embed.FS

// policy lets the page load from the hub alone, and no text become markup but through the sanitiser.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify"

// assets is where files stand whose names change with their contents.
const assets = "/assets/"

// file is one of dist.
type file struct {
	kind, tag string
	body      []byte
	zipped    func() []byte // nil where it is not smaller
}

// Serves says which paths belong to the dashboard.
func Serves(path string) bool { return path == "/" || strings.HasPrefix(path, assets) }

// Handler serves the dashboard to whoever the gate lets come near: without a key, to those who ask for this machine by
// its own name.
func Handler(gate *auth.Gate) http.Handler {
	files, err := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		if refusal := gate.Admit(auth.FromHTTP(r)); refusal != nil {
			http.Error(w, models.Text(refusal), http.StatusForbidden)
			return
		}
		f, found := files[r.URL.Path]
		switch {
		case err != nil:
			http.Error(w, "the dashboard is not readable in this build", http.StatusInternalServerError)
		case !found:
			http.Error(w, "there is no such file: this page is of another version of the hub, so load it again", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, r.Method+" is not possible here, only GET", http.StatusMethodNotAllowed)
		default:
			f.serve(w, r)
		}
	})
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if strings.HasPrefix(r.URL.Path, assets) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Vary", "Accept-Encoding")
	body, tag := f.body, f.tag
	if zipped := f.zipped(); zipped != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body, tag = zipped, f.tag+"-gz"
	}
	h.Set("ETag", `"`+tag+`"`)
	if strings.Contains(r.Header.Get("If-None-Match"), `"`+tag+`"`) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // who does not read it has gone
	}
}

// acceptsGzip is strict where it is in doubt: the plain file suits everyone.
func acceptsGzip(r *http.Request) bool {
	for field := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(field, ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.Trim(weight, " q=0.") != "" || strings.TrimSpace(weight) == ""
		}
	}
	return false
}

// load reads what is embedded, by the path under which it is asked for.
func load() (map[string]*file, error) {
	files := map[string]*file{}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := dist.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		at := strings.TrimPrefix(name, "dist")
		if at == "/index.html" {
			at = "/"
		}
		sum := sha256.Sum256(body)
		files[at] = &file{
			kind: kindOf(name), tag: base64.RawURLEncoding.EncodeToString(sum[:12]), body: body,
			zipped: sync.OnceValue(func() []byte { return zip(body) }),
		}
		return nil
	})
	return files, err
}

// kindOf does not ask the machine, whose table may lack what browsers insist on.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

func zip(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil
	}
	_, err = w.Write(body)
	if cerr := w.Close(); err != nil || cerr != nil || b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}
