package hub

import (
	"context"
	"time"

	"crosstalk/models"
)

// Messages reads a page of a channel. If q.After is set, nothing comes after it yet and wait is
// positive, it waits that long for the first message that does.
func (h *Hub) Messages(ctx context.Context, who models.Principal, q models.Query, wait time.Duration) (models.Page, error) {
	page, err := h.store.Page(ctx, q)
	if err != nil || wait <= 0 || q.After == nil || len(page.Messages) > 0 || page.More {
		return page, err
	}
	end, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	s, err := h.Subscribe(end, who, Subscription{Channels: []string{q.Channel}, After: &page.NextAfterID, Hide: q.Instance})
	if err != nil {
		return page, err
	}
	defer s.Close()
	for {
		got, err := s.Next(end, nil, 1)
		if err != nil {
			// In the end an empty page is the answer, on a shutdown too.
			page.NextAfterID = max(page.NextAfterID, s.Position())
			return page, nil
		}
		if len(got) > 0 {
			recovered := page.Recovered
			page, err = h.store.Page(ctx, q)
			page.Recovered = page.Recovered && recovered
			if err != nil || len(page.Messages) > 0 || page.More {
				return page, err
			}
		}
	}
}

// Message reads one message of a channel.
func (h *Hub) Message(ctx context.Context, who models.Principal, ch string, id int64) (models.Message, error) {
	return h.store.Message(ctx, ch, id)
}

// Replies reads a message and the oldest replies to it.
func (h *Hub) Replies(ctx context.Context, who models.Principal, ch string, id int64, limit int) (models.Thread, error) {
	return h.store.Thread(ctx, ch, id, limit)
}

// Search finds messages by words or a piece of text, newest first.
func (h *Hub) Search(ctx context.Context, who models.Principal, q models.Search) ([]models.Message, error) {
	return h.store.Search(ctx, q)
}

// Channels lists channels, latest activity first; with an instance, how much each has that is new to it.
func (h *Hub) Channels(ctx context.Context, who models.Principal, limit int, instance string) ([]models.Channel, error) {
	list, err := h.store.Channels(ctx, limit)
	if err == nil && instance != "" {
		err = h.store.Unread(ctx, list, instance)
	}
	return list, err
}

// FindChannels lists the channels whose name or description contains text.
func (h *Hub) FindChannels(ctx context.Context, who models.Principal, text string, limit int) ([]models.Channel, error) {
	return h.store.FindChannels(ctx, text, limit)
}

// Pause has a channel refuse messages until Resume. Once it has returned, none that is sent there is accepted.
func (h *Hub) Pause(ctx context.Context, who models.Principal, ch, reason string) error {
	return h.store.Pause(ctx, ch, reason)
}

// Resume ends a pause.
func (h *Hub) Resume(ctx context.Context, who models.Principal, ch string) error {
	return h.store.Resume(ctx, ch)
}

// Activity counts who stored how many messages in a channel in each of the last hours, from since on.
func (h *Hub) Activity(ctx context.Context, who models.Principal, ch string, hours int) (list []models.Activity, since models.Time, err error) {
	return h.store.Activity(ctx, ch, hours)
}

// CreateChannel makes a channel if there is none of that name, and describes it if description is not empty.
func (h *Hub) CreateChannel(ctx context.Context, who models.Principal, name, description string) error {
	return h.store.CreateChannel(ctx, name, description)
}

// ShareData stores a text under its key; the answer is without content.
func (h *Hub) ShareData(ctx context.Context, who models.Principal, d models.DataDraft) (models.SharedData, error) {
	if err := oneself(who, d.Sender); err != nil {
		return models.SharedData{}, err
	}
	h.Seen(who, d.Sender)
	return h.store.ShareData(ctx, d)
}

// Data reads what is shared under a key.
func (h *Hub) Data(ctx context.Context, who models.Principal, key string) (models.SharedData, error) {
	return h.store.Data(ctx, key)
}

// ListData lists what is shared, the newest first, without contents.
func (h *Hub) ListData(ctx context.Context, who models.Principal, limit int) ([]models.SharedData, error) {
	return h.store.ListData(ctx, limit)
}

// DeleteData removes what is shared under a key.
func (h *Hub) DeleteData(ctx context.Context, who models.Principal, key string) error {
	return h.store.DeleteData(ctx, key)
}
