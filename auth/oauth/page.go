package oauth

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// pages are what people see.
type pages struct {
	template *template.Template
	policy   string // of content, but for where forms may lead
}

func newPages() *pages {
	sum := sha256.Sum256([]byte(pageStyle))
	return &pages{
		template: template.Must(template.New("page").Parse(pageText)),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; frame-ancestors 'none'; form-action ",
	}
}

// view is what the page shows.
type view struct {
	Style   template.CSS
	Asking  bool // else it shows Text alone
	Text    string
	Link    template.URL // takes Text to the client; only of parseRedirect
	Hub     string
	Name    string // what the client calls itself
	Voucher string // the host that describes it
	Target  string // where the answer goes
	Local   bool   // to a program on the person's own machine
	Foreign bool   // to a place that is not known to take answers
	Encoded bool   // whose name has letters beyond ASCII
	Write   bool
	Lasting bool
	Label   string
	ReadIt  bool // the person chose to let it read only
	Fields  []field
}

type field struct{ Name, Value string }

// known are the hosts of clients that many people use.
func known() []string { return []string{"claude.ai", "claude.com", "chatgpt.com"} }

// page asks the person. v is what the client asked for, and what the person has filled in so far, but for the key.
func (s *Server) page(w http.ResponseWriter, r *http.Request, asked request, v url.Values, status int, text string) {
	host := strings.ToLower(asked.redirect.Hostname())
	web := asked.redirect.Scheme == "https"
	p := view{
		Asking: true, Text: text, Hub: s.base.Host + s.base.Path, Name: asked.client.Name, Voucher: asked.client.host, Target: asked.redirect.Host,
		Local: !web, Foreign: web && !slices.Contains(known(), host), Encoded: strings.Contains(host, "xn--"),
		Write: asked.write, Lasting: asked.lasting, Label: label(asked.client.Name), ReadIt: v.Get("access") == "read",
	}
	if !web && asked.redirect.Scheme != "http" {
		p.Target = asked.redirect.Scheme + "://" + asked.redirect.Host
	}
	if v.Has("label") {
		p.Label = label(v.Get("label"))
	}
	for _, name := range fields() {
		if v.Has(name) {
			p.Fields = append(p.Fields, field{name, v.Get(name)})
		}
	}
	p.Fields = append(p.Fields, field{"form", s.formToken(w, r)})
	s.pages.show(w, status, p, asked.redirect)
}

// problem shows a text, and with a link where to go on.
func (p *pages) problem(w http.ResponseWriter, status int, text, link string) {
	p.show(w, status, view{Text: text, Link: template.URL(link)}, nil)
}

// show writes a page. Browsers hold the redirect that answers a form against form-action too.
func (p *pages) show(w http.ResponseWriter, status int, v view, leads *url.URL) {
	v.Style = template.CSS(pageStyle)
	forms := "'none'"
	if v.Asking {
		forms = "'self' " + source(leads)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy+forms)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would send the form with Origin: null
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = p.template.Execute(w, v) // a browser that is gone needs none
}

// source is how a content policy names where u leads.
func source(u *url.URL) string {
	if u.Scheme == "https" || u.Scheme == "http" && !strings.Contains(u.Host, "[") {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":" // there is no word for an address of IPv6, or for a program
}
