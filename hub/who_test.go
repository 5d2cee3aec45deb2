package hub

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crosstalk/models"
)

// holder is who calls with a key of its own, of some channels or all.
func holder(name string, channels models.Patterns) models.Principal {
	return models.Principal{Name: "key:" + name, Scope: models.ScopeWrite, Channels: channels}
}

// speak sends a message, or fails the test.
func speak(t *testing.T, h *Hub, who models.Principal, sender, ch, content string) models.Receipt {
	t.Helper()
	r, err := h.Publish(t.Context(), who, models.Draft{Channel: ch, Sender: sender, Content: content, Type: models.TypeMessage})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantForbidden(t *testing.T, what string, err error) {
	t.Helper()
	if models.CodeOf(err) != models.Forbidden {
		t.Errorf("%s: %v, want forbidden", what, err)
	}
}

// A key of some channels hears on * what is in these, from memory and from the log, and gets past the rest.
func TestAllIsWhatWhoMayRead(t *testing.T) {
	h := fresh(t)
	who := holder("team", "team-*")
	sub, err := h.Subscribe(t.Context(), who, Subscription{Channels: []string{models.Every}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	all, err := h.Subscribe(t.Context(), anyone, Subscription{Channels: []string{models.Every}})
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	var last models.Receipt
	for i := range 300 {
		ch := "vault"
		if i%100 == 99 {
			ch = fmt.Sprint("team-", i)
		}
		last = speak(t, h, anyone, "keeper", ch, ch)
	}
	for _, after := range []*int64{nil, new(int64)} { // from the ring, and from the log
		from := sub
		if after != nil {
			if from, err = h.Subscribe(t.Context(), who, Subscription{Channels: []string{models.Every}, After: after}); err != nil {
				t.Fatal(err)
			}
			defer from.Close()
		}
		var got []string
		for len(got) < 3 {
			entries, err := from.Next(t.Context(), nil, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				got = append(got, e.Content)
			}
		}
		if !slices.Equal(got, []string{"team-99", "team-199", "team-299"}) || from.Position() != last.ID {
			t.Errorf("%q, up to %d of %d", got, from.Position(), last.ID)
		}
	}
	if a, err := h.Audience(t.Context(), anyone, "vault", "keeper"); err != nil || a.Open != 1 {
		t.Errorf("the vault is open to %d, %v", a.Open, err)
	}
	if a, err := h.Audience(t.Context(), anyone, "team-1", "keeper"); err != nil || a.Open < 2 {
		t.Errorf("team-1 is open to %d, %v", a.Open, err)
	}
}

func TestWhoCannotReadAChannelGetsNothingOfIt(t *testing.T) {
	h := fresh(t)
	ctx := t.Context()
	who := holder("team", "team-*")
	secret := speak(t, h, anyone, "keeper", "vault", "secret")
	calls := map[string]func(ch string) error{
		"page":    func(ch string) error { _, err := h.Messages(ctx, who, models.Query{Channel: ch}, 0); return err },
		"message": func(ch string) error { _, err := h.Message(ctx, who, ch, secret.ID); return err },
		"replies": func(ch string) error { _, err := h.Replies(ctx, who, ch, secret.ID, 5); return err },
		"search":  func(ch string) error { _, err := h.Search(ctx, who, models.Search{Text: "x", Channel: ch}); return err },
		"check": func(ch string) error {
			_, err := h.Check(ctx, who, Ask{Channel: ch, Instance: "t", Limit: 5})
			return err
		},
		"look": func(ch string) error { _, err := h.Check(ctx, who, Ask{Channel: ch, Limit: 5}); return err },
		"wait": func(ch string) error {
			_, err := h.Wait(ctx, who, Ask{Channel: ch, Instance: "t", Limit: 5}, models.RoleActive, 0)
			return err
		},
		"subscribe": func(ch string) error {
			_, err := h.Subscribe(ctx, who, Subscription{Channels: []string{ch}})
			return err
		},
		"audience": func(ch string) error { _, err := h.Audience(ctx, who, ch, "t"); return err },
		"waits":    func(ch string) error { _, err := h.Waits(ctx, who, ch); return err },
		"activity": func(ch string) error { _, _, err := h.Activity(ctx, who, ch, 1); return err },
		"act":      func(ch string) error { return h.Acted(ctx, who, "t", "c", ch) },
		"create":   func(ch string) error { return h.CreateChannel(ctx, who, ch, "") },
		"publish": func(ch string) error {
			_, err := h.Publish(ctx, who, models.Draft{Channel: ch, Sender: "t", Content: "x", Type: models.TypeMessage})
			return err
		},
	}
	for what, call := range calls {
		there, nowhere := call("vault"), call("vacant")
		wantForbidden(t, what, there)
		if strings.ReplaceAll(fmt.Sprint(there), "vault", "vacant") != fmt.Sprint(nowhere) {
			t.Errorf("%s: %v, and where nothing is %v", what, there, nowhere)
		}
	}
	nobody := models.Principal{}
	for what, err := range map[string]error{
		"instances": func() error { _, err := h.Instances(ctx, nobody, "", 5); return err }(),
		"channels":  func() error { _, err := h.Channels(ctx, nobody, 5, ""); return err }(),
		"find":      func() error { _, err := h.FindChannels(ctx, nobody, "a", 5); return err }(),
		"search":    func() error { _, err := h.Search(ctx, nobody, models.Search{Text: "x"}); return err }(),
		"data":      func() error { _, err := h.Data(ctx, nobody, "k"); return err }(),
		"list":      func() error { _, err := h.ListData(ctx, nobody, 5); return err }(),
		"delete":    h.DeleteData(ctx, nobody, "k"),
		"register":  h.Register(ctx, nobody, models.Registration{ID: "x"}),
		"hold":      func() error { _, err := h.Hold(ctx, nobody, "x"); return err }(),
		"release":   h.ReleaseName(ctx, nobody, "x"),
		"pause":     h.Pause(ctx, nobody, "x", ""),
		"resume":    h.Resume(ctx, nobody, "x"),
		"retain":    h.Retain(ctx, nobody, "x", models.Retention{}),
	} {
		wantForbidden(t, "nobody: "+what, err)
	}
}

// What a key was once allowed does not stay in its inbox.
func TestAnInboxShowsWhatWhoMayReadNow(t *testing.T) {
	h := fresh(t)
	before, now := holder("a", ""), holder("a", "team-*")
	for _, ch := range []string{"vault", "team-a"} {
		if err := h.Acted(t.Context(), before, "a1", "", ch); err != nil {
			t.Fatal(err)
		}
		speak(t, h, anyone, "keeper", ch, "in "+ch)
	}
	r, err := h.Check(t.Context(), now, Ask{Channel: models.Every, Instance: "a1", Limit: 10})
	if err != nil || len(r.Messages) != 1 || r.Messages[0].Content != "in team-a" || r.Follow != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if ch := h.LastUsed(t.Context(), now, "a1"); ch == "vault" {
		t.Error("it is told of the vault")
	}
}

func TestAnOwnedNameIsNobodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "crosstalk.db")
		a, stopA := start(t, path, nil)
		b, stopB := start(t, path, nil)
		defer stopA()
		defer stopB()
		alice := holder("alice", "")
		if err := a.Register(t.Context(), alice, models.Registration{ID: "Alice"}); err != nil {
			t.Fatal(err)
		}
		try := func(h *Hub, who models.Principal, name string) error {
			_, err := h.Publish(t.Context(), who, models.Draft{Channel: "x", Sender: name, Content: "x", Type: models.TypeMessage})
			return err
		}
		wantForbidden(t, "here", try(a, anyone, "Alice"))
		wantForbidden(t, "elsewhere, with a key", try(b, holder("bob", ""), "alice"))
		time.Sleep(1100 * time.Millisecond)
		wantForbidden(t, "elsewhere", try(b, anyone, "ALICE"))
		if err := try(b, alice, "alice"); models.CodeOf(err) != models.Invalid || !strings.Contains(err.Error(), `"Alice"`) {
			t.Errorf("the owner itself, in other letters: %v", err)
		}
		if err := try(b, alice, "Alice"); err != nil {
			t.Error(err)
		}
		if m, err := b.Messages(t.Context(), alice, models.Query{Channel: "x"}, 0); err != nil || len(m.Messages) != 1 || !m.Messages[0].Verified {
			t.Errorf("%+v, %v", m.Messages, err)
		}
		a.Leave(anyone, "Alice")
		a.Leave(holder("bob", ""), "Alice")
		time.Sleep(1100 * time.Millisecond)
		if got := status(t, b, "Alice"); got != models.Online {
			t.Errorf("others say that she leaves, and she is %s", got)
		}
		a.Leave(alice, "Alice")
		time.Sleep(1100 * time.Millisecond)
		if got := status(t, b, "Alice"); got != models.Offline {
			t.Errorf("she leaves, and is %s", got)
		}
		wantForbidden(t, "release", a.ReleaseName(t.Context(), holder("bob", ""), "Alice"))
		if err := b.ReleaseName(t.Context(), alice, "Alice"); err != nil {
			t.Error(err)
		}
		if err := try(b, anyone, "ALICE"); err != nil {
			t.Error(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if err := try(a, anyone, "Alice"); err != nil {
			t.Error(err)
		}
		if err := a.ReleaseName(t.Context(), anyone, "nobody"); models.CodeOf(err) != models.NotFound {
			t.Error(err)
		}
	})
}

func TestPresenceTellsOfThoseInOnesChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
		defer stop()
		var mu sync.Mutex
		seen := map[string][]string{}
		for name, who := range map[string]models.Principal{"all": anyone, "team": holder("team", "team-*")} {
			defer watch(h, who, func(id string, s models.Status) { mu.Lock(); seen[name] = append(seen[name], id); mu.Unlock() })()
		}
		for id, ch := range map[string]string{"in": "team-a", "out": "vault"} {
			if err := h.Acted(t.Context(), anyone, id, "", ch); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		slices.Sort(seen["all"])
		if !slices.Equal(seen["all"], []string{"in", "out"}) || !slices.Equal(seen["team"], []string{"in"}) {
			t.Errorf("%v", seen)
		}
	})
}

func TestNobodyElseMakesANameLookAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, filepath.Join(t.TempDir(), "crosstalk.db"), nil)
		defer stop()
		alice := holder("alice", "")
		if err := h.Register(t.Context(), alice, models.Registration{ID: "alice"}); err != nil {
			t.Fatal(err)
		}
		status := func() models.Status {
			list, err := h.Instances(t.Context(), anyone, "", 10)
			if err != nil || len(list) != 1 {
				t.Fatal(list, err)
			}
			return list[0].Status
		}
		time.Sleep(5 * time.Minute)
		h.Seen(anyone, "alice")
		h.Seen(holder("bob", ""), "alice")
		if status() != models.Offline {
			t.Error("somebody else's call counts as hers")
		}
		h.Seen(alice, "alice")
		if status() != models.Online {
			t.Error("her own call does not count")
		}
	})
}
