package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// boss may do everything.
var boss = models.Principal{Name: models.SharedPrincipal}

// manned makes a Gate on a database of its own, whose Run runs until the test ends.
func manned(t *testing.T, c Config) (*Gate, *access.Table) {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
	if err != nil {
		t.Fatal(err)
	}
	c.Keys = access.New(s)
	g := gate(t, c)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, c.Keys
}

// enter shows a secret.
func enter(g *Gate, secret string) (models.Principal, error) {
	return g.Check(Request{Path: "/api/messages", Host: "localhost", Authorization: Secret("Bearer " + secret)})
}

func wantCode(t *testing.T, err error, want models.Code) {
	t.Helper()
	if got := models.CodeOf(err); got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func newKey(t *testing.T, g *Gate, k access.Key) string {
	t.Helper()
	secret, err := g.CreateKey(t.Context(), boss, k)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestANamedKeySaysWhoItIs(t *testing.T) {
	g, _ := manned(t, Config{Key: key})
	secret := newKey(t, g, access.Key{Name: "alice", Scope: models.ScopeRead, Channels: "general"})
	for range 2 {
		who, err := enter(g, secret)
		want := models.Principal{Name: "key:alice", Scope: models.ScopeRead, Channels: "general", Credential: access.Hash(secret)}
		if err != nil || who != want {
			t.Errorf("got %+v, %v, want %+v", who, err, want)
		}
	}
	if who, err := enter(g, key); err != nil || who != boss {
		t.Errorf("the shared key: %+v, %v", who, err)
	}
	for _, wrong := range []string{"", secret + "x", secret[:len(secret)-1], access.KeyPrefix, strings.ToLower(secret), access.Hash(secret), "' OR 1=1 --"} {
		_, err := enter(g, wrong)
		wantCode(t, err, models.Unauthenticated)
	}
}

func TestAKeyThatEndedOpensNothing(t *testing.T) {
	g, _ := manned(t, Config{Key: key})
	for name, end := range map[string]func(name string) error{
		"revoked": func(name string) error { return g.RevokeKey(t.Context(), boss, name) },
		"deleted": func(name string) error { return g.DeleteKey(t.Context(), boss, name) },
		"rotated": func(name string) error { _, err := g.RotateKey(t.Context(), boss, name, 0); return err },
	} {
		secret := newKey(t, g, access.Key{Name: name})
		who, err := enter(g, secret)
		if err != nil {
			t.Fatal(err)
		}
		bound, stop := g.Bind(t.Context(), who)
		if err := end(name); err != nil {
			t.Fatal(err)
		}
		<-bound.Done()
		wantCode(t, context.Cause(bound), models.Unauthenticated)
		stop()
		_, err = enter(g, secret)
		wantCode(t, err, models.Unauthenticated)
		late := make(chan struct{})
		g.Follow(who, func() { close(late) })()
		<-late // who comes too late hears it at once
	}
}

// Another process has no way to tell this one but the database.
func TestWhatOthersRevokeEndsHere(t *testing.T) {
	g, table := manned(t, Config{Key: key})
	secret := newKey(t, g, access.Key{Name: "a"})
	who, err := enter(g, secret)
	if err != nil {
		t.Fatal(err)
	}
	bound, stop := g.Bind(t.Context(), who)
	defer stop()
	other := newKey(t, g, access.Key{Name: "b"})
	whoElse, err := enter(g, other)
	if err != nil {
		t.Fatal(err)
	}
	stays, stop := g.Bind(t.Context(), whoElse)
	defer stop()
	if err := table.RevokeKey(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	<-bound.Done()
	if stays.Err() != nil {
		t.Error("another key ended, too")
	}
}

func TestAnExpiredKeyEndsByItself(t *testing.T) {
	g, _ := manned(t, Config{Key: key})
	secret := newKey(t, g, access.Key{Name: "a", ExpiresAt: models.TimeOf(time.Now().Add(300 * time.Millisecond))})
	who, err := enter(g, secret)
	if err != nil {
		t.Fatal(err)
	}
	bound, stop := g.Bind(t.Context(), who)
	defer stop()
	<-bound.Done()
	_, err = enter(g, secret)
	wantCode(t, err, models.Unauthenticated)
}

func TestTheFirstNamedKeyClosesTheGate(t *testing.T) {
	g, _ := manned(t, Config{})
	who, err := enter(g, "")
	if err != nil || who != boss || g.Keyed() {
		t.Fatal(who, err)
	}
	bound, stop := g.Bind(t.Context(), who)
	defer stop()
	secret := newKey(t, g, access.Key{Name: "a"})
	<-bound.Done() // who came in without a key goes
	_, err = enter(g, "")
	wantCode(t, err, models.Unauthenticated)
	if _, err := enter(g, secret); err != nil {
		t.Error(err)
	}
	if err := g.DeleteKey(t.Context(), boss, "a"); err != nil {
		t.Error(err)
	}
	if _, err := enter(g, ""); err == nil || !g.Keyed() {
		t.Error("without a key the gate is open again")
	}
}

func TestOnlyAdminsSeeToKeys(t *testing.T) {
	g, _ := manned(t, Config{Key: key})
	for _, who := range []models.Principal{{}, {Name: "key:a"}, {Name: "key:a", Scope: models.ScopeWrite}} {
		_, create := g.CreateKey(t.Context(), who, access.Key{Name: "x"})
		_, list := g.Keys(t.Context(), who)
		_, rotate := g.RotateKey(t.Context(), who, "x", 0)
		for _, err := range []error{create, list, rotate, g.RevokeKey(t.Context(), who, "x"), g.DeleteKey(t.Context(), who, "x")} {
			wantCode(t, err, models.Forbidden)
		}
	}
}

// A credential is looked up once, however often it is shown, and again when something changed.
func TestShowingAKeyAgainAsksNobody(t *testing.T) {
	asked := 0
	find := func(_ context.Context, hash string) (models.Principal, models.Time, error) {
		asked++
		return models.Principal{Name: "grant:x", Scope: models.ScopeRead}, 0, nil
	}
	var noted map[string]models.Time
	used := func(_ context.Context, u map[string]models.Time) error { noted = u; return nil }
	g := gate(t, Config{Key: key, Sources: []Source{{Prefix: "tok_", Find: find, Used: used}}})
	for range 100 {
		if who, err := enter(g, "tok_1"); err != nil || who.Name != "grant:x" || who.Credential != access.Hash("tok_1") {
			t.Fatal(who, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	g.leases.note(t.Context())
	if len(noted) != 1 || noted[access.Hash("tok_1")] == 0 {
		t.Errorf("noted %v", noted)
	}
	if !g.leases.review(t.Context()) || asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	if _, err := enter(g, "nok_1"); models.CodeOf(err) != models.Unauthenticated || asked != 2 {
		t.Errorf("a secret of nobody: %v, asked %d times", err, asked)
	}
}

// What is found while everything is reviewed may be what the review did away with.
func TestAnAnswerFromBeforeAReviewIsAskedForAgain(t *testing.T) {
	revoked := false
	var g *Gate
	find := func(ctx context.Context, _ string) (models.Principal, models.Time, error) {
		if revoked {
			return models.Principal{}, 0, models.Errorf(models.Unauthenticated, "revoked")
		}
		revoked = true
		g.leases.review(ctx)
		return models.Principal{Name: "grant:x"}, 0, nil
	}
	g = gate(t, Config{Key: key, Sources: []Source{{Prefix: "tok_", Find: find}}})
	_, err := enter(g, "tok_1")
	wantCode(t, err, models.Unauthenticated)
}

func TestWhatWasBegunMayLinger(t *testing.T) {
	until, known := models.TimeOf(time.Now().Add(time.Hour)), true
	find := func(context.Context, string) (models.Principal, models.Time, error) {
		if !known {
			return models.Principal{}, 0, models.Errorf(models.Unauthenticated, "it is not known")
		}
		return models.Principal{Name: "grant:x"}, until, nil
	}
	for lingers, want := range map[bool]int{true: 0, false: 1} {
		g := gate(t, Config{Key: key, Sources: []Source{{Prefix: "tok_", Find: find, Lingers: lingers}}})
		who, err := enter(g, "tok_1")
		if err != nil {
			t.Fatal(err)
		}
		ended := 0
		defer g.Follow(who, func() { ended++ })()
		lease := g.leases.known[who.Credential]
		lease.until, until = 1, 1 // its time is over
		g.leases.expire()
		g.leases.review(t.Context())
		if ended != want {
			t.Errorf("lingers %v: ended %d times, want %d", lingers, ended, want)
		}
		_, err = enter(g, "tok_1")
		wantCode(t, err, models.Unauthenticated)
		known = false
		g.leases.expire()
		if ended != 1 {
			t.Errorf("lingers %v: once it is not known any more it ended %d times", lingers, ended)
		}
		known, until = true, models.TimeOf(time.Now().Add(time.Hour))
	}
}

func TestThereIsRoomForSoManyCredentials(t *testing.T) {
	find := func(context.Context, string) (models.Principal, models.Time, error) {
		return models.Principal{Name: "grant:x"}, 0, nil
	}
	g := gate(t, Config{Key: key, Sources: []Source{{Prefix: "tok_", Find: find}}})
	g.leases.most = 10
	first, err := enter(g, "tok_first")
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	defer g.Follow(first, func() { ended = true })()
	for i := range 100 {
		g.leases.note(t.Context())
		if _, err := enter(g, fmt.Sprint("tok_", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(g.leases.all()); n != 10 || ended || g.leases.all()[first.Credential] == nil {
		t.Errorf("%d are remembered, ended %v", n, ended)
	}
	forgotten := models.Principal{Name: "grant:x", Credential: access.Hash("tok_0")}
	g.Follow(forgotten, func() { t.Error("a credential that holds ended") })()
}

func TestAKeyInTheURLIsReadForCompatAlone(t *testing.T) {
	for _, tc := range []struct {
		compat bool
		path   string
		ok     bool
	}{
		{false, "/mcp", false}, {false, "/sse", false},
		{true, "/mcp", true}, {true, "/sse", true}, {true, "/messages", true},
		{true, "/api/messages", false}, {true, "/ws", false}, {true, "/api/stream", false}, {true, "/index.html", false},
	} {
		g := gate(t, Config{Key: key, Compat: tc.compat})
		_, err := g.Check(Request{Path: tc.path, Host: "localhost", Query: "x=1&api_key=s3cret-Key%2B/=~"})
		if (err == nil) != tc.ok {
			t.Errorf("%+v: %v", tc, err)
		}
		if err != nil && !strings.Contains(err.Error(), "in the URL is not read") {
			t.Errorf("%+v: %v does not say why", tc, err)
		}
		_, err = g.Check(Request{Path: tc.path, Host: "localhost", Query: "api_key=wrong"})
		wantCode(t, err, models.Unauthenticated)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	r := Request{Path: "/mcp", Authorization: "Bearer hush", Protocols: "bearer.hush", Query: "api_key=hush", Cookie: "crosstalk_session=hush"}
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "request", r, "secret", r.Query, "any", []any{r.Authorization})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "request", r, "secret", r.Query)
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	text := out.String() + string(encoded) + fmt.Sprintf("%v %+v %#v %s %q", r, r, r, r.Query, r.Query)
	if strings.Contains(text, "hush") || !strings.Contains(text, redacted) {
		t.Error(text)
	}
	if Secret("").String() != "" {
		t.Error("nothing looks like something")
	}
}
