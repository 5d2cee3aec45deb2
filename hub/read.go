package hub

import (
	"context"
	"time"

	"crosstalk/models"
	"crosstalk/models/store"
	"crosstalk/models/store/access"
)

// Messages reads a page of a channel. If q.After is set, nothing comes after it yet and wait is
// positive, it waits that long for the first message that does.
func (h *Hub) Messages(ctx context.Context, who models.Principal, q models.Query, wait time.Duration) (models.Page, error) {
	if err := who.NeedReads(q.Channel); err != nil {
		return models.Page{}, err
	}
	if err := h.names.Check(who, q.Instance); err != nil {
		return models.Page{}, err
	}
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

// Message reads one message of a channel, or with models.Every of any that who may read.
func (h *Hub) Message(ctx context.Context, who models.Principal, ch string, id int64) (models.Message, error) {
	if err := who.NeedReads(ch); err != nil {
		return models.Message{}, err
	}
	m, err := h.store.Message(ctx, ch, id)
	if err == nil && !who.Reads(m.Channel) {
		return models.Message{}, store.NoMessage(id)
	}
	return m, err
}

// Replies reads a message and the oldest replies to it.
func (h *Hub) Replies(ctx context.Context, who models.Principal, ch string, id int64, limit int) (models.Thread, error) {
	if _, err := h.Message(ctx, who, ch, id); err != nil {
		return models.Thread{}, err
	}
	return h.store.Thread(ctx, ch, id, who.Channels, limit)
}

// Search finds messages by words or a piece of text, newest first.
func (h *Hub) Search(ctx context.Context, who models.Principal, q models.Search) ([]models.Message, error) {
	if q.Channel == "" {
		q.Only = who.Channels
	} else if err := who.NeedReads(q.Channel); err != nil {
		return nil, err
	}
	if err := who.Need(models.ScopeRead); err != nil {
		return nil, err
	}
	return h.store.Search(ctx, q)
}

// Channels lists channels, latest activity first; with an instance, how much each has that is new to it.
func (h *Hub) Channels(ctx context.Context, who models.Principal, limit int, instance string) ([]models.Channel, error) {
	return h.ChannelsBefore(ctx, who, nil, limit, instance)
}

// ChannelsBefore goes on with Channels after the one whose newest message is before.
func (h *Hub) ChannelsBefore(ctx context.Context, who models.Principal, before *int64, limit int, instance string) ([]models.Channel, error) {
	if err := who.Need(models.ScopeRead); err != nil {
		return nil, err
	}
	if err := h.names.Check(who, instance); err != nil {
		return nil, err
	}
	list, err := h.store.ChannelsBefore(ctx, who.Channels, before, limit)
	if err == nil && instance != "" {
		err = h.store.Unread(ctx, list, instance)
	}
	return list, err
}

// FindChannels lists the channels whose name or description contains text.
func (h *Hub) FindChannels(ctx context.Context, who models.Principal, text string, limit int) ([]models.Channel, error) {
	if err := who.Need(models.ScopeRead); err != nil {
		return nil, err
	}
	return h.store.FindChannels(ctx, who.Channels, text, limit)
}

// Pause has a channel refuse messages until Resume. Once it has returned, none that is sent there is accepted.
func (h *Hub) Pause(ctx context.Context, who models.Principal, ch, reason string) error {
	if err := who.Need(models.ScopeAdmin); err != nil {
		return err
	}
	return h.noted(ctx, h.store.Pause(ctx, ch, reason), who, access.Paused, ch)
}

// Resume ends a pause.
func (h *Hub) Resume(ctx context.Context, who models.Principal, ch string) error {
	if err := who.Need(models.ScopeAdmin); err != nil {
		return err
	}
	return h.noted(ctx, h.store.Resume(ctx, ch), who, access.Resumed, ch)
}

// Retain says what a channel keeps.
func (h *Hub) Retain(ctx context.Context, who models.Principal, ch string, r models.Retention) error {
	if err := who.Need(models.ScopeAdmin); err != nil {
		return err
	}
	return h.noted(ctx, h.store.Retain(ctx, ch, r), who, access.Retained, ch)
}

// Activity counts who stored how many messages in a channel in each of the last hours, from since on.
func (h *Hub) Activity(ctx context.Context, who models.Principal, ch string, hours int) (list []models.Activity, since models.Time, err error) {
	if err := who.NeedReads(ch); err != nil {
		return nil, 0, err
	}
	return h.store.Activity(ctx, ch, hours)
}

// CreateChannel makes a channel if there is none of that name, and describes it if description is not empty. To
// describe it otherwise than it is takes an admin.
func (h *Hub) CreateChannel(ctx context.Context, who models.Principal, name, description string) error {
	if err := who.NeedWrites(name); err != nil {
		return err
	}
	room, err := h.stored.Channel(ctx, who, name)
	if err != nil {
		return err
	}
	err = h.store.CreateChannel(ctx, name, description, who.Admin())
	room.Settle(err == nil)
	return err
}

// ShareData stores a text under its key; the answer is without content.
func (h *Hub) ShareData(ctx context.Context, who models.Principal, d models.DataDraft) (models.SharedData, error) {
	if err := oneself(who, d.Sender); err != nil {
		return models.SharedData{}, err
	}
	if d.Channel == "" && who.Restricted() {
		d.Channel = h.home(ctx, who, d.Sender)
	}
	if err := who.NeedWrites(d.Channel); err != nil {
		return models.SharedData{}, err
	}
	if err := h.names.Claim(ctx, who, d.Sender); err != nil {
		return models.SharedData{}, err
	}
	room, err := h.stored.Add(d.Channel, len(d.Content))
	if err != nil {
		return models.SharedData{}, err
	}
	h.Seen(who, d.Sender)
	data, err := h.store.ShareData(ctx, d, who.Channels)
	room.Settle(err == nil)
	return data, err
}

// home is the channel to which data belongs that who shares without naming one: the one that the sender used last, or
// the only one that who has to do with. Without any, nobody else of who's restrictions could read it.
func (h *Hub) home(ctx context.Context, who models.Principal, sender string) string {
	if ch := h.LastUsed(ctx, who, sender); ch != "" && who.Writes(ch) {
		return ch
	}
	for _, p := range who.Channels.List() {
		if ch, err := models.ParseChannel(p); err == nil && ch == p {
			return ch
		}
	}
	return models.General
}

// Data reads what is shared under a key.
func (h *Hub) Data(ctx context.Context, who models.Principal, key string) (models.SharedData, error) {
	if err := who.Need(models.ScopeRead); err != nil {
		return models.SharedData{}, err
	}
	return h.store.Data(ctx, key, who.Channels)
}

// ListData lists what is shared, the newest first, without contents.
func (h *Hub) ListData(ctx context.Context, who models.Principal, limit int) ([]models.SharedData, error) {
	if err := who.Need(models.ScopeRead); err != nil {
		return nil, err
	}
	return h.store.ListData(ctx, who.Channels, limit)
}

// DeleteData removes what is shared under a key.
func (h *Hub) DeleteData(ctx context.Context, who models.Principal, key string) error {
	if err := who.Need(models.ScopeWrite); err != nil {
		return err
	}
	return h.noted(ctx, h.store.DeleteData(ctx, key, who.Channels), who, access.DataDeleted, key)
}
