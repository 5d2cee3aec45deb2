package rest

import (
	"context"

	"crosstalk/models"
)

type dataBody struct {
	Key         string `json:"key"`
	Content     string `json:"content"`
	Sender      string `json:"sender"`
	Description string `json:"description"`
	Channel     string `json:"channel"`
	IfVersion   number `json:"if_version"`
}

func (d *door) shareData(who models.Principal, in *dataBody, _ *query) (any, error) {
	if in.Sender == "" {
		in.Sender = who.Person
	}
	draft, err := models.ParseData(models.DataDraft{
		Key:         in.Key,
		Content:     in.Content,
		Sender:      in.Sender,
		Description: in.Description,
		Channel:     in.Channel,
		IfVersion:   in.IfVersion.Ptr(),
	})
	if err != nil {
		return nil, err
	}
	s, err := d.Hub.ShareData(context.Background(), who, draft)
	return struct {
		OK        bool   `json:"ok"`
		Key       string `json:"key"`
		SizeBytes int64  `json:"size_bytes"`
		Version   int64  `json:"version"`
	}{true, s.Key, s.SizeBytes, s.Version}, err
}

// dataItem describes shared data in a list.
type dataItem struct {
	Key         string      `json:"key"`
	CreatedBy   string      `json:"created_by"`
	Description string      `json:"description"`
	Channel     string      `json:"channel"`
	SizeBytes   int64       `json:"size_bytes"`
	Version     int64       `json:"version"`
	CreatedAt   models.Time `json:"created_at"`
}

func (d *door) listData(who models.Principal, q *query) (any, error) {
	found, err := d.Hub.ListData(context.Background(), who, q.limit(listed, mostListed))
	items := make([]dataItem, len(found))
	for i, s := range found {
		items[i] = dataItem{s.Key, s.CreatedBy, s.Description, s.Channel, s.SizeBytes, s.Version, s.CreatedAt}
	}
	return struct {
		Items []dataItem `json:"items"`
	}{items}, err
}

// dataPart is shared data, or a part of it and where the next part begins.
type dataPart struct {
	Key         string      `json:"key"`
	Content     string      `json:"content"`
	CreatedBy   string      `json:"created_by"`
	Description string      `json:"description"`
	SizeBytes   int64       `json:"size_bytes"`
	Version     int64       `json:"version"`
	CreatedAt   models.Time `json:"created_at"`
	NextOffset  int         `json:"next_offset,omitempty"`
}

func (d *door) data(who models.Principal, q *query) (any, error) {
	key, part := q.key(), q.part()
	if q.err != nil {
		return nil, q.err
	}
	s, err := d.Hub.Data(context.Background(), who, key)
	content, next := part.of(s.Content)
	return dataPart{s.Key, content, s.CreatedBy, s.Description, s.SizeBytes, s.Version, s.CreatedAt, next}, err
}

func (d *door) deleteData(who models.Principal, q *query) (any, error) {
	key, sender := q.key(), q.instance("sender")
	if q.err != nil {
		return nil, q.err
	}
	if err := d.Hub.MayUse(who, sender); err != nil {
		return nil, err
	}
	d.Hub.Seen(who, sender)
	return struct {
		OK bool `json:"ok"`
	}{true}, d.Hub.DeleteData(context.Background(), who, key)
}

// key returns the name of shared data in the path.
func (q *query) key() string {
	key, err := models.ParseDataKey(q.path("key"))
	if err != nil {
		q.wrong(err)
	}
	return key
}
