package limits

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
)

// bus is an empty store, and an account of it that was measured just now.
func bus(t *testing.T, c Config) (*store.Store, *Stored) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "bus.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	s := NewStored(enforced(c), st)
	s.measure(t.Context())
	return st, s
}

func TestWhatIsStoredIsBounded(t *testing.T) {
	st, s := bus(t, Config{Bytes: 1000, ChannelBytes: 500})
	post := func(ch string, bytes int) {
		t.Helper()
		d := models.Draft{Channel: ch, Sender: "a", Kind: models.KindAgent, Type: models.TypeMessage, Content: strings.Repeat("x", bytes)}
		if _, err := st.Append(t.Context(), store.Append{Draft: d, Principal: models.SharedPrincipal}); err != nil {
			t.Fatal(err)
		}
	}
	post("crew", 400)
	if _, err := st.ShareData(t.Context(), models.DataDraft{Key: "k", Content: strings.Repeat("x", 100), Sender: "a", Channel: "crew"}, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "messages and data of the channel are counted", func() bool { return s.usage.Load().Full["crew"] == 500 })
	add := func(ch string, bytes int) error {
		_, err := s.Add(ch, bytes)
		return err
	}
	_, err := s.Message(t.Context(), alice(), "crew", 1)
	wantWait(t, err, 600)
	if err == nil || !strings.Contains(err.Error(), `"crew"`) {
		t.Error(err)
	}
	wantWait(t, add("crew", 1), 600)
	room, err := s.Message(t.Context(), alice(), "other", 500)
	if err != nil {
		t.Errorf("another channel: %v", err)
	}
	// What came since it was measured counts in all.
	wantWait(t, add("", 1), 600)
	room.Settle(false)
	if room, err = s.Message(t.Context(), alice(), "other", 500); err != nil {
		t.Errorf("after what was refused: %v", err)
	}
	wantWait(t, add("", 1), 600)
	s.measure(t.Context())
	room.Settle(false) // late: it is no more in what has grown
	s.measure(t.Context())
	if err := add("", 500); err != nil {
		t.Errorf("after a measure: %v", err)
	}
	s.measure(t.Context())
	if err := st.DeleteData(t.Context(), "k", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "there is room again", func() bool { return add("crew", 1) == nil })
}

func TestChannelsAreBounded(t *testing.T) {
	st, s := bus(t, Config{Channels: 3, OwnChannels: 1})
	make := func(who models.Principal, ch string) error {
		t.Helper()
		refused, err := s.Channel(t.Context(), who, ch)
		refused.Settle(false)
		if err != nil {
			return err
		}
		room, err := s.Channel(t.Context(), who, ch)
		if err == nil {
			err = st.CreateChannel(t.Context(), ch, "", false)
		}
		room.Settle(err == nil)
		s.measure(t.Context())
		return err
	}
	if err := make(alice(), models.General); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	for range 2 {
		if err := make(alice(), "a"); err != nil {
			t.Errorf("the first of her own: %v", err)
		}
	}
	if err := make(alice(), "b"); models.CodeOf(err) != models.RateLimited || models.RetryAfter(err) < 80_000 {
		t.Errorf("the second: %v, %d s", err, models.RetryAfter(err))
	}
	if err := make(models.Principal{Name: models.SharedPrincipal}, "b"); err != nil {
		t.Errorf("another's: %v", err)
	}
	wantWait(t, make(bob(), "c"), 600)
	for _, ch := range []string{"a", "b", models.General} {
		if err := make(bob(), ch); err != nil {
			t.Errorf("%s is there: %v", ch, err)
		}
	}
}

// eventually measures until a fact is there.
func eventually(t *testing.T, s *Stored, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); s.measure(t.Context()) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
