package ws

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"crosstalk/auth"
	"crosstalk/models"
)

const key = "s3cret"

func bearer() string {
	return "bearer." + base64.RawURLEncoding.EncodeToString([]byte(key))
}

func TestRefusesBeforeTheUpgrade(t *testing.T) {
	open, keyed := newHouse(t, auth.Config{}), newHouse(t, auth.Config{Key: key})
	many := strings.Repeat("x", 99)
	for name, tc := range map[string]struct {
		h      *house
		path   string
		field  string
		status int
		code   string
	}{
		"without the key":         {keyed, "/ws", "", 401, "unauthenticated"},
		"with another key":        {keyed, "/ws", "Authorization: Bearer x", 401, "unauthenticated"},
		"key in the URL":          {keyed, "/ws?api_key=" + key, "", 401, "unauthenticated"},
		"foreign page":            {open, "/ws", "Origin: http://evil.example", 403, "forbidden"},
		"after_id is no number":   {open, "/ws?after_id=x", "", 400, "invalid"},
		"channel of signs only":   {open, "/ws?channels=a,!!", "", 400, "invalid"},
		"reserved instance":       {open, "/ws?instance_id=system", "", 400, "invalid"},
		"instance too long":       {open, "/ws?instance_id=" + many + many + many, "", 413, "too_large"},
		"101 channels":            {open, "/ws?channels=" + list(101), "", 400, "invalid"},
		"another protocol's page": {open, "/ws", "Origin: http://evil.example\r\nSec-WebSocket-Protocol: chat", 403, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			var fields []string
			if tc.field != "" {
				fields = append(fields, tc.field)
			}
			p, resp, err := tc.h.shake(tc.path, fields...)
			if err != nil {
				t.Fatal(err)
			}
			defer p.nc.Close()
			var body struct{ Error, Code string }
			if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != tc.status || body.Code != tc.code || body.Error == "" {
				t.Errorf("%s %+v %v, want %d %s", resp.Status, body, err, tc.status, tc.code)
			}
			if _, challenged := resp.Header["Www-Authenticate"]; challenged != (tc.status == 401) {
				t.Errorf("WWW-Authenticate: %v", resp.Header)
			}
		})
	}
}

func list(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = channelName(i)
	}
	return strings.Join(names, ",")
}

func TestPlainRequestIsToldToUpgrade(t *testing.T) {
	h := newHouse(t, auth.Config{})
	resp, err := http.Get("http://" + h.addr + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusUpgradeRequired || resp.Header.Get("Upgrade") != "websocket" || !json.Valid(body) {
		t.Errorf("%s %v %s", resp.Status, resp.Header, body)
	}
}

func TestBrowserReadsWhyItMayNotComeIn(t *testing.T) {
	h := newHouse(t, auth.Config{Key: key})
	for name, tc := range map[string]struct {
		fields []string
		want   int
	}{
		"without the key": {[]string{"Sec-WebSocket-Protocol: crosstalk.v1"}, 4401},
		"wrong key":       {[]string{"Sec-WebSocket-Protocol: crosstalk.v1, bearer.eA"}, 4401},
		"foreign page":    {[]string{"Sec-WebSocket-Protocol: crosstalk.v1, " + bearer(), "Origin: http://evil.example"}, 4403},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.connect("/ws?channels=*&instance_id=x", tc.fields...)
			m, err := p.next()
			c, _ := err.(closed)
			if c.code() != tc.want || len(c) < 10 || p.protocol != "crosstalk.v1" {
				t.Errorf("got %+v, %v, protocol %q, want %d", m, err, p.protocol, tc.want)
			}
			p.leave(tc.want)
			if _, err := p.timeless(); err != io.EOF {
				t.Errorf("after the goodbye: %v", err)
			}
		})
	}
}

func TestBrowserReadsWhatIsWrongWithTheURL(t *testing.T) {
	h := newHouse(t, auth.Config{})
	for query, want := range map[string]string{
		"channels=!!!":           "no letter",
		"after_id=x":             "after_id",
		"instance_id=server":     "reserved",
		"instance_id=%01":        "instance_id",
		"channels=a&after_id=-x": "after_id",
	} {
		t.Run(query, func(t *testing.T) {
			p := h.connect("/ws?"+query, "Sec-WebSocket-Protocol: crosstalk.v1")
			m, err := p.next()
			c, _ := err.(closed)
			if c.code() != 4400 || !strings.Contains(string(c), want) {
				t.Errorf("got %+v, %v, want 4400 with %q", m, err, want)
			}
			p.leave(4400)
		})
	}
}

func TestSelectsOurSubprotocolAndNeverEchoesTheKey(t *testing.T) {
	h := newHouse(t, auth.Config{Key: key})
	for offer, want := range map[string]string{
		"crosstalk.v1, " + bearer(): "crosstalk.v1",
		bearer() + ",crosstalk.v1":  "crosstalk.v1",
		bearer():                    "",
		"chat, " + bearer():         "",
	} {
		p := h.connect("/ws", "Sec-WebSocket-Protocol: "+offer)
		if p.read("welcome"); p.protocol != want {
			t.Errorf("offered %q, selected %q, want %q", offer, p.protocol, want)
		}
	}
	if p := h.connect("/ws", "Authorization: Bearer "+key); p.protocol != "" {
		t.Errorf("selected %q, nothing was offered", p.protocol)
	}
}

