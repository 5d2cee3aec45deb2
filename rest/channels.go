package rest

import (
	"context"

	"crosstalk/models"
)

// Limits of lists: the default, and the most.
const (
	listed     = 200
	mostListed = 1000
)

type channelBody struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func (d *door) createChannel(who models.Principal, in *channelBody, _ *query) (any, error) {
	if in.Name == "" {
		return nil, models.Errorf(models.Invalid, "name is required")
	}
	ch, err := models.ParseChannel(in.Name)
	if err != nil {
		return nil, err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	return struct {
		OK      bool   `json:"ok"`
		Channel string `json:"channel"`
	}{true, ch}, d.Hub.CreateChannel(context.Background(), who, ch, in.Description)
}

// checkDescription holds a channel's description against the rule for any description.
func checkDescription(s string) error {
	_, err := models.ParseRegistration(models.Registration{ID: "anyone", Description: s})
	return err
}

// channelList is the answer to whoever looks for channels.
type channelList struct {
	Channels []models.Channel `json:"channels"`
}

func (d *door) channels(who models.Principal, q *query) (any, error) {
	instance, before, limit := q.instance("instance_id"), q.position("before_id"), q.limit(listed, mostListed)
	if q.err != nil {
		return nil, q.err
	}
	d.Hub.Seen(who, instance)
	found, err := d.Hub.ChannelsBefore(context.Background(), who, before, limit, instance)
	return channelList{found}, err
}

func (d *door) findChannels(who models.Principal, q *query) (any, error) {
	text, limit := q.required("q"), q.limit(listed, mostListed)
	if q.err != nil {
		return nil, q.err
	}
	found, err := d.Hub.FindChannels(context.Background(), who, text, limit)
	return channelList{found}, err
}

type pauseBody struct {
	Reason string `json:"reason"`
}

// ok is the answer to whoever asked for a change that has nothing to tell.
type ok struct {
	OK bool `json:"ok"`
}

func (d *door) pause(who models.Principal, in *pauseBody, q *query) (any, error) {
	ch := q.channel()
	reason, err := models.ParsePauseReason(in.Reason)
	if err != nil {
		q.wrong(err)
	}
	if q.err != nil {
		return nil, q.err
	}
	return ok{true}, d.Hub.Pause(context.Background(), who, ch, reason)
}

func (d *door) resume(who models.Principal, _ *pauseBody, q *query) (any, error) {
	ch := q.channel()
	if q.err != nil {
		return nil, q.err
	}
	return ok{true}, d.Hub.Resume(context.Background(), who, ch)
}

type retentionBody struct {
	Days     *int64 `json:"keep_days"`
	Messages *int64 `json:"keep_messages"`
}

func (d *door) retain(who models.Principal, in *retentionBody, q *query) (any, error) {
	ch := q.channel()
	keep, err := models.ParseRetention(in.Days, in.Messages)
	if err != nil {
		q.wrong(err)
	}
	if q.err != nil {
		return nil, q.err
	}
	return ok{true}, d.Hub.Retain(context.Background(), who, ch, keep)
}

// Hours of an activity: the default, and the most.
const (
	activeHours = 24
	mostHours   = 7 * 24
)

func (d *door) activity(who models.Principal, q *query) (any, error) {
	ch, hours := q.channel(), int(q.clamped("hours", activeHours, 1, mostHours))
	if q.err != nil {
		return nil, q.err
	}
	found, since, err := d.Hub.Activity(context.Background(), who, ch, hours)
	return struct {
		Since   models.Time       `json:"since"`
		Senders []models.Activity `json:"senders"`
	}{since, found}, err
}

func (d *door) waits(who models.Principal, _ *query) (any, error) {
	found, err := d.Hub.Waits(context.Background(), who, models.Every)
	return struct {
		Waits []models.Waiting `json:"waits"`
	}{found}, err
}
