package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"crosstalk/models"
)

const (
	patience   = 5 * time.Second // with a hub that restarts
	firstPause = 200 * time.Millisecond
	longPause  = time.Second
	maxAnswer  = 128 << 20 // shared data of 16 MiB, were all of it escapes, takes 96
)

// Options say where the hub is.
type Options struct {
	URL string // such as https://bus.example.com
	Key string // empty for none
	// Dial makes connections; nil: the network's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client asks one hub. Any number of goroutines may use it.
type Client struct {
	base *url.URL
	key  string
	http *http.Client
	most int64 // bytes of an answer
}

// Error is a hub's refusal.
type Error struct {
	Status int
	Code   models.Code // empty where something else than a hub answers
	Text   string
	After  time.Duration // when the hub wants to be asked again; 0: it did not say
}

func (e *Error) Error() string {
	if e.Code == "" {
		return e.Text
	}
	return fmt.Sprintf("%s (%s)", e.Text, e.Code)
}

// New checks o. Nothing is connected before the first call.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.URL, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil {
		return nil, models.Errorf(models.Invalid, "the hub's address must be a URL such as https://bus.example.com, without a user in it")
	}
	for _, r := range o.Key {
		if r <= ' ' || r > '~' {
			return nil, models.Errorf(models.Invalid, "the key contains a blank, a control character or a letter beyond ASCII: no hub has such a key")
		}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: o.Dial, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute}
	return &Client{base: base, key: o.Key, http: &http.Client{Transport: transport, CheckRedirect: stay}, most: maxAnswer}, nil
}

// stay follows no redirect: one from http to https would have shown the key to the network already.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Host names the hub in what people read.
func (c *Client) Host() string { return c.base.Host }

// Path joins segments to a path, each of them encoded.
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// Get asks for what is at a path of the hub.
func (c *Client) Get(ctx context.Context, path string, q url.Values, into any) error {
	return c.call(ctx, http.MethodGet, path, q, nil, into, true)
}

// Post sends body as JSON. With once, the hub itself stores it once however often it comes, so that it is safe to ask
// again when the answer was lost.
func (c *Client) Post(ctx context.Context, path string, body, into any, once bool) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return c.call(ctx, http.MethodPost, path, nil, b.Bytes(), into, once)
}

// Delete removes what is at a path of the hub. What is not there any more when it asks again has been removed.
func (c *Client) Delete(ctx context.Context, path string, q url.Values) error {
	return c.call(ctx, http.MethodDelete, path, q, nil, nil, true)
}

// call asks until there is an answer, or asking again is no use.
func (c *Client) call(ctx context.Context, method, path string, q url.Values, body []byte, into any, again bool) error {
	begin, lost := time.Now(), false // an answer: what was asked may have been done
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := c.ask(ctx, method, path, q, body, into)
		if no, is := errors.AsType[*Error](err); is && no.Code == models.NotFound && lost && method == http.MethodDelete {
			return nil
		}
		lost = lost || err != nil && !Passes(err, false)
		if err == nil || ctx.Err() != nil || time.Since(begin) > patience || !Passes(err, again) {
			return err
		}
		wait := pause/2 + rand.N(pause)
		if no, is := errors.AsType[*Error](err); is && no.After > 0 {
			wait = min(no.After, patience)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// Passes says whether the same request may go well in a moment. again: it does no harm if it was done already.
func Passes(err error, again bool) bool {
	if no, is := errors.AsType[*Error](err); is {
		return no.Code == models.Unavailable || again && no.Status >= 502 && no.Status <= 504
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return true // nobody has seen it
	}
	op, network := errors.AsType[*net.OpError](err)
	return again && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || network && op.Op != "dial")
}

func (c *Client) ask(ctx context.Context, method, path string, q url.Values, body []byte, into any) error {
	u := *c.base
	u.RawQuery = q.Encode()
	u.RawPath = u.EscapedPath() + path
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return fmt.Errorf("path %q: %w", path, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the whole address
		}
		return fmt.Errorf("the hub at %s cannot be reached: %w", c.Host(), err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, c.most+1))
	switch {
	case err != nil:
		return fmt.Errorf("the answer of %s was cut off: %w", c.Host(), err)
	case int64(len(answer)) > c.most:
		return fmt.Errorf("the answer of %s is larger than %d MiB", c.Host(), c.most>>20)
	case resp.StatusCode != http.StatusOK:
		return c.refusal(resp, answer)
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return &Error{Status: resp.StatusCode, Text: fmt.Sprintf("at %s no hub answers: what comes is not what a hub says", c.Host())}
	}
	return nil
}

// refusal is what a status that is not 200 says.
func (c *Client) refusal(resp *http.Response, answer []byte) error {
	var said struct {
		Error string      `json:"error"`
		Code  models.Code `json:"code"`
	}
	e := &Error{Status: resp.StatusCode}
	if json.Unmarshal(answer, &said) == nil && said.Error != "" && said.Code != "" {
		e.Text, e.Code = said.Error, said.Code
	} else if to := resp.Header.Get("Location"); to != "" {
		e.Text = fmt.Sprintf("%s sends to %.200q: give that address", c.Host(), to)
	} else {
		e.Text = fmt.Sprintf("at %s no hub answers, but something that says %s", c.Host(), resp.Status)
	}
	if seconds, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s"); err == nil {
		e.After = max(0, seconds)
	}
	return e
}
