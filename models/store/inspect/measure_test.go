package inspect_test

import (
	"testing"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/inspect"
)

func TestSizesAreThoseOfWhatIsThere(t *testing.T) {
	each(t, func(t *testing.T, opt store.Options) {
		s := filled(t, opt)
		if _, err := s.ShareData(t.Context(), models.DataDraft{Key: "k", Content: "12345", Sender: "alice"}, models.Every); err != nil {
			t.Fatal(err)
		}
		days, messages := int64(7), int64(0)
		if err := s.Retain(t.Context(), "room-0", models.Retention{Days: &days, Messages: &messages}); err != nil {
			t.Fatal(err)
		}
		if opt.Path != "" {
			change(t, s, "UPDATE bus SET stale = 9")
		}
		from, err := inspect.Open(t.Context(), opt.Path, opt.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = from.Close() }()
		m, err := from.Measure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// 10 of one digit, 20 of two, behind a word of 5 bytes and a blank.
		if m.Messages != 30 || m.ContentBytes != 10*7+20*8 || m.LastID != 30 || m.IndexLag != 0 || m.DataItems != 1 || m.DataBytes != 5 || m.BusID != s.BusID() {
			t.Errorf("%+v", m)
		}
		if m.DatabaseBytes < 4096 || (m.WALBytes == nil) != (opt.Path == "") || (m.FreeBytes == nil) != (opt.Path == "") || opt.Path != "" && *m.WALBytes == 0 || (m.IndexStale == nil) != (opt.Path == "") || opt.Path != "" && *m.IndexStale != 9 {
			t.Errorf("%d bytes, log %v, free %v", m.DatabaseBytes, m.WALBytes, m.FreeBytes)
		}
		if len(m.Channels) != 4 || m.Channels[3].Name != "general" || m.Channels[3].Oldest != nil || m.Channels[3].Newest != nil {
			t.Fatalf("%+v", m.Channels)
		}
		for _, ch := range m.Channels {
			if own := ch.KeepDays != nil && *ch.KeepDays == 7 && ch.KeepMessages != nil && *ch.KeepMessages == 0; own != (ch.Name == "room-0") {
				t.Errorf("%s keeps %v days, %v messages", ch.Name, ch.KeepDays, ch.KeepMessages)
			}
		}
		if ch := m.Channels[2]; ch.Messages != 10 || ch.Bytes == 0 || ch.Oldest == nil || *ch.Oldest > *ch.Newest || ch.Bytes > m.Channels[0].Bytes {
			t.Errorf("%+v", ch)
		}
	})
}
