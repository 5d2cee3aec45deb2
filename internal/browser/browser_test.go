package browser

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestHearsComplaints also holds the two ends: a visitor remembers nothing of another, a tab does.
func TestHearsComplaints(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "img-src 'none'")
		_, _ = w.Write([]byte(`<button onclick="document.title = field.value">go</button><input id=field>`))
	}))
	defer s.Close()
	b := Start(t)
	p := b.Visit(t)
	p.Open(s.URL)
	p.Fill("#field", "typed")
	p.Click("button")
	p.Until("the click arrives", "document.title === 'typed'")
	p.Expect("thrown")
	p.Expect("Content Security Policy")
	p.Expect("favicon")
	if list := p.Complaints(); len(list) != 0 {
		t.Errorf("complaints before there was a reason: %q", list)
	}
	Eval[bool](p, "(localStorage.setItem('k', 'v'), setTimeout(() => { throw new Error('thrown') }), new Image().src = 'http://elsewhere.invalid/', true)")
	heard := func(part string) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.ContainsFunc(p.wrong, func(s string) bool { return strings.Contains(s, part) })
	}
	for _, part := range []string{"thrown", "Content Security Policy"} {
		for tries := 0; !heard(part); tries++ {
			if p.Until("the page goes on", "true"); tries > 1000 {
				t.Fatalf("%q was not heard", part)
			}
		}
	}
	if !slices.Contains(p.Asked(), s.URL+"/") {
		t.Errorf("asked for %q", p.Asked())
	}
	for visitor, want := range map[*Page]string{p.Tab(): "v", b.Visit(t): ""} {
		visitor.Expect("favicon")
		visitor.Open(s.URL)
		if got := Eval[string](visitor, "localStorage.getItem('k') ?? ''"); got != want {
			t.Errorf("remembered %q, want %q", got, want)
		}
	}
}
