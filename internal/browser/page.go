package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to become what a test waits for.
const patience = 20 * time.Second

// Page is one tab. It belongs to one goroutine.
type Page struct {
	t   testing.TB
	ctx context.Context

	// Guarded by mu.
	mu      sync.Mutex
	asked   []string // URLs of requests
	wrong   []string // what the console complained of
	forgive []string // parts of complaints that are expected
}

func newPage(t testing.TB, ctx context.Context) *Page {
	t.Helper()
	p := &Page{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	if err := chromedp.Listen(ctx, p.heard); err != nil {
		t.Fatal(err)
	}
	p.Size(1280, 800)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the page showed: %.3000s", p.tryText())
		}
		for _, s := range p.Complaints() {
			t.Errorf("the page complained: %s", s)
		}
	})
	return p
}

// heard takes what the browser tells of the page. It runs in the goroutine that reads from the browser.
func (p *Page) heard(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.asked = append(p.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.wrong = append(p.wrong, text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.wrong = append(p.wrong, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// Expect forgives complaints that contain part, which may be empty.
func (p *Page) Expect(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgive = append(p.forgive, part)
}

// Complaints are what went wrong in the page and was not expected.
func (p *Page) Complaints() (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.wrong {
		expected := false
		for _, part := range p.forgive {
			expected = expected || strings.Contains(s, part)
		}
		if !expected {
			list = append(list, s)
		}
	}
	return list
}

// Asked returns the URLs that the page has called for.
func (p *Page) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func (p *Page) do(what string, act func(context.Context, *chromedp.Target) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Func(act)); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// Open goes to an address, and returns once it is loaded.
func (p *Page) Open(url string) {
	p.t.Helper()
	p.do("open "+url, func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Navigate(url)(ctx, tab)
		return err
	})
}

// Reload loads the page anew.
func (p *Page) Reload() {
	p.t.Helper()
	p.do("reload", func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Reload()(ctx, tab)
		return err
	})
}

// Eval runs JavaScript and returns its value.
func Eval[T any](p *Page, js string) T {
	p.t.Helper()
	v, err := eval[T](p, js)
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return v
}

func eval[T any](p *Page, js string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// Until waits for a JavaScript expression to be true.
func (p *Page) Until(what, js string) {
	p.t.Helper()
	begun := time.Now()
	for {
		ok, err := eval[bool](p, "!!("+js+")")
		if ok {
			return
		}
		if time.Since(begun) > patience {
			p.t.Fatalf("never came: %s (%s, %v)", what, js, err)
		}
		<-time.After(30 * time.Millisecond)
	}
}

// quoted writes s as JavaScript.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// Shows waits until an element that selector finds shows text.
func (p *Page) Shows(selector, text string) {
	p.t.Helper()
	p.Until(selector+" shows "+text, fmt.Sprintf("[...document.querySelectorAll(%s)].some(e => e.checkVisibility() && e.innerText.includes(%s))", quoted(selector), quoted(text)))
}

// Count returns how many elements selector finds.
func (p *Page) Count(selector string) int {
	p.t.Helper()
	return Eval[int](p, "document.querySelectorAll("+quoted(selector)+").length")
}

// Text returns what the page shows.
func (p *Page) Text() string {
	p.t.Helper()
	return Eval[string](p, "document.body.innerText")
}

func (p *Page) tryText() string {
	s, err := eval[string](p, "location.href + '\\n' + document.body.innerText")
	if err != nil {
		return err.Error()
	}
	return s
}

// Click presses the mouse on the middle of the first element that selector finds, once it is visible.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.Until(selector+" is there", "document.querySelector("+quoted(selector)+")?.checkVisibility()")
	p.do("click "+selector, func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible)(ctx, tab)
		return err
	})
}

// Fill puts the caret into a field, empties it, and types.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.Until(selector+" is there", "document.querySelector("+quoted(selector)+")?.checkVisibility()")
	Eval[bool](p, "(e => { e.focus(); e.select?.(); return true })(document.querySelector("+quoted(selector)+"))")
	p.Type(text)
}

// Type presses keys, wherever the caret is.
func (p *Page) Type(keys string) {
	p.t.Helper()
	p.do("type", func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.KeyEvent(keys)(ctx, tab)
		return err
	})
}

// Size makes the window so many pixels large. Below 800 it is a phone.
func (p *Page) Size(width, height int64) {
	p.t.Helper()
	var options []chromedp.EmulateViewportOption
	if width < 800 {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2))
	}
	p.do("size", func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.EmulateViewport(width, height, options...)(ctx, tab)
		return err
	})
}

// Dark sets what the person's system prefers.
func (p *Page) Dark(dark bool) {
	p.t.Helper()
	value := "light"
	if dark {
		value = "dark"
	}
	p.do("colours", func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
		})
		return err
	})
}

// Shot writes what the window shows as PNG.
func (p *Page) Shot(file string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