func TestPageOfAnAllowedOriginComesIn(t *testing.T) {
	h := newHouse(t, auth.Config{AllowedOrigins: []string{"https://app.example"}})
	h.connect("/ws", "Origin: https://app.example").read("welcome")
}

func TestFramesThatCameWithTheRequestAreRead(t *testing.T) {
	h := newHouse(t, auth.Config{})
	nc, err := h.dial()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, nc: nc, br: bufio.NewReader(nc)}
	defer nc.Close()
	hello := []byte("GET /ws HTTP/1.1\r\nHost: " + h.addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	for i := range 30 { // more than the buffer of the WebSocket holds
		hello = append(hello, masked(fin|opText, []byte(`{"type":"ping","id":`+strings.Repeat("1", i+1)+`}`))...)
	}
	p.write(hello)
	if resp, err := http.ReadResponse(p.br, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	p.read("welcome")
	for i := range 30 {
		if m := p.read("pong"); string(m.ID) != strings.Repeat("1", i+1) {
			t.Fatalf("pong %d has id %s", i, m.ID)
		}
	}
}

func TestChannelsAtConnect(t *testing.T) {
	for query, want := range map[string]string{
		"":           "",
		"a":          "a",
		"b,a":        "b a",
		"A a,a-A":    "a-a",
		",, a ,":     "a",
		"*":          "*",
		"a,*":        "*",
		list(100):    strings.ReplaceAll(list(100), ",", " "),
		"a,b,a,B,b_": "a b",
	} {
		got, err := parseChannels([]string{query})
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v", query, got, err)
		}
	}
}

func TestNameIsHeldByOneConnection(t *testing.T) {
	h := newHouse(t, auth.Config{})
	first := h.connect("/ws?channels=a&instance_id=bob")
	second := h.connect("/ws?instance_id=bob")
	watcher := h.connect("/ws?channels=a")
	for _, p := range []*peer{first, second, watcher} {
		p.read("welcome")
	}
	first.read("subscribed")
	watcher.read("subscribed")

	first.say(`{"type":"publish","channel":"a","content":"mine"}`)
	first.read("published") // and not the message: it is bob's own
	second.say(`{"type":"publish","channel":"a","content":"also bob"}`)
	second.read("published")
	for _, verified := range []bool{true, false} {
		if m := watcher.read("message").Message; m.Sender != "bob" || m.Verified != verified {
			t.Errorf("got %+v, want from bob, verified %v", m, verified)
		}
	}
	first.leave(1000)
	first.ended()
	third := h.connect("/ws?instance_id=bob")
	third.read("welcome")
	third.say(`{"type":"publish","channel":"a","content":"now mine"}`)
	third.read("published")
	if m := watcher.read("message").Message; !m.Verified {
		t.Errorf("after the holder left: %+v is not verified", m)
	}
}

func TestWhoIsSignedInSpeaksAsAPerson(t *testing.T) {
	h := newHouse(t, auth.Config{Key: key})
	head, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+h.addr+auth.SessionPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, set, err := h.gate.SignIn(t.Context(), auth.FromHTTP(head), key, "Ada", func(models.Principal) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, _ := strings.Cut(set, ";")
	p := h.connect("/ws?channels=*", "Cookie: "+cookie, "Origin: http://"+h.addr)
	p.read("welcome")
	p.read("subscribed")
	p.say(`{"type":"publish","id":1,"content":"hi"}`)
	for range 2 { // the answer and the message come in no order
		if m, err := p.next(); err != nil || m.Type == "message" && (m.Message.Sender != "Ada" || m.Message.Kind != string(models.KindHuman)) {
			t.Errorf("%+v, %v", m, err)
		}
	}
	p.say(`{"type":"publish","id":2,"sender":"bob","content":"hi"}`)
	if m, err := p.next(); err != nil || m.Type != "error" || m.Code != string(models.Forbidden) {
		t.Errorf("as another: %+v, %v", m, err)
	}
	// Another page that the browser shows does not get in, though the browser sends the cookie.
	for _, origin := range []string{"Sec-Fetch-Site: same-site", "Origin: http://localhost:1"} {
		if _, resp, err := h.shake("/ws", "Cookie: "+cookie, origin); err != nil || resp.StatusCode < 401 {
			t.Errorf("%s: %v, %v", origin, resp, err)
		}
	}
	head.Header.Set("Cookie", cookie)
	head.Header.Set("Origin", "http://"+h.addr)
	if _, err := h.gate.SignOut(t.Context(), auth.FromHTTP(head)); err != nil {
		t.Fatal(err)
	}
	_, err = p.next()
	if c, _ := err.(closed); c.code() != closeUnauthenticated {
		t.Errorf("signed out: %v", err)
	}
	p.leave(closeUnauthenticated)
}
